"""An explanation made ready for Azure ML: what JSON can hold, and labels that studio understands.

It is the same for ExplanationClient and for our own writer.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.core.explanation import Explanation


def sanitize_for_json(explanation: Explanation) -> Explanation:
    """The explanation as it is uploaded undistorted.

    Class names become text and labels the positions of their classes: ExplanationClient maps
    labels only where all of them are text, and drops what is no list or array. Predictions of
    several targets are left out: the asset knows of one.
    """
    if explanation.targets is not None:
        explanation = replace(
            explanation, predicted=None, predicted_probabilities=None, true_labels=None
        )
    classes = explanation.classes
    return replace(
        explanation,
        classes=None if classes is None else tuple(str(label) for label in classes),
        predicted=_positions(explanation.predicted, classes),
        true_labels=_positions(explanation.true_labels, classes),
    )


def capped(explanation: Explanation, points: int | None, random_state: int) -> Explanation:
    """The explanation with what belongs to single rows for at most so many of them.

    The aggregates stay those of all rows, and both views keep the same rows.

    Args:
        explanation: The explanation.
        points: So many rows; 0 leaves them out, None keeps all.
        random_state: Chooses them.
    """
    if points is None:
        return explanation
    if points == 0:
        return explanation.without_rows()
    engineered = explanation.engineered
    if engineered is not None:
        explanation = replace(explanation, engineered=capped(engineered, points, random_state))
    by_row = {
        name: getattr(explanation, name)
        for name in ("predicted", "predicted_probabilities", "true_labels", "evaluation_rows")
        if getattr(explanation, name) is not None
    }
    local = explanation.local_values
    rows = local.shape[-2] if local is not None else max(map(len, by_row.values()), default=0)
    if rows <= points:
        return explanation
    chosen = np.sort(np.random.default_rng(random_state).choice(rows, points, replace=False))
    cut = {
        name: values.iloc[chosen] if isinstance(values, pd.DataFrame) else values[chosen]
        for name, values in by_row.items()
    }
    if local is not None:
        cut["local_values"] = local[..., chosen, :]
    return replace(explanation, **cut)


def _positions(labels: Any, classes: tuple[Any, ...] | None) -> npt.NDArray[Any] | None:
    if labels is None or classes is None:
        return None if labels is None else np.asarray(labels)
    positions = {label: position for position, label in enumerate(classes)}
    by_text = {str(label): position for position, label in enumerate(classes)}
    found = [positions.get(label, by_text.get(str(label))) for label in np.asarray(labels).tolist()]
    # Labels that are no classes, as where the user renamed the classes, stay as they are.
    return np.asarray(labels if None in found else found)


def cells(rows: pd.DataFrame) -> Any:
    """The rows as JSON can hold them: numbers, booleans, text, and None where there is nothing."""
    numeric = [isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in rows.dtypes]
    if all(numeric):
        numbers = rows.to_numpy(dtype=np.float64)
        return numbers if np.isfinite(numbers).all() else plain(numbers)
    columns = [
        plain(rows.iloc[:, i].to_numpy()) if is_plain else [_cell(cell) for cell in rows.iloc[:, i]]
        for i, is_plain in enumerate(numeric)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def plain(values: npt.NDArray[Any]) -> list[Any]:
    """An array as nested lists; None for what is not finite, which JSON cannot say."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        missing = ~np.isfinite(values)
        values = values.astype(object)
        values[missing] = None
    elif values.dtype.kind == "O":
        flat = [_cell(cell) for cell in values.ravel().tolist()]
        values = np.fromiter(flat, dtype=object, count=len(flat)).reshape(values.shape)
    as_list: list[Any] = values.tolist()
    return as_list


def _cell(cell: Any) -> Any:
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return None
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return cell if isinstance(cell, (bool, int, float, str)) else str(cell)
