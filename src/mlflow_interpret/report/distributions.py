"""What figures and pages show of single rows: values on a scale, swarms, samples; pure."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray

CATEGORIES = 12
"""Categories told apart; the rarer ones share the last place."""

_SWARM_BINS = 80


@dataclass(frozen=True, eq=False)
class Scale:
    """The values of one feature, placed between 0 and 1.

    Attributes:
        kind: ``number``, ``time`` or ``category``.
        places: ``(R,)`` from 0 to 1, NaN where the value is missing.
        low: The value at 0, of numbers and times.
        high: The value at 1.
        beyond: How many values lie outside of ``low`` and ``high`` and are placed on them.
        categories: The categories from 0 to 1 at equal distances.
        whole: All of the numbers are whole.
    """

    kind: Literal["number", "time", "category"]
    places: FloatArray
    low: Any = None
    high: Any = None
    beyond: int = 0
    categories: tuple[str, ...] = ()
    whole: bool = False


def block_name(explanation: Explanation, position: int) -> str:
    """The name of a class or target; one that is no word, as 1 or True, says what it is of."""
    name = str((explanation.output_names or ())[position])
    is_word = any(character.isalpha() for character in name) and name not in {"True", "False"}
    return name if is_word else f"{explanation.output_kind} {name}"


def scale(column: pd.Series) -> Scale:
    """Place a column's values between 0 and 1: numbers and times by size, others by category."""
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        return _categories(column, [str(name) for name in column.cat.categories])
    if _is_true_or_false(column):
        return _categories(column, ["False", "True"])
    if column.dtype.kind in "mM" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return _times(column)
    values = _numbers(column)
    return _categories(column, None) if values is None else _by_size(values)


def swarm(values: FloatArray, low: float, high: float) -> FloatArray:
    """Offsets from -0.5 to 0.5 that set equal values beside each other.

    Args:
        values: ``(R,)`` contributions of one feature.
        low: The left end of the axis.
        high: The right end.

    Returns:
        ``(R,)`` offsets: where most values lie, the swarm is widest.
    """
    span = (high - low) or 1.0
    shares = np.clip(np.nan_to_num((values - low) / span), 0.0, 1.0)
    bins = (shares * _SWARM_BINS).round().astype(int)
    counts = np.bincount(bins, minlength=_SWARM_BINS + 1)
    order = np.argsort(bins, kind="stable")
    starts = np.cumsum(counts) - counts
    within = np.empty(len(values))
    within[order] = np.arange(len(values)) - starts[bins[order]]
    # The first of a bin lies in the middle, the next ones in turn above and below.
    sides = np.ceil(within / 2) * np.where(within % 2 == 1, 1.0, -1.0)
    return np.asarray(sides / max(int(counts.max(initial=0)), 12), dtype=np.float64)


def seed_of(explanation: Explanation) -> int:
    """The seed the explanation was made with, which draws what is shown of it, too."""
    seed = explanation.details.random_state
    return seed if isinstance(seed, int) and seed >= 0 else 0


def contributions(explanation: Explanation, block: int | None) -> FloatArray | None:
    """``(R, F)`` contributions to one block.

    Without a block: those of a single output; of two classes those to the second, which are the
    others' with another sign where the model gives probabilities; else the mean of the sizes over
    all blocks, whose mean over the rows is the global importance.
    """
    local = explanation.local_values
    if local is None or local.ndim == 2:
        return local
    if block is None and not one_stands_for_both(explanation):
        return np.asarray(np.abs(local).mean(axis=0))
    return np.asarray(local[1 if block is None else block])


def one_stands_for_both(explanation: Explanation) -> bool:
    """Whether there are two classes, so that contributions to one tell those to the other."""
    return explanation.classes is not None and len(explanation.classes) == 2


def _is_true_or_false(column: pd.Series) -> bool:
    if column.dtype != object:
        return bool(column.dtype.kind == "b")
    known = column.dropna()
    return len(known) > 0 and all(isinstance(cell, (bool, np.bool_)) for cell in known)


def _numbers(column: pd.Series) -> FloatArray | None:
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


def _times(column: pd.Series) -> Scale:
    missing = column.isna().to_numpy()
    values = column.astype("int64").to_numpy().astype(np.float64)
    values[missing] = np.nan
    found = _by_size(values, all_of_it=True)
    known = column[~missing]
    if len(known) == 0:
        return found
    return Scale("time", found.places, str(known.min()), str(known.max()))


def _by_size(values: FloatArray, *, all_of_it: bool = False) -> Scale:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return Scale("number", np.full(len(values), np.nan))
    low, high = float(known.min()), float(known.max())
    if not all_of_it:  # a single far value must not press all others together
        first, last = np.quantile(known, [0.01, 0.99])
        room = last - first
        if room > 0:
            low, high = max(low, float(first - room)), min(high, float(last + room))
    span = high - low
    if not np.isfinite(span):
        return Scale("number", np.full(len(values), np.nan))
    places = np.clip((values - low) / span, 0.0, 1.0) if span > 0 else np.full(len(values), 0.5)
    places[np.isnan(values)] = np.nan
    beyond = int(np.sum((known < low) | (known > high)))
    whole = bool(np.all(known == np.round(known)))
    return Scale("number", places, low, high, beyond, whole=whole)


def _categories(column: pd.Series, order: list[str] | None) -> Scale:
    missing = column.isna().to_numpy()
    cells = [None if gone else str(cell) for cell, gone in zip(column, missing, strict=True)]
    texts = pd.Series(cells, dtype=object)  # pandas' own strings are UTF-8, and not all names are
    counts = texts.value_counts()
    kept = [str(name) for name in counts.index]
    if order is not None:
        kept = [name for name in order if name in counts.index]
    if len(kept) > CATEGORIES:
        common = set(counts.index[: CATEGORIES - 1])
        kept = [name for name in kept if name in common]
    places = {name: position for position, name in enumerate(kept)}
    others = len(counts) - len(kept)
    names = (*kept, f"{others:,} others") if others else tuple(kept)
    last = max(len(names) - 1, 1)
    found = [np.nan if gone else places.get(str(text), len(kept)) / last
             for text, gone in zip(texts, missing, strict=True)]  # fmt: skip
    return Scale("category", np.asarray(found, dtype=np.float64), categories=names)
