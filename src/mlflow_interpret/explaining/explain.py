"""Compute an explanation from a training context."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import metadata

import numpy as np
from sklearn import config_context

from mlflow_interpret.core.details import Details, ModelInfo, Note, RowCounts, as_notes
from mlflow_interpret.core.directions import directions_of
from mlflow_interpret.core.explanation import Explanation, Plan, TrainingContext
from mlflow_interpret.core.interactions import Interactions
from mlflow_interpret.explaining.attributions import AttributionResult
from mlflow_interpret.explaining.background_rows import stored_background
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.convergence import interval_record
from mlflow_interpret.explaining.dataframes import is_one_dimensional
from mlflow_interpret.explaining.engineered_views import by_engineered_column, by_words
from mlflow_interpret.explaining.explainers.base import ExplainRequest
from mlflow_interpret.explaining.fitted_models import last_step
from mlflow_interpret.explaining.grouping import with_word_groups
from mlflow_interpret.explaining.inputs import ExplainInputs, draw_inputs
from mlflow_interpret.explaining.interactions import compute_interactions
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.requested_output import output_notes, with_available_output
from mlflow_interpret.explaining.row_sources import RowSource, row_source
from mlflow_interpret.explaining.select import explain_rows
from mlflow_interpret.explaining.time_budget import Budget, Clock

__all__ = ["draw_inputs", "explain", "explain_inputs"]

_PACKAGES = ("mlflow-interpret", "interpret-community", "shap", "scikit-learn", "numpy", "mlflow")


def explain(
    context: TrainingContext, plan: Plan | None = None, clock: Clock = time.monotonic
) -> Explanation:
    """Compute the global explanation of a fitted model.

    Args:
        context: The model and its rows.
        plan: The options; None for the defaults.
        clock: Measures the time budget.

    Raises:
        CannotExplainError: The model or its rows cannot be explained; the message says why.
    """
    plan = Plan() if plan is None else plan
    return explain_inputs(draw_inputs(context, plan), plan, clock)


def explain_inputs(inputs: ExplainInputs, plan: Plan, clock: Clock = time.monotonic) -> Explanation:
    """Compute the global explanation of a model whose rows are drawn already.

    Args:
        inputs: The model and its rows.
        plan: The options with which the rows were drawn.
        clock: Measures the time budget.

    Raises:
        CannotExplainError: The model or its rows cannot be explained; the message says why.
    """
    with config_context(**inputs.settings):
        return _explain(inputs, plan, clock)


def _explain(inputs: ExplainInputs, plan: Plan, clock: Clock) -> Explanation:
    start = time.perf_counter()
    adapter, source = inputs.adapter(), row_source(inputs, plan.random_state)
    background = inputs.background_rows()
    plan, output_replaced = with_available_output(plan, adapter, background)
    # Partitions are explained in full, wherever they lie, so a budget does not apply to them.
    budget = Budget(None if source.is_partitioned else plan.time_budget, clock)
    request = ExplainRequest(
        adapter,
        background,
        plan,
        budget,
        is_background_given=inputs.is_background_given,
    )
    result = explain_rows(request, source)
    if inputs.text_grouping is not None and result.engineered is None:
        groups, groups_missing = inputs.text_grouping.resolve(inputs.names)
        inputs = replace(inputs, groups=groups, groups_missing=groups_missing)
    notes = output_replaced or output_notes(plan.output, result.scale, adapter)
    result = replace(result, notes=tuple(dict.fromkeys((*notes, *result.notes))))
    rows = source.kept_rows(result.aggregates)
    importances = result.aggregates.importances()
    explanation = Explanation(
        method=result.method,
        task=adapter.task,
        model_class=adapter.class_path,
        features=inputs.names,
        global_values=importances.mean(axis=0),
        classes=adapter.classes,
        targets=adapter.targets,
        per_class_values=None if adapter.output_names is None else importances,
        local_values=result.local_values,
        expected_values=result.expected_values,
        global_errors=result.aggregates.errors(),
        evaluation_rows=rows.frame,
        predicted=adapter.predict(rows.original),
        predicted_probabilities=adapter.probabilities(rows.original),
        true_labels=None if inputs.labels is None else inputs.labels[result.rows],
        is_raw=hasattr(adapter.model, "steps"),
        groups=(
            None
            if inputs.groups is None
            else result.aggregates.group_importances(inputs.groups, source.n_available)
        ),
        details=_details(inputs, adapter, source, result, plan),
    )
    explanation = _with_views(explanation, inputs, result, source.n_available)
    explanation = _with_interactions(explanation, request, result, rows)
    details = replace(
        explanation.details,
        directions=directions_of(explanation),
        seconds=round(time.perf_counter() - start, 3),
    )
    return replace(
        explanation,
        details=details,
        background=stored_background(inputs, adapter, background, result, plan),
    )


def _with_views(
    raw: Explanation, inputs: ExplainInputs, result: AttributionResult, n_available: int
) -> Explanation:
    """The explanation with its view by engineered column; that of texts is by word instead."""
    if result.engineered is None:
        return raw
    if not is_one_dimensional(inputs.template):
        return replace(raw, engineered=by_engineered_column(raw, result.engineered, n_available))
    by_word = by_words(raw, result.engineered, n_available)
    if inputs.text_grouping is None:
        return by_word
    return with_word_groups(by_word, inputs.text_grouping, n_available)


def _with_interactions(
    explanation: Explanation, request: ExplainRequest, result: AttributionResult, rows: RowBatch
) -> Explanation:
    """The explanation with the interactions that the plan asks for, or with the reason why not."""
    interactions: Interactions | None = None
    notes: tuple[str | Note, ...] = ()
    if is_one_dimensional(request.background.template):
        if request.plan.interactions:
            notes = ("Interactions were not computed: the rows are texts.",)
    else:
        interactions, notes = compute_interactions(
            request, result, rows, explanation.global_values, explanation.features
        )
    all_notes = (*explanation.details.notes, *as_notes(notes))
    details = replace(explanation.details, notes=all_notes)
    return replace(explanation, interactions=interactions, details=details)


def _details(
    inputs: ExplainInputs,
    adapter: ModelAdapter,
    source: RowSource,
    result: AttributionResult,
    plan: Plan,
) -> Details:
    aggregates, n_available = result.aggregates, source.n_available
    error, fitted = result.additivity_error, type(inputs.estimator).__name__
    histograms = aggregates.histograms(inputs.names)
    return Details(
        model=ModelInfo(fitted, adapter.path or fitted, last_step(adapter.model)),
        engine=result.engine,
        output_scale=result.scale,
        additivity_error=error if math.isfinite(error) else None,
        additivity_breach=result.breach,
        attribution_check=result.attribution_check,
        sampling_error=aggregates.sampling_error,
        rows=RowCounts(
            source=inputs.origin["source"],
            available=n_available,
            explained=aggregates.n,
            kept=len(result.rows) if source.is_partitioned else None,
        ),
        stopped=result.stopped,
        has_converged=result.has_converged,
        partial=result.partial,
        time_budget=plan.time_budget,
        intervals=interval_record(aggregates.intervals(inputs.names, n_available), n_available),
        background_rows=result.background_rows,
        n_features=len(inputs.names),
        random_state=plan.random_state,
        notes=as_notes(_notes(inputs, result)),
        groups_missing=inputs.groups_missing,
        versions=_versions(),
        histograms=None if histograms is None else tuple(histograms),
    )


def _notes(inputs: ExplainInputs, result: AttributionResult) -> Iterator[str | Note]:
    yield from result.notes
    yield from inputs.notes
    if result.breach is not None:
        yield result.breach
    source = inputs.origin["source"]
    if source != "evaluation_examples":
        yield f"The explained rows are {source}; evaluation_examples gives others."
    if not np.any(result.local_values):
        yield "All importances are 0: the model's output does not change with its features."


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
