"""From a training context to an explanation."""

from __future__ import annotations

import math
import platform
import time
from dataclasses import replace
from importlib import metadata
from typing import Any

import numpy as np

from mlflow_interpret.errors import CannotExplainError
from mlflow_interpret.explaining.containers import as_rows, n_columns, n_rows, take
from mlflow_interpret.explaining.contributions import Contributions
from mlflow_interpret.explaining.engines import contributions
from mlflow_interpret.explaining.linear import LINEAR_ROWS
from mlflow_interpret.explaining.models import Predictor, last_step, predictor
from mlflow_interpret.explaining.tables import Table, feature_names, sample, table
from mlflow_interpret.records import Explanation, FloatArray, Plan, TrainingContext

__all__ = ["explain"]

_CELLS = 10_000_000  # dense cells: a vectorizer's sparse table may be far larger
_BACKGROUND_ROWS = 10_000  # the engines that pay for each row take fewer of them
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
    started = time.perf_counter()
    plan = Plan() if plan is None else plan
    seed = plan.random_state
    given = as_rows(context.X)
    model = predictor(context.model, context.classes, _first(given), _targets(context))
    names = feature_names(given, context.features)
    cells = len(names) * len(model.blocks or (None,))
    rows, labels, source = _rows_to_explain(context, names, plan.max_rows, seed, cells)
    background = _background(context, names, seed, cells)
    values = contributions(model, rows, background, plan)
    explained = rows.subset(values.rows)
    raw = _explanation(model, values, values.local_values, names)
    raw = replace(
        raw,
        evaluation_rows=explained.frame,
        predicted=model.predict(explained.original),
        predicted_probabilities=model.probabilities(explained.original),
        true_labels=None if labels is None else labels[values.rows],
        is_raw=hasattr(model.model, "steps"),
        details=_details(context, model, values, source, n_columns(given), seed),
    )
    raw = replace(raw, engineered=_engineered(raw, model, values))
    raw.details["seconds"] = round(time.perf_counter() - started, 3)  # type: ignore[index]
    return raw


def _first(rows: Any) -> Any:
    return take(rows, np.arange(1)) if n_rows(rows) else None


def _targets(context: TrainingContext) -> list[str] | None:
    """The names of the targets, where the labels came as a table with names."""
    labels = context.evaluation_labels if context.y is None else context.y
    columns = getattr(labels, "columns", None)
    return None if columns is None else [str(column) for column in columns]


def _explanation(
    model: Predictor, values: Contributions, local: FloatArray, names: tuple[str, ...]
) -> Explanation:
    per_class = np.abs(local).mean(axis=-2)
    several = model.blocks is not None
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


def _engineered(raw: Explanation, model: Predictor, values: Contributions) -> Explanation | None:
    """The view by engineered column, beside that by raw column."""
    if values.engineered is None:
        return None
    frame = values.engineered.rows.frame
    local = values.engineered.local_values
    view = replace(
        _explanation(model, values, local, tuple(frame.columns)),
        is_engineered=True,
        details={
            **raw.details,
            "features": frame.shape[1],
            "raw_explanation_id": raw.id,
            "notes": ["The last step's own columns; raw_explanation_id sums them up."],
        },
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


def _rows_to_explain(
    context: TrainingContext, names: tuple[str, ...], max_rows: int | None, seed: int, cells: int
) -> tuple[Table, Any, dict[str, Any]]:
    """The rows an engine may choose from, their true labels, and where they come from."""
    template = as_rows(context.X)
    given = context.evaluation_examples is not None
    source = as_rows(context.evaluation_examples, "evaluation_examples") if given else template
    labels = _column(context.evaluation_labels if given else context.y)
    total = n_rows(source)
    if total == 0:
        raise CannotExplainError("there are no rows to explain")
    if labels is not None and n_rows(labels) != total:
        raise CannotExplainError(
            f"evaluation_examples has {total} rows and {n_rows(labels)} labels"
        )
    limit = min(max(max_rows or 0, LINEAR_ROWS), _room(cells))
    indices = sample(total, limit, seed)
    rows = table(take(source, indices), names, template, "evaluation_examples")
    where = {"source": "evaluation_examples" if given else "training rows", "available": total}
    return rows, None if labels is None else np.asarray(take(labels, indices)), where


def _background(context: TrainingContext, names: tuple[str, ...], seed: int, cells: int) -> Table:
    template = as_rows(context.X)
    source = context.initialization_examples
    source = template if source is None else as_rows(source, "initialization_examples")
    indices = sample(n_rows(source), min(_BACKGROUND_ROWS, _room(cells)), seed)
    return table(take(source, indices), names, template, "initialization_examples")


def _column(labels: Any) -> Any:
    """Labels that came as a table of one column, as scikit-learn allows, without the table."""
    shape = getattr(labels, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != 1:
        return labels
    return labels.iloc[:, 0] if hasattr(labels, "iloc") else np.asarray(labels)[:, 0]


def _room(cells: int) -> int:
    """How many rows of so many contributions each are taken out of the user's table, at most."""
    return max(1, _CELLS // cells)


def _details(
    context: TrainingContext,
    model: Predictor,
    values: Contributions,
    source: dict[str, Any],
    width: int,
    seed: int,
) -> dict[str, Any]:
    notes = list(values.notes)
    breach = values.breach
    if breach is not None:
        notes.append(breach)
    if source["source"] == "training rows":
        notes.append("The explained rows are training rows; evaluation_examples gives others.")
    if not np.any(values.local_values):
        notes.append("All importances are 0: the model's output does not change with its features.")
    error = values.additivity_error
    return {
        "model": {
            "fitted": type(context.model).__name__,
            "explained": model.path or type(context.model).__name__,
            "estimator": last_step(model.model),
        },
        "engine": values.engine,
        "output_scale": values.scale,
        "additivity_error": error if math.isfinite(error) else None,
        "additivity_breach": breach,
        "sampling_error": _sampling_error(values),
        "rows": {**source, "explained": len(values.rows)},
        "background_rows": values.background_rows,
        "features": width,
        "random_state": seed,
        "notes": notes,
        "versions": _versions(),
    }


def _sampling_error(values: Contributions) -> float | None:
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
