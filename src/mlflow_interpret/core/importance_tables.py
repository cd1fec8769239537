"""Ranked importances as tables in the format of `mlflow.log_table`."""

from __future__ import annotations

from typing import Any

from mlflow_interpret.core.directions import direction_of
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.json_files import labels_to_json, to_json_numbers
from mlflow_interpret.core.statistics import rank, shares, significant


def global_table(explanation: Explanation) -> dict[str, Any]:
    """Return all features, ranked, as a table in the format of `mlflow.log_table`.

    The numbers are rounded for reading; ``explanation.json`` holds all digits.
    """
    errors = explanation.standard_errors()
    values, parts = explanation.global_values, shares(explanation.global_values)
    rows = [
        [
            explanation.features[i],
            round(float(parts[i]), 4),
            significant(float(values[i])),
            position,
            None if errors is None else significant(float(errors[i]), 2),
            _direction_text(explanation, explanation.features[i]),
        ]
        for position, i in enumerate(rank(values), start=1)
    ]
    columns = ["feature", "share", "importance", "rank", "standard_error", "direction"]
    return {"columns": columns, "data": _rows_to_json(rows)}


def _direction_text(explanation: Explanation, feature: str) -> str | None:
    direction = direction_of(explanation.details.directions, feature)
    return None if direction is None else direction.text


def per_class_table(explanation: Explanation) -> dict[str, Any]:
    """Return all features, ranked for each class or target, as a table like `global_table`."""
    values = explanation.per_class_values
    if values is None:
        return {"columns": [], "data": []}
    names = labels_to_json(explanation.output_names or tuple(range(len(values))))
    kind = "target" if explanation.classes is None and explanation.targets else "class"
    rows = [
        [label, explanation.features[i], significant(float(values[c, i])), position]
        for c, label in enumerate(names)
        for position, i in enumerate(rank(values[c]), start=1)
    ]
    return {"columns": [kind, "feature", "importance", "rank"], "data": _rows_to_json(rows)}


def _rows_to_json(rows: list[list[Any]]) -> list[list[Any]]:
    return [
        [to_json_numbers(cell) if isinstance(cell, float) else cell for cell in row] for row in rows
    ]
