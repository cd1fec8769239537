"""Ranked importances as tables in the format of `mlflow.log_table`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlflow_interpret.core.cross_validation import CrossValidation
from mlflow_interpret.core.directions import direction_of
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.json_files import labels_to_json, to_json_numbers
from mlflow_interpret.core.statistics import rank, shares, significant


@dataclass(frozen=True)
class RankedFeature:
    """A feature with its importance.

    Attributes:
        name: The name.
        importance: The importance.
        share: The share of the total importance, from 0 to 1.
        rank: 1 for the most important feature.
        standard_error: The standard error of the importance, or None.
        direction: The direction in which the feature moves the output, empty where it is unknown.
    """

    name: str
    importance: float
    share: float
    rank: int
    standard_error: float | None
    direction: str


def ranked_features(explanation: Explanation, top_k: int | None = None) -> list[RankedFeature]:
    """Return the features by falling importance.

    Args:
        explanation: The explanation.
        top_k: The number of features. Default: all.
    """
    values, errors = explanation.global_values, explanation.standard_errors()
    parts, directions = shares(values), explanation.details.directions
    ranked = []
    for position, i in enumerate(rank(values)[:top_k], start=1):
        name = explanation.features[i]
        error = None if errors is None else float(errors[i])
        direction = direction_of(directions, name)
        text = "" if direction is None else direction.text
        ranked.append(RankedFeature(name, float(values[i]), float(parts[i]), position, error, text))
    return ranked


def global_table(explanation: Explanation) -> dict[str, Any]:
    """Return all features, ranked, as a table in the format of `mlflow.log_table`.

    The numbers are rounded for reading; ``explanation.json`` holds all digits.
    """
    rows = [
        [
            feature.name,
            round(feature.share, 4),
            significant(feature.importance),
            feature.rank,
            None if feature.standard_error is None else significant(feature.standard_error, 2),
            feature.direction or None,
        ]
        for feature in ranked_features(explanation)
    ]
    columns = ["feature", "share", "importance", "rank", "standard_error", "direction"]
    return {"columns": columns, "data": _rows_to_json(rows)}


def per_class_table(explanation: Explanation) -> dict[str, Any]:
    """Return all features, ranked for each class or target, as a table like `global_table`."""
    values = explanation.per_class_values
    if values is None:
        return {"columns": [], "data": []}
    names = labels_to_json(explanation.output_names or tuple(range(len(values))))
    kind = "target" if explanation.classes is None and explanation.targets else "class"
    rows = []
    for c, label in enumerate(names):
        for position, i in enumerate(rank(values[c]), start=1):
            name = explanation.features[i]
            direction = direction_text(explanation, name, c) or None
            rows.append([label, name, significant(float(values[c, i])), position, direction])
    columns = [kind, "feature", "importance", "rank", "direction"]
    return {"columns": columns, "data": _rows_to_json(rows)}


def direction_text(explanation: Explanation, feature: str, output: int) -> str:
    """Return the direction in which a feature moves an output, empty where it is unknown.

    Args:
        explanation: The explanation.
        feature: The feature.
        output: The position of the class or target.
    """
    direction = direction_of(explanation.details.directions, feature)
    if direction is None:
        return ""
    if explanation.has_two_classes and not direction.outputs:  # it is about the second class
        is_known = output == 1 or explanation.is_mirrored
        return (direction if output == 1 else direction.opposite).text if is_known else ""
    names = explanation.output_names or ()
    of_output = direction.outputs.get(str(names[output])) if output < len(names) else None
    return "" if of_output is None else of_output.text


def fold_table(folds: CrossValidation, features: Sequence[str]) -> dict[str, Any]:
    """Return the importances of all features by fold, ranked, as a table like `global_table`."""
    means, deviations = folds.importances.mean(axis=0), folds.standard_deviations()
    parts = shares(means)
    columns = ["feature", "share", "mean", "standard_deviation"]
    columns += [f"fold_{number}" for number in range(1, len(folds) + 1)]
    rows = [
        [
            features[i],
            round(float(parts[i]), 4),
            significant(float(means[i])),
            significant(float(deviations[i]), 2),
            *(significant(float(value)) for value in folds.importances[:, i]),
        ]
        for i in rank(means)
    ]
    return {"columns": columns, "data": _rows_to_json(rows)}


def score_table(folds: CrossValidation) -> dict[str, Any]:
    """Return the rows and scores of each fold as a table in the format of `mlflow.log_table`."""
    columns = ["fold", "train_rows", "test_rows", *folds.scores]
    values = zip(folds.train_rows, folds.test_rows, *folds.scores.values(), strict=True)
    rows = [[number, *row] for number, row in enumerate(values, start=1)]
    return {"columns": columns, "data": _rows_to_json(rows)}


def _rows_to_json(rows: list[list[Any]]) -> list[list[Any]]:
    return [
        [to_json_numbers(cell) if isinstance(cell, float) else cell for cell in row] for row in rows
    ]
