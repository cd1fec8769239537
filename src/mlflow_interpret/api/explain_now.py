"""Explain a model that `autolog` does not explain by itself."""

from __future__ import annotations

import time
from typing import Any

from mlflow_interpret.autologging import incremental
from mlflow_interpret.autologging.autolog import current_options
from mlflow_interpret.autologging.explain_fit import explain_at_once
from mlflow_interpret.autologging.training_calls import FitEvent
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.runtime.messages import show_messages


def explain_now(model: Any, X: Any = None, y: Any = None) -> str | None:
    """Explain a model with the options of `autolog`, and log the explanation.

    For models that are trained in steps: by ``partial_fit``, by a coroutine or generator, or by a
    class that `autolog` does not observe. The explanation is logged to the active MLflow run, or
    to a new run that is ended afterwards. A model that was trained by ``partial_fit`` is explained
    again when its run ends only if further batches follow.

    Args:
        model: A fitted model, as for `explain`.
        X: ``(n_rows, n_features)`` training rows. Default: a seeded sample of at most 3,000 of the
            rows that ``partial_fit`` was called with while `autolog` was on.
        y: ``(n_rows,)`` labels of ``X``, or None.

    Returns:
        The id of the run. None if the run could not be written; the explanation is then kept on
        this machine, and a warning names the command that logs it.

    Raises:
        CannotExplainError: The model or its rows cannot be explained, or there are no rows.

    Example:
        >>> from sklearn.linear_model import SGDRegressor
        >>> mlflow_interpret.autolog(silent=True)
        >>> incremental = SGDRegressor(random_state=0)
        >>> for batch in (slice(0, 200), slice(200, 442)):
        ...     incremental = incremental.partial_fit(X[batch], y[batch])
        >>> incremental_id = mlflow_interpret.explain_now(incremental)
    """
    show_messages()
    if X is None:
        event = incremental.event_of(model)
        if event is None:
            raise CannotExplainError(
                f"no rows of {type(model).__name__} are known, because autolog observed no "
                "partial_fit of it; pass X, its training rows"
            )
    else:
        event = FitEvent(model, X, y, started=time.time())
    run_id = explain_at_once(current_options(), event)
    incremental.is_explained(model)
    return run_id
