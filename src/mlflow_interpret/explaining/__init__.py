"""From a training context to an explanation."""

from __future__ import annotations

import math
import platform
import time
from importlib import metadata
from typing import Any

import numpy as np

from mlflow_interpret.errors import CannotExplainError
from mlflow_interpret.explaining.engines import (
    BACKGROUND_ROWS,
    LINEAR_ROWS,
    Contributions,
    contributions,
)
from mlflow_interpret.explaining.models import Predictor, last_step, predictor
from mlflow_interpret.explaining.tables import (
    Table,
    as_rows,
    feature_names,
    n_columns,
    n_rows,
    sample,
    table,
    take,
)
from mlflow_interpret.records import Explanation, TrainingContext

__all__ = ["explain"]

_CELLS = 10_000_000  # dense cells: a vectorizer's sparse table may be far larger
_PACKAGES = ("mlflow-interpret", "interpret-community", "shap", "scikit-learn", "numpy", "mlflow")


def explain(context: TrainingContext, max_rows: int | None, seed: int) -> Explanation:
    """Compute the global explanation of a fitted model.

    Args:
        context: The model and its rows.
        max_rows: Explain at most so many rows, None for a cap that suits the engine.
        seed: Chooses rows and seeds the engine.

    Raises:
        CannotExplainError: The model or its rows cannot be explained; the message says why.
    """
    started = time.perf_counter()
    model = predictor(context.model, context.classes)
    names = feature_names(as_rows(context.X), context.features)
    cells = len(names) * len(model.classes or (None,))
    rows, labels, source = _rows_to_explain(context, names, max_rows, seed, cells)
    background = _background(context, names, seed, cells)
    values = contributions(model, rows, background, max_rows, seed)
    explained = rows.subset(values.rows)
    per_class = np.abs(values.local_values).mean(axis=-2)
    explanation = Explanation(
        method=values.method,
        task=model.task,
        model_class=f"{type(model.model).__module__}.{type(model.model).__qualname__}",
        features=names,
        global_values=per_class.mean(axis=0) if model.classes is not None else per_class,
        classes=model.classes,
        per_class_values=per_class if model.classes is not None else None,
        local_values=values.local_values,
        expected_values=values.expected_values,
        evaluation_rows=explained.frame,
        predicted=model.predict(explained.original),
        predicted_probabilities=model.probabilities(explained.original),
        true_labels=None if labels is None else labels[values.rows],
        details=_details(context, model, values, source, n_columns(as_rows(context.X)), seed),
    )
    explanation.details["seconds"] = round(time.perf_counter() - started, 3)  # type: ignore[index]
    return explanation


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
    indices = sample(n_rows(source), min(BACKGROUND_ROWS, _room(cells)), seed)
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
        "output_scale": values.scale,
        "additivity_error": error if math.isfinite(error) else None,
        "rows": {**source, "explained": len(values.rows)},
        "background_rows": values.background_rows,
        "features": width,
        "random_state": seed,
        "notes": notes,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
