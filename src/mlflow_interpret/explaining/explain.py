"""From a training context to an explanation."""

from __future__ import annotations

import math
import platform
import time
from dataclasses import replace
from importlib import metadata

import numpy as np
from sklearn import config_context

from mlflow_interpret.core.details import Details, ModelInfo, Note, RowCounts, as_notes
from mlflow_interpret.core.explanation import Explanation, Plan, TrainingContext
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import AttributionResult
from mlflow_interpret.explaining.convergence import intervals, recorded
from mlflow_interpret.explaining.explainers.base import ExplainRequest
from mlflow_interpret.explaining.inputs import ExplainInputs, draw_inputs
from mlflow_interpret.explaining.model_adapter import ModelAdapter, last_step
from mlflow_interpret.explaining.partitions import explain_partitions
from mlflow_interpret.explaining.row_sources import is_partitioned
from mlflow_interpret.explaining.select import explain_rows
from mlflow_interpret.explaining.time_budget import Budget

__all__ = ["draw_inputs", "explain", "explain_inputs"]

_ENGINEERED_CELLS = 2_000_000  # contributions that an engineered view keeps
_PACKAGES = ("mlflow-interpret", "interpret-community", "shap", "scikit-learn", "numpy", "mlflow")


def explain(context: TrainingContext, plan: Plan | None = None) -> Explanation:
    """Compute the global explanation of a fitted model.

    Args:
        context: The model and its rows.
        plan: How it is to be explained; None for the defaults.

    Raises:
        CannotExplainError: The model or its rows cannot be explained; the message says why.
    """
    plan = Plan() if plan is None else plan
    return explain_inputs(draw_inputs(context, plan), plan)


def explain_inputs(subject: ExplainInputs, plan: Plan) -> Explanation:
    """As `explain`, for a model whose rows are drawn already.

    Args:
        subject: The model and its rows.
        plan: The plan that the rows were drawn by.

    Raises:
        CannotExplainError: The model or its rows cannot be explained; the message says why.
    """
    with config_context(**subject.settings):
        if is_partitioned(subject.rows):
            return _streamed(subject, plan)
        return _explained(subject, plan)


def _explained(subject: ExplainInputs, plan: Plan) -> Explanation:
    started = time.perf_counter()
    budget, available = Budget(plan.time_budget), subject.source["available"]
    model, rows = subject.adapter(), subject.to_explain()
    request = ExplainRequest(model, subject.known(), plan, budget)
    values = explain_rows(request, rows, available)
    explained = rows.subset(values.rows)
    raw = _explanation(model, values, values.local_values, subject.names)
    raw = replace(
        raw,
        evaluation_rows=explained.frame,
        predicted=model.predict(explained.original),
        predicted_probabilities=model.probabilities(explained.original),
        true_labels=None if subject.labels is None else subject.labels[values.rows],
        is_raw=hasattr(model.model, "steps"),
        details=_details(subject, model, values, plan),
    )
    raw = replace(raw, engineered=_engineered(raw, model, values, available))
    return _timed(raw, started)


def _streamed(subject: ExplainInputs, plan: Plan) -> Explanation:
    """The explanation of rows in partitions: global values of all, single values of a sample."""
    started = time.perf_counter()
    model = subject.adapter()
    found = explain_partitions(subject, model, plan)
    values, rows, available = found.sample, found.rows, found.available
    subject = replace(subject, source={**subject.source, "available": available})
    per_class = found.sums.importances()
    raw = _explanation(model, values, values.local_values, subject.names)
    raw = replace(
        raw,
        global_values=per_class.mean(axis=0),
        per_class_values=None if model.output_names is None else per_class,
        global_errors=found.sums.errors(),
        evaluation_rows=rows.frame,
        predicted=model.predict(rows.original),
        predicted_probabilities=model.probabilities(rows.original),
        is_raw=hasattr(model.model, "steps"),
        details=replace(
            _details(subject, model, values, plan),
            sampling_error=found.sampling_error,
            rows=RowCounts(**subject.source, explained=found.sums.n, kept=len(rows)),
            stopped="all rows" if found.sums.n == available else "max_rows",
            has_converged=found.sums.n == available,
            intervals=recorded(found.intervals(), available),
            histograms=tuple(found.histograms),
        ),
    )
    return _timed(raw, started)


def _timed(explanation: Explanation, started: float) -> Explanation:
    """Return the explanation with the duration since ``started``."""
    seconds = round(time.perf_counter() - started, 3)
    return replace(explanation, details=replace(explanation.details, seconds=seconds))


def _explanation(
    model: ModelAdapter,
    values: AttributionResult,
    local: FloatArray,
    names: tuple[str, ...],
) -> Explanation:
    per_class = np.abs(local).mean(axis=-2)
    several = model.output_names is not None
    return Explanation(
        method=values.method,
        task=model.task,
        model_class=f"{type(model.model).__module__}.{type(model.model).__qualname__}",
        features=names,
        global_values=per_class.mean(axis=0) if several else per_class,
        classes=model.classes,
        targets=model.targets,
        per_class_values=per_class if several else None,
        local_values=local,
        expected_values=values.expected_values,
    )


def _engineered(
    raw: Explanation, model: ModelAdapter, values: AttributionResult, n_available: int
) -> Explanation | None:
    """The view by engineered column, beside that by raw column."""
    if values.engineered is None:
        return None
    frame = values.engineered.rows.frame
    local = values.engineered.local_values
    view = replace(
        _explanation(model, values, local, tuple(frame.columns)),
        is_engineered=True,
        details=replace(
            raw.details,
            n_features=frame.shape[1],
            intervals=recorded(
                intervals(tuple(frame.columns), local, n_available, None), n_available
            ),
            raw_explanation_id=raw.id,
            notes=as_notes(["The last step's own columns; raw_explanation_id sums them up."]),
        ),
    )
    if local.size > _ENGINEERED_CELLS:  # as of a vectorizer: megabytes of a view few look at
        return view.without_rows()
    return replace(
        view,
        evaluation_rows=frame,
        predicted=raw.predicted,
        predicted_probabilities=raw.predicted_probabilities,
        true_labels=raw.true_labels,
    )


def _details(
    subject: ExplainInputs, model: ModelAdapter, values: AttributionResult, plan: Plan
) -> Details:
    available = subject.source["available"]
    notes: list[str | Note] = list(values.notes)
    breach = values.breach
    if breach is not None:
        notes.append(breach)
    if subject.source["source"] == "training rows":
        notes.append("The explained rows are training rows; evaluation_examples gives others.")
    if not np.any(values.local_values):
        notes.append("All importances are 0: the model's output does not change with its features.")
    error, fitted = values.additivity_error, type(subject.estimator).__name__
    return Details(
        model=ModelInfo(fitted, model.path or fitted, last_step(model.model)),
        engine=values.engine,
        output_scale=values.scale,
        additivity_error=error if math.isfinite(error) else None,
        additivity_breach=breach,
        sampling_error=_sampling_error(values),
        rows=RowCounts(**subject.source, explained=len(values.rows)),
        stopped=values.stopped,
        has_converged=values.settled,
        partial=values.partial,
        time_budget=plan.time_budget,
        intervals=recorded(
            intervals(subject.names, values.local_values, available, values.sampling_error),
            available,
        ),
        background_rows=values.background_rows,
        n_features=len(subject.names),
        random_state=plan.random_state,
        notes=as_notes(notes),
        versions=_versions(),
    )


def _sampling_error(values: AttributionResult) -> float | None:
    """The typical standard error of a local value, of the size of a row's largest value."""
    if values.sampling_error is None:
        return None
    typical = np.sqrt(np.mean(values.sampling_error**2))
    size = np.abs(values.local_values).max(axis=-1).mean()
    return float(typical / size) if size > 0 else 0.0


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
