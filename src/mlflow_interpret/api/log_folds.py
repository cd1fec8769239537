"""Log the explanations and scores of a cross-validation to MLflow runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from mlflow_interpret.autologging.run_context import ExplanationRun, RunContext, active_run
from mlflow_interpret.core.cross_validation import CrossValidation
from mlflow_interpret.core.errors import one_line
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.runtime.messages import warn
from mlflow_interpret.stores import mlflow as mlflow_store

_logger = logging.getLogger("mlflow_interpret")


def log_folds(
    record: Explanation,
    folds: Sequence[Explanation],
    run_id: str | None,
    options: Options,
    *,
    child_runs: bool,
) -> tuple[str | None, tuple[str, ...]]:
    """Log the mean explanation of a cross-validation, its scores and, on request, its folds.

    A failure is a warning, because the fits and explanations took long.

    Args:
        record: The mean explanation.
        folds: The explanations of the folds.
        run_id: The run, or None for the active or a new one.
        options: The options.
        child_runs: Log each fold to a run of its own, too.

    Returns:
        The run, None if the mean explanation could not be logged; and the runs of the folds.
    """
    from mlflow_interpret.autologging.baseline import log_to_run

    uri = mlflow_store.current_tracking_uri()
    context = RunContext(uri, run_id or active_run()[0])
    scores = cross_validation_of(record).scores
    logged, children = None, []
    try:
        with suppress_warnings(), ExplanationRun(context, record.id) as chosen:
            logged = log_to_run(record, chosen, uri, options).run_id
            mlflow_store.log_scores(uri, chosen, _summary(record), _by_fold(record))
            for number, fold in enumerate(folds if child_runs else (), start=1):
                with mlflow_store.child_run(uri, chosen, f"fold {number}") as child:
                    log_to_run(fold, child, uri, options)
                    values = {name: values[number - 1] for name, values in scores.items()}
                    mlflow_store.log_scores(uri, child, values, {})
                children.append(child)
    except Exception as error:
        _logger.debug("The cross-validation was not logged", exc_info=True)
        missing = "The explanation" if logged is None else "Scores or folds"
        warn(
            options,
            f"{missing} of the cross-validation could not be logged: "
            f"{one_line(error).rstrip('.')}. The result has them; log an explanation with "
            "mlflow_interpret.log_explanation(result.explanation)",
        )
    return logged, tuple(children)


def _summary(record: Explanation) -> dict[str, float]:
    """Metrics over the folds, in the words of scikit-learn's ``cv_results_``."""
    folds = cross_validation_of(record)
    summary = {f"mean_{name}": float(np.mean(values)) for name, values in folds.scores.items()}
    for name, values in folds.scores.items():
        if not _is_time(name):
            summary[f"std_{name}"] = float(np.std(values))
    if folds.ranking_agreement is not None:
        summary["ranking_agreement"] = folds.ranking_agreement
    return summary


def _by_fold(record: Explanation) -> dict[str, Sequence[float]]:
    scores = cross_validation_of(record).scores
    return {f"fold_{name}": values for name, values in scores.items() if not _is_time(name)}


def _is_time(name: str) -> bool:
    return name in {"fit_time", "score_time"}


def cross_validation_of(record: Explanation) -> CrossValidation:
    """Return the folds of a mean explanation."""
    folds = record.cross_validation
    if folds is None:
        raise ValueError("the explanation is of a single model")
    return folds
