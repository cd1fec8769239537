"""Run `explain` on a case, as autolog does after a fit."""

from __future__ import annotations

import time
import traceback
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.covering.case import Case, Fitted, Missing
from benchmarks.covering.outcomes import ERROR, EXPLAINED, NOT_FITTED, NOT_INSTALLED, SKIPPED, Ours
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor

from mlflow_interpret.core.errors import CannotExplainError, one_line
from mlflow_interpret.core.explanation import Explanation, Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.runtime.isolation import suppress_warnings


@dataclass
class Explained:
    """A fitted case, our outcome, and the data for the peer.

    Attributes:
        fitted: The model and its rows; None if the fit failed.
        ours: The outcome.
        explanation: Our explanation, if there is one.
        positions: Which of the rows it explains; the first 20 without one.
    """

    fitted: Fitted | None
    ours: Ours
    explanation: Explanation | None = None
    positions: Any = None


def run(case: Case, max_rows: int | None) -> Explained:
    """Fit the case and explain it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.random.seed(0)  # noqa: NPY002 - of the estimators that have no random_state set
            fitted = case.fit()
    except Missing as missing:
        return Explained(None, Ours(NOT_INSTALLED, str(missing)))
    except Exception as error:
        return Explained(None, Ours(NOT_FITTED, f"{type(error).__name__}: {one_line(error)}"))
    return _explain(fitted, max_rows)


def warm_up() -> None:
    """Explain a small model, so that no case includes imports and compilation."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    for model in (LinearRegression(), RandomForestRegressor(3), KNeighborsRegressor()):
        _explain(Fitted(model.fit(X, X[:, 0]), X), None)


def _explain(fitted: Fitted, max_rows: int | None) -> Explained:
    n_rows = fitted.X.shape[0] if hasattr(fitted.X, "shape") else len(fitted.X)
    # The rows' numbers stand in for their labels, which `explain` only passes on: they come back
    # as those of the explained rows, and the peer gets the same rows.
    context = TrainingContext(model=fitted.model, X=fitted.X, y=np.arange(n_rows))
    first = np.arange(min(20, n_rows))
    started = time.perf_counter()
    try:
        with suppress_warnings():
            explanation = explain(context, Plan(max_rows))
    except CannotExplainError as error:
        ours = Ours(SKIPPED, one_line(error), seconds=time.perf_counter() - started)
        return Explained(fitted, ours, positions=first)
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        seconds = time.perf_counter() - started
        ours = Ours(ERROR, reason, seconds=seconds, trace=traceback.format_exc())
        return Explained(fitted, ours, positions=first)
    seconds = time.perf_counter() - started
    labels = explanation.true_labels
    positions = first if labels is None else np.asarray(labels).astype(np.intp).ravel()
    return Explained(fitted, _outcome(explanation, seconds), explanation, positions)


def _outcome(explanation: Explanation, seconds: float) -> Ours:
    predicted = explanation.predicted
    outputs = explanation.predicted_probabilities
    constant = outputs if outputs is not None else predicted
    problem = _problem(explanation)
    return Ours(
        status=ERROR if problem else EXPLAINED,
        reason=problem,
        method=explanation.method,
        scale=str(explanation.details.output_scale or ""),
        error=explanation.details.additivity_error,
        seconds=seconds,
        rows=explanation.details.rows.explained,
        zeros=not np.any(explanation.global_values),
        constant=constant is not None and _is_constant(np.asarray(constant)),
    )


def _problem(explanation: Explanation) -> str:
    """Check that the values are finite and have the right shape."""
    if not np.isfinite(explanation.global_values).all():
        return "importances that are not finite"
    if explanation.global_values.shape != (len(explanation.features),):
        return f"importances of shape {explanation.global_values.shape}"
    return ""


def _is_constant(values: Any) -> bool:
    if values.dtype.kind == "f":
        return bool(np.ptp(values, axis=0).max(initial=0.0) < 1e-12)
    return bool((values == values[:1]).all())
