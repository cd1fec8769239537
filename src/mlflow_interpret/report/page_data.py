"""What the report's script reads: importances by class, and single rows in few bytes; pure.

A page has to stay small enough to be opened anywhere, so it holds a seeded sample of the explained
rows, for the most important features only where there are many features or classes, and each value
in one byte: a place between the smallest and the largest. The files beside the page are exact.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray, rank, sample_rows
from mlflow_interpret.core.text import truncate
from mlflow_interpret.rendering import html
from mlflow_interpret.report import distributions

FEATURES = 1000
"""Features that a page lists."""

BLOCKS = 40
"""Classes that a page can show one by one."""

_IMPORTANCES = 20_000  # features times classes
_BYTES = 300_000  # of the table, the importances by class and the points
_FEWEST_BYTES = 60_000  # of the points, however much the others take
_LINE = 220  # bytes of the table for a feature, beside its name
_IMPORTANCE = 17  # bytes of an importance and its error
_POINT, _COLUMN = 4 / 3, 30  # bytes of one byte in base64, and of what stands around a column
_ROWS = 1000  # more points than that cover each other
_ENOUGH_ROWS = 150  # a distribution can be seen
_FEWEST_FEATURES = 20
_MISSING = 255
_CATEGORY_LENGTH = 40


@dataclass(frozen=True, eq=False)
class Shown:
    """What part of an explanation a page holds.

    Attributes:
        listed: Positions of the features in the table, most important first; the page knows a
            feature by its place in it.
        blocks: Positions of the classes that can be shown one by one.
        n_distributions: So many of the listed features, from the first on, have distributions.
        rows: Positions of the rows that stand for all explained rows.
    """

    listed: list[int]
    blocks: list[int]
    n_distributions: int
    rows: Any


def choose(explanation: Explanation) -> Shown:
    """Share the bytes of a page out among classes, features and rows."""
    listed = [int(i) for i in rank(explanation.global_values)[:FEATURES]]
    blocks = _blocks(explanation, min(BLOCKS, _IMPORTANCES // max(len(listed), 1)))
    local = explanation.local_values
    if local is None or local.shape[-2] == 0:
        return Shown(listed, blocks, 0, np.arange(0))
    total, width = local.shape[-2], len(listed)
    layers = _layers(explanation, blocks)
    names = sum(len(html.escaped(explanation.features[i])) for i in listed)
    table = names + width * (_LINE + (len(blocks) + 1) * _IMPORTANCE)
    # Of each feature the page holds a column of values, and one of contributions in each layer.
    room = max(_BYTES - table, _FEWEST_BYTES) / (layers + 1)
    wanted = min(total, _ENOUGH_ROWS)
    n_features = min(width, max(int(room / (_COLUMN + _POINT * wanted)), _FEWEST_FEATURES))
    n_rows = min(total, _ROWS, max(int((room / n_features - _COLUMN) / _POINT), 1))
    rows = sample_rows(total, n_rows, distributions.seed_of(explanation))
    return Shown(listed, blocks, n_features, rows)


def data(explanation: Explanation, shown: Shown) -> dict[str, Any]:
    """The JSON values for the script."""
    return {
        "unit": str(explanation.details.output_scale or ""),
        "blocks": _importances(explanation, shown),
        "output_kind": explanation.output_kind,
        "mirrored": explanation.is_mirrored,
        "points": _points(explanation, shown) if shown.n_distributions else None,
    }


def _blocks(explanation: Explanation, most: int) -> list[int]:
    if explanation.output_names is None or explanation.per_class_values is None:
        return []
    sizes = np.nan_to_num(explanation.per_class_values.sum(axis=1), posinf=0.0)
    return sorted(int(position) for position in rank(sizes)[:most])


def _layers(explanation: Explanation, blocks: list[int]) -> int:
    """How many contributions a page holds of each row and feature."""
    local = explanation.local_values
    if local is None or local.ndim == 2:
        return 1
    return len(blocks) + (0 if distributions.one_stands_for_both(explanation) else 1)


def _importances(explanation: Explanation, shown: Shown) -> list[dict[str, Any]]:
    """The importances over all classes, then by class; without classes only the first."""
    errors = explanation.standard_errors()
    blocks = explanation.output_names or ()
    several = explanation.local_values is not None and explanation.local_values.ndim == 3
    toward = ""
    if several and distributions.one_stands_for_both(explanation):
        toward = f"contribution to {_told(explanation, 1, 60)}"
    elif several:
        toward = f"mean size of the contributions to all {explanation.output_kind_plural}"
    listed = shown.listed
    found = [_block("", explanation.global_values, errors, listed, toward or "contribution")]
    by_class, class_errors = explanation.per_class_values, explanation.per_class_standard_errors()
    for position in shown.blocks if by_class is not None else ():
        name = truncate(blocks[position], 80)
        error = None if class_errors is None else class_errors[position]
        values = by_class[position]  # type: ignore[index]
        toward = f"contribution to {_told(explanation, position, 80)}"
        found.append(_block(name, values, error, listed, toward))
    return found


def _told(explanation: Explanation, position: int, limit: int) -> str:
    return truncate(distributions.block_name(explanation, position), limit)


def _block(
    name: str, values: FloatArray, errors: FloatArray | None, listed: list[int], toward: str
) -> dict[str, Any]:
    return {
        "name": name,
        "toward": toward,
        "values": [_short(value, 4) for value in values[listed]],
        "errors": None if errors is None else [_short(value, 3) for value in errors[listed]],
    }


def _short(value: Any, digits: int) -> float:
    return float(f"{float(value):.{digits}g}")


def _points(explanation: Explanation, shown: Shown) -> dict[str, Any]:
    features = shown.listed[: shown.n_distributions]
    columns = [_values(explanation, feature, shown.rows) for feature in features]
    layers = [_contributions(explanation, None, shown)]
    layers += [_contributions(explanation, block, shown) for block in shown.blocks]
    return {"values": columns, "contributions": layers}


def _values(explanation: Explanation, feature: int, rows: Any) -> dict[str, Any] | None:
    """The values of a feature, a byte each."""
    if explanation.evaluation_rows is None:
        return None
    scale = distributions.scale(explanation.evaluation_rows.iloc[rows, feature])
    missing = np.isnan(scale.places)
    coded = np.where(missing, _MISSING, np.round(np.nan_to_num(scale.places) * (_MISSING - 1)))
    found: dict[str, Any] = {"kind": scale.kind, "bytes": _bytes(coded)}
    if scale.kind == "category":
        found["categories"] = [truncate(name, _CATEGORY_LENGTH) for name in scale.categories]
    if scale.low is not None:
        found["ends"] = [_end(scale.low), _end(scale.high)]
    if scale.whole:
        found["whole"] = True
    if scale.beyond:
        found["beyond"] = scale.beyond
    if missing.any():
        found["missing"] = int(missing.sum())
    return found


def _end(value: Any) -> Any:
    return _short(value, 6) if isinstance(value, float) else truncate(value, 30)


def _contributions(explanation: Explanation, block: int | None, shown: Shown) -> Any:
    """The contributions to a block by feature, a byte each, with what 0 and 255 stand for."""
    local = explanation.local_values
    if block is not None and local is not None and local.ndim == 2:
        return None
    if block == 1 and distributions.one_stands_for_both(explanation):
        return 0  # the first layer has them
    values = distributions.contributions(explanation, block)
    if values is None:
        return None
    found = []
    for column in values[np.ix_(shown.rows, shown.listed[: shown.n_distributions])].T:
        known = column[np.isfinite(column)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        span = (high - low) or 1.0
        places = np.clip(np.nan_to_num((column - low) / span), 0.0, 1.0)
        found.append([_short(low, 4), _short(high, 4), _bytes(np.round(places * 255))])
    return found


def _bytes(values: Any) -> str:
    return base64.b64encode(np.asarray(values, dtype=np.uint8).tobytes()).decode()
