"""The weights of the rows in a call that trains a model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mlflow_interpret.autologging.training_arguments import Call, length, named_arguments

_logger = logging.getLogger(__name__)

_NAME = "sample_weight"
_SIMILAR_NAMES = ("sample_weights", "weights", "weight")
"""Names in other libraries, if there is a weight for each row."""
_STATSMODELS = ("freq_weights", "weights")


def sample_weights(call: Call, X: Any) -> Any:
    """The weights of the training rows, as passed; None without weights.

    They are the argument ``sample_weight`` or a similar one, also that of the last step of a
    pipeline, or the weights of a DMatrix, Dataset or Pool.

    Args:
        call: The call.
        X: Its rows.
    """
    try:
        return _weights(call, X)
    except Exception:  # the explanation does without weights
        _logger.debug("The weights were not understood", exc_info=True)
        return None


def _weights(call: Call, X: Any) -> Any:
    from mlflow_interpret.explaining.native_data import is_native_data, weights_of

    given = named_arguments(call)
    weights = weights_in(given, call.instance)
    if weights is not None:
        return weights
    for name in _SIMILAR_NAMES:
        if given.get(name) is not None and length(given[name]) == length(X):
            return given[name]
    if type(call.instance).__module__.partition(".")[0] == "statsmodels":
        found = (getattr(call.instance, name, None) for name in _STATSMODELS)
        return next((weights for weights in found if weights is not None), None)
    containers = [value for value in given.values() if is_native_data(value)]
    return weights_of(containers[0]) if containers else None


def weights_in(arguments: Mapping[str, Any], model: Any) -> Any:
    """Return the weights in arguments of ``fit``, also those of a pipeline's last step; or None."""
    for name in (_NAME, _name_in_pipeline(model)):
        if arguments.get(name) is not None:
            return arguments[name]
    return None


def _name_in_pipeline(model: Any) -> str:
    """The argument with the weights of a pipeline's last step: ``model__sample_weight``."""
    steps = getattr(model, "steps", None)
    if isinstance(steps, list) and steps:
        name, last = steps[-1]
        return f"{name}__{_name_in_pipeline(last)}"
    inner = getattr(model, "estimator", None)  # of a search
    return _NAME if inner is None else _name_in_pipeline(inner)
