"""Values and contributions of single rows, prepared for figures and pages."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray

MAX_CATEGORIES = 12
"""Number of categories that are distinguished; rarer ones share the last position."""

_SWARM_BINS = 80


@dataclass(frozen=True, eq=False)
class Scale:
    """The values of one feature on a scale from 0 to 1.

    Attributes:
        kind: ``number``, ``time`` or ``category``.
        positions: ``(R,)`` positions from 0 to 1; NaN where the value is missing.
        low: The value at 0 of numbers and times.
        high: The value at 1.
        n_outside: Number of values outside of ``low`` and ``high``, which are clipped.
        categories: The categories, at equal distances from 0 to 1.
        is_whole: Whether all numbers are whole.
        is_ordered: Whether the order of the positions has a meaning: that of numbers, times, two
            categories, ordered categories and categories that are numbers.
    """

    kind: Literal["number", "time", "category"]
    positions: FloatArray
    low: Any = None
    high: Any = None
    n_outside: int = 0
    categories: tuple[str, ...] = ()
    is_whole: bool = False
    is_ordered: bool = True


def output_label(explanation: Explanation, output: int) -> str:
    """The name of a class or target; "class" or "target" precedes a name that is not a word."""
    name = str((explanation.output_names or ())[output])
    is_word = any(character.isalpha() for character in name) and name not in {"True", "False"}
    return name if is_word else f"{explanation.output_kind} {name}"


def scale(column: pd.Series) -> Scale:
    """Scale a column to 0 to 1: numbers and times by size, other values by category."""
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        return _scale_categories(column, [str(name) for name in column.cat.categories])
    if _is_boolean(column):
        return _scale_categories(column, ["False", "True"])
    if column.dtype.kind in "mM" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return _scale_times(column)
    values = _numbers_of(column)
    return _scale_categories(column, None) if values is None else _scale_numbers(values)


def swarm_offsets(values: FloatArray, low: float, high: float) -> FloatArray:
    """Vertical offsets from -0.5 to 0.5 that place points with similar values side by side.

    Args:
        values: ``(R,)`` contributions of one feature.
        low: The left end of the axis.
        high: The right end of the axis.

    Returns:
        ``(R,)`` offsets: the swarm is widest where most values are.
    """
    span = (high - low) or 1.0
    fractions = np.clip(np.nan_to_num((values - low) / span), 0.0, 1.0)
    bins = (fractions * _SWARM_BINS).round().astype(int)
    counts = np.bincount(bins, minlength=_SWARM_BINS + 1)
    order = np.argsort(bins, kind="stable")
    starts = np.cumsum(counts) - counts
    index_in_bin = np.empty(len(values))
    index_in_bin[order] = np.arange(len(values)) - starts[bins[order]]
    # The first point of a bin is in the middle; the next ones alternate above and below it.
    sides = np.ceil(index_in_bin / 2) * np.where(index_in_bin % 2 == 1, 1.0, -1.0)
    return np.asarray(sides / max(int(counts.max(initial=0)), 12), dtype=np.float64)


def seed_of(explanation: Explanation) -> int:
    """The seed of the explanation, with which samples of its rows are drawn, too."""
    seed = explanation.details.random_state
    return seed if isinstance(seed, int) and seed >= 0 else 0


def contributions(explanation: Explanation, output: int | None) -> FloatArray | None:
    """``(R, F)`` contributions to one output, or None without values of single rows.

    Without ``output``, these are the contributions to the only output; of two classes, those to the
    second, since those to the first have the opposite sign if the outputs are probabilities; or
    else the mean absolute contributions over all outputs, whose means are the importances.
    """
    local = explanation.local_values
    if local is None or local.ndim == 2:
        return local
    if output is None and not explanation.has_two_classes:
        return np.asarray(np.abs(local).mean(axis=0))
    return np.asarray(local[1 if output is None else output])


def _is_boolean(column: pd.Series) -> bool:
    if column.dtype != object:
        return bool(column.dtype.kind == "b")
    known = column.dropna()
    return len(known) > 0 and all(isinstance(cell, (bool, np.bool_)) for cell in known)


def _numbers_of(column: pd.Series) -> FloatArray | None:
    if column.dtype.kind in "biuf":
        try:
            return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        except (TypeError, ValueError):
            return None
    if column.dtype != object:
        return None
    known = column.dropna()
    if len(known) == 0 or not all(isinstance(cell, (numbers.Real, Decimal)) for cell in known):
        return None
    return np.asarray([np.nan if pd.isna(cell) else float(cell) for cell in column])


def _scale_times(column: pd.Series) -> Scale:
    is_missing = column.isna().to_numpy()
    values = column.astype("int64").to_numpy().astype(np.float64)
    values[is_missing] = np.nan
    number_scale = _scale_numbers(values, clip_outliers=False)
    known = column[~is_missing]
    if len(known) == 0:
        return number_scale
    return Scale("time", number_scale.positions, str(known.min()), str(known.max()))


def _scale_numbers(values: FloatArray, *, clip_outliers: bool = True) -> Scale:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return Scale("number", np.full(len(values), np.nan))
    low, high = float(known.min()), float(known.max())
    if clip_outliers:  # a single outlier would leave the other values indistinguishable
        first, last = np.quantile(known, [0.01, 0.99])
        margin = last - first
        if margin > 0:
            low, high = max(low, float(first - margin)), min(high, float(last + margin))
    span = high - low
    if not np.isfinite(span):
        return Scale("number", np.full(len(values), np.nan))
    positions = np.clip((values - low) / span, 0.0, 1.0) if span > 0 else np.full(len(values), 0.5)
    positions[np.isnan(values)] = np.nan
    n_outside = int(np.sum((known < low) | (known > high)))
    is_whole = bool(np.all(known == np.round(known)))
    return Scale("number", positions, low, high, n_outside, is_whole=is_whole)


def _scale_categories(column: pd.Series, order: list[str] | None) -> Scale:
    is_missing = column.isna().to_numpy()
    cells = [None if missing else str(cell)
             for cell, missing in zip(column, is_missing, strict=True)]  # fmt: skip
    texts = pd.Series(cells, dtype=object)  # the string type of pandas rejects lone surrogates
    counts = texts.value_counts()
    categories = [str(name) for name in counts.index]
    if order is None:
        order = _order_by_value(categories)
    if order is not None:
        categories = [name for name in order if name in counts.index]
    if len(categories) > MAX_CATEGORIES:
        most_frequent = set(counts.index[: MAX_CATEGORIES - 1])
        categories = [name for name in categories if name in most_frequent]
    index = {name: position for position, name in enumerate(categories)}
    n_others = len(counts) - len(categories)
    names = (*categories, f"{n_others:,} others") if n_others else tuple(categories)
    last = max(len(names) - 1, 1)
    positions = [np.nan if missing else index.get(str(text), len(categories)) / last
                 for text, missing in zip(texts, is_missing, strict=True)]  # fmt: skip
    is_ordered = len(names) <= 2 or (order is not None and not n_others)
    return Scale("category", np.asarray(positions, dtype=np.float64), categories=names,
                 is_ordered=is_ordered)  # fmt: skip


def _order_by_value(categories: list[str]) -> list[str] | None:
    """The categories by rising value if all of them are numbers, as codes and grades are."""
    try:
        values = {name: float(name) for name in categories}
    except ValueError:
        return None
    if not all(map(math.isfinite, values.values())):
        return None
    return sorted(categories, key=values.__getitem__)
