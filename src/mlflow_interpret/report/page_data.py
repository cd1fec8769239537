"""Data for the script of the report: importances by class, and a compact sample of rows.

A page must stay small enough to open anywhere. It therefore has a seeded sample of the explained
rows, for the most important features only if there are many features or classes. Each value takes
two bytes, or one where there are many: a position between the smallest and the largest value. The
files beside the page are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_interpret.core.directions import direction_of
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.importance_tables import direction_text
from mlflow_interpret.core.statistics import FloatArray, rank, sample_rows
from mlflow_interpret.core.text import truncate
from mlflow_interpret.rendering import html
from mlflow_interpret.report import distributions
from mlflow_interpret.report.encoded_columns import MISSING, encode, ranged, round_number
from mlflow_interpret.report.single_rows import row_data

MAX_FEATURES = 1000
"""Number of features that a page lists at most."""

MAX_OUTPUTS = 40
"""Number of classes or targets that can be selected on a page at most."""

_MAX_IMPORTANCES = 20_000  # features times outputs
_MAX_BYTES = 300_000  # of the table, the importances by class and the points
_MIN_POINT_BYTES = 60_000  # of the points, regardless of the other parts
_ROW_BYTES = 220  # of the table for one feature, without its name
_IMPORTANCE_BYTES = 17  # of one importance and its standard error
_BYTES_PER_POINT = 4 / 3  # base64
_COLUMN_BYTES = 30  # of a column of points, without the points
_MAX_ROWS = 1000  # more points would cover each other
_SUFFICIENT_ROWS = 150  # to recognize a distribution
_MIN_DISTRIBUTIONS = 20
_MAX_PRECISE_BYTES = 100_000  # of the points with two bytes each
_CATEGORY_LENGTH = 40
_MAX_DIRECTIONS = 30


@dataclass(frozen=True, eq=False)
class Selection:
    """The part of an explanation that a page has.

    Attributes:
        features: Positions of the features in the table, the most important first. The page
            identifies a feature by its index in this list.
        outputs: Positions of the classes or targets that can be selected.
        n_distributions: Number of listed features, from the first on, that have distributions.
        rows: Positions of the sampled rows.
        n_bytes: Number of bytes of each value and contribution, 1 or 2.
    """

    features: list[int]
    outputs: list[int]
    n_distributions: int
    rows: Any
    n_bytes: int = 2


def select(explanation: Explanation) -> Selection:
    """Select the features, outputs and rows that fit on a page."""
    features = [int(i) for i in rank(explanation.global_values)[:MAX_FEATURES]]
    width = len(features)
    outputs = _largest_outputs(explanation, min(MAX_OUTPUTS, _MAX_IMPORTANCES // max(width, 1)))
    local = explanation.local_values
    if local is None or local.shape[-2] == 0:
        return Selection(features, outputs, 0, np.arange(0))
    n_available = local.shape[-2]
    name_bytes = sum(html.escaped_size(explanation.features[i]) for i in features)
    table_bytes = name_bytes + width * (_ROW_BYTES + (len(outputs) + 1) * _IMPORTANCE_BYTES)
    # Each feature has one column of values, and one column of contributions in each layer.
    n_columns = 1 + _n_layers(explanation, outputs)
    column_bytes = max(_MAX_BYTES - table_bytes, _MIN_POINT_BYTES) / n_columns
    sufficient_rows = min(n_available, _SUFFICIENT_ROWS)
    affordable = int(column_bytes / (_COLUMN_BYTES + _BYTES_PER_POINT * sufficient_rows))
    n_distributions = min(width, max(affordable, _MIN_DISTRIBUTIONS))
    affordable = int((column_bytes / n_distributions - _COLUMN_BYTES) / _BYTES_PER_POINT)
    n_rows = min(n_available, _MAX_ROWS, max(affordable, 1))
    rows = sample_rows(n_available, n_rows, distributions.seed_of(explanation))
    precise_bytes = 2 * _BYTES_PER_POINT * n_columns * n_distributions * n_rows
    n_bytes = 2 if precise_bytes <= min(_MAX_PRECISE_BYTES, _MAX_BYTES - table_bytes) else 1
    return Selection(features, outputs, n_distributions, rows, n_bytes)


def page_data(explanation: Explanation, selection: Selection) -> dict[str, Any]:
    """The JSON values for the script."""
    return {
        "unit": str(explanation.details.output_scale or ""),
        "outputs": _importances(explanation, selection),
        "output_kind": explanation.output_kind,
        "task": explanation.task,
        "n_features": len(explanation.features),
        "mirrored": explanation.is_mirrored,
        "directions": _directions(explanation, selection),
        "partners": _partners(explanation, selection),
        "points": _points(explanation, selection) if selection.n_distributions else None,
    }


def _directions(explanation: Explanation, selection: Selection) -> list[list[str]]:
    """The directions of the leading features in words, over all outputs and by output.

    Empty where they are not known.
    """
    names = [explanation.features[i] for i in selection.features[:_MAX_DIRECTIONS]]
    known = [direction_of(explanation.details.directions, name) for name in names]
    overall = ["" if direction is None else _short(direction.text) for direction in known]
    return [
        overall,
        *(
            [_short(direction_text(explanation, name, output)) for name in names]
            for output in selection.outputs
        ),
    ]


def _short(text: str) -> str:
    return truncate(text) if text else ""


def _partners(explanation: Explanation, selection: Selection) -> dict[int, int]:
    """The features with the largest interactions with other ones, by index, if they have colors."""
    if explanation.interactions is None or explanation.evaluation_rows is None:
        return {}
    listed = [explanation.features[i] for i in selection.features[: selection.n_distributions]]
    partners = {}
    for index, name in enumerate(listed):
        partner = explanation.interactions.strongest_partner(name)
        if partner is None or partner not in listed:
            continue
        column = explanation.evaluation_rows.iloc[:, explanation.features.index(partner)]
        if distributions.scale(column).is_ordered:  # colors have an order
            partners[index] = listed.index(partner)
    return partners


def _largest_outputs(explanation: Explanation, limit: int) -> list[int]:
    if explanation.output_names is None or explanation.per_class_values is None:
        return []
    sizes = np.nan_to_num(explanation.per_class_values.sum(axis=1), posinf=0.0)
    return sorted(int(position) for position in rank(sizes)[:limit])


def _n_layers(explanation: Explanation, outputs: list[int]) -> int:
    """Number of contributions of each row and feature on the page."""
    local = explanation.local_values
    if local is None or local.ndim == 2 or _is_negated(explanation):
        return 1
    return len(outputs)


def _is_negated(explanation: Explanation) -> bool:
    """Whether the contributions to one of two classes are the negative ones to the other."""
    local = explanation.local_values
    if local is None or local.ndim == 2 or not explanation.has_two_classes:
        return False
    return bool(np.allclose(local[0], -local[1], rtol=1e-6, atol=1e-12, equal_nan=True))


def _leading_output(explanation: Explanation, selection: Selection) -> int:
    """The output whose contributions are shown if none is selected.

    It is the second of two classes, or else the output with the largest importances.
    """
    if explanation.has_two_classes:
        return 1
    sizes = np.nan_to_num(np.asarray(explanation.per_class_values).sum(axis=1), posinf=0.0)
    return max(selection.outputs, key=lambda output: float(sizes[output]))


def _importances(explanation: Explanation, selection: Selection) -> list[dict[str, Any]]:
    """The importances over all outputs, followed by those of each output."""
    local, title = explanation.local_values, ""
    if local is not None and local.ndim == 3 and selection.outputs:
        title = _title(explanation, _leading_output(explanation, selection), 60)
    values, errors = explanation.global_values, explanation.standard_errors()
    result = [_output_importances("", title, values, errors, selection)]
    by_class, class_errors = explanation.per_class_values, explanation.per_class_standard_errors()
    names = explanation.output_names
    if by_class is None or names is None:
        return result
    return [
        *result,
        *(
            _output_importances(
                truncate(names[output], 80),
                _title(explanation, output, 80),
                by_class[output],
                None if class_errors is None else class_errors[output],
                selection,
            )
            for output in selection.outputs
        ),
    ]


def _title(explanation: Explanation, output: int, limit: int) -> str:
    return truncate(distributions.output_label(explanation, output), limit)


def _output_importances(
    name: str, title: str, values: FloatArray, errors: FloatArray | None, selection: Selection
) -> dict[str, Any]:
    features = selection.features
    return {
        "name": name,
        "title": title,
        "label": f"contribution to {title}" if title else "contribution",
        "values": [round_number(value, 4) for value in values[features]],
        "errors": (
            None if errors is None else [round_number(error, 3) for error in errors[features]]
        ),
    }


def _points(explanation: Explanation, selection: Selection) -> dict[str, Any]:
    features = selection.features[: selection.n_distributions]
    columns = [_value_column(explanation, feature, selection) for feature in features]
    layers = [
        _contribution_layer(explanation, output, selection) for output in (None, *selection.outputs)
    ]
    return {
        "n_bytes": selection.n_bytes,
        "values": columns,
        "contributions": layers,
        "rows": row_data(explanation, selection.rows, selection.outputs),
    }


def _value_column(
    explanation: Explanation, feature: int, selection: Selection
) -> dict[str, Any] | None:
    """The values of one feature."""
    if explanation.evaluation_rows is None:
        return None
    scale = distributions.scale(explanation.evaluation_rows.iloc[selection.rows, feature])
    is_missing = np.isnan(scale.positions)
    missing = MISSING[selection.n_bytes]
    steps = np.round(np.nan_to_num(scale.positions) * (missing - 1))
    column: dict[str, Any] = {
        "kind": scale.kind,
        "bytes": encode(np.where(is_missing, missing, steps), selection.n_bytes),
    }
    if scale.kind == "category":
        column["categories"] = [truncate(name, _CATEGORY_LENGTH) for name in scale.categories]
        column["ordered"] = scale.is_ordered
    if scale.low is not None:
        column["ends"] = [_axis_end(scale.low), _axis_end(scale.high)]
    if scale.is_whole:
        column["whole"] = True
    if scale.n_outside:
        column["outside"] = scale.n_outside
    if is_missing.any():
        column["missing"] = int(is_missing.sum())
    return column


def _axis_end(value: Any) -> Any:
    return round_number(value, 6) if isinstance(value, float) else truncate(value, 30)


def _contribution_layer(explanation: Explanation, output: int | None, selection: Selection) -> Any:
    """The contributions to one output by feature, as the range and the position of each row.

    Returns:
        None without contributions, or a reference to a layer with the same contributions, whose
        sign may be the opposite one.
    """
    local = explanation.local_values
    if local is None or (output is not None and local.ndim == 2):
        return None
    if local.ndim == 3 and selection.outputs:
        leading = _leading_output(explanation, selection)
        layer = selection.outputs.index(leading) + 1
        if output is None:
            return {"layer": layer, "sign": 1}
        if output != leading and _is_negated(explanation):
            return {"layer": layer, "sign": -1}
    values = distributions.contributions(explanation, output)
    if values is None:
        return None
    features = selection.features[: selection.n_distributions]
    columns = values[np.ix_(selection.rows, features)].T
    return [ranged(column, selection.n_bytes) for column in columns]
