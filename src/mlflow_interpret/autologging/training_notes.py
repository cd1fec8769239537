"""Notes on arguments of a training call that the explained output does not show."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from mlflow_interpret.autologging.training_arguments import Call, named_arguments

_logger = logging.getLogger(__name__)

_MARGINS = ("base_margin", "init_score", "baseline")
_MARGIN_NOTE = (
    "The training rows had a base margin, initial score or baseline each. It is not part of the "
    "explained output, which is the prediction for rows without one."
)
_OBJECTIVES = ("objective", "obj", "loss_function")
_OBJECTIVE_NOTE = (
    "The model was trained with a custom objective: its predictions are raw scores, unless the "
    "objective has a link function."
)
_BOOSTERS = {"xgboost", "lightgbm", "catboost"}


def training_notes(call: Call) -> tuple[str, ...]:
    """Notes on base margins and custom objectives, for the status record."""
    try:
        return tuple(_notes(call))
    except Exception:  # the explanation does without notes
        _logger.debug("The arguments were not understood", exc_info=True)
        return ()


def _notes(call: Call) -> Iterator[str]:
    from mlflow_interpret.explaining.native_data import has_margins, is_native_data

    if call.function.__module__.partition(".")[0] not in _BOOSTERS:
        return
    given = named_arguments(call)
    containers = [value for value in given.values() if is_native_data(value)]
    has_argument = any(given.get(name) is not None for name in _MARGINS)
    if has_argument or any(map(has_margins, containers[:1])):
        yield _MARGIN_NOTE
    if any(_is_custom(value) for value in _objectives(call, given)):
        yield _OBJECTIVE_NOTE


def _objectives(call: Call, given: dict[str, Any]) -> Iterator[Any]:
    """The objectives in the arguments, in their parameters, and of the model itself."""
    params = given.get("params")
    get_params = getattr(call.instance, "get_params", dict)
    for options in (given, params if isinstance(params, dict) else {}, get_params()):
        yield from (options.get(name) for name in _OBJECTIVES)


def _is_custom(objective: Any) -> bool:
    """Whether an objective is a function, or an object of CatBoost, instead of a name."""
    return callable(objective) or hasattr(objective, "calc_ders_range")
