"""Explanations as Azure ML stores them: values that JSON can hold, labels that studio understands.

The same for ExplanationClient and for `rest_writer`.
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
    """Return an explanation that is uploaded without distortion.

    Class names become text and labels become positions of their classes: ExplanationClient converts
    only labels that are all text, and drops everything but lists and arrays. Predictions of several
    targets are left out: an asset has room for one target.
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


def limit_rows(explanation: Explanation, points: int | None, random_state: int) -> Explanation:
    """Return an explanation with at most ``points`` explained rows.

    The aggregates stay those of all rows, and both views have the same rows.

    Args:
        explanation: The explanation.
        points: The most rows; 0 for no rows, None for all.
        random_state: The seed of the sample.
    """
    if points is None:
        return explanation
    if points == 0:
        return explanation.without_rows()
    engineered = explanation.engineered
    if engineered is not None:
        explanation = replace(explanation, engineered=limit_rows(engineered, points, random_state))
    count = n_rows(explanation)
    if count <= points:
        return explanation
    sample = np.random.default_rng(random_state).choice(count, points, replace=False)
    return rows_at(explanation, np.sort(sample))


def n_rows(explanation: Explanation) -> int:
    """Return the number of explained rows that an explanation holds."""
    if explanation.local_values is not None:
        return int(explanation.local_values.shape[-2])
    return max((len(values) for values in _by_row(explanation).values()), default=0)


def rows_at(explanation: Explanation, positions: Any) -> Explanation:
    """Return an explanation with the explained rows at some positions.

    The aggregates and their errors stay those of all rows.
    """
    fields = {
        name: values.iloc[positions].reset_index(drop=True)
        if isinstance(values, pd.DataFrame)
        else values[positions]
        for name, values in _by_row(explanation).items()
    }
    local = explanation.local_values
    if local is not None:
        fields["local_values"] = local[..., positions, :]
    return replace(
        explanation,
        **fields,
        global_errors=explanation.standard_errors(),
        per_class_errors=explanation.per_class_standard_errors(),
    )


def _by_row(explanation: Explanation) -> dict[str, Any]:
    names = ("predicted", "predicted_probabilities", "true_labels", "evaluation_rows")
    fields = {name: getattr(explanation, name) for name in names}
    return {name: values for name, values in fields.items() if values is not None}


def _positions(labels: Any, classes: tuple[Any, ...] | None) -> npt.NDArray[Any] | None:
    if labels is None or classes is None:
        return None if labels is None else np.asarray(labels)
    positions = {label: position for position, label in enumerate(classes)}
    by_text = {str(label): position for position, label in enumerate(classes)}
    known = [positions.get(label, by_text.get(str(label))) for label in np.asarray(labels).tolist()]
    # Labels that are not classes, for example after the user renamed the classes, do not change.
    return np.asarray(labels if None in known else known)


def table_to_json(rows: pd.DataFrame) -> Any:
    """Return rows as JSON values: numbers, booleans, text, and None for missing cells."""
    numeric = [isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in rows.dtypes]
    if all(numeric):
        numbers = rows.to_numpy(dtype=np.float64)
        return numbers if np.isfinite(numbers).all() else array_to_json(numbers)
    columns = [
        array_to_json(rows.iloc[:, i].to_numpy())
        if is_numeric
        else [_cell_to_json(cell) for cell in rows.iloc[:, i]]
        for i, is_numeric in enumerate(numeric)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def array_to_json(values: npt.NDArray[Any]) -> list[Any]:
    """Return an array as nested lists, with None for values that are not finite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        missing = ~np.isfinite(values)
        values = values.astype(object)
        values[missing] = None
    elif values.dtype.kind == "O":
        flat = [_cell_to_json(cell) for cell in values.ravel().tolist()]
        values = np.fromiter(flat, dtype=object, count=len(flat)).reshape(values.shape)
    as_list: list[Any] = values.tolist()
    return as_list


def _cell_to_json(cell: Any) -> Any:
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return None
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return cell if isinstance(cell, (bool, int, float, str)) else str(cell)
