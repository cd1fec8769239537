"""The values of a column in their order, as numbers, or as categories without an order."""

from __future__ import annotations

import datetime as dt
import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.core.statistics import FloatArray

_ORDERED_TYPES: tuple[tuple[type, ...], ...] = (
    (numbers.Real, Decimal),
    (dt.date,),
    (dt.timedelta,),
    (dt.time,),
)
"""Types of objects that have an order among themselves."""


@dataclass(frozen=True, eq=False)
class Categories:
    """The values of a column that have no order.

    Attributes:
        names: The different values as text.
        codes: ``(R,)`` positions in ``names``; -1 for a missing value.
    """

    names: list[str]
    codes: npt.NDArray[np.int64]


def values_in_order(column: pd.Series) -> FloatArray | Categories:
    """Return ``(R,)`` numbers in the order of a column's values, NaN for missing ones.

    Numbers, booleans, times and ordered categories have an order; other values are `Categories`.
    """
    values = _numbers(column)
    return _categories(column) if values is None else values


def _numbers(column: pd.Series) -> FloatArray | None:
    """``(R,)`` numbers in the order of a column's values; None for a column of categories."""
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    if isinstance(column.dtype, pd.CategoricalDtype):
        if not column.cat.ordered:
            return None
        codes = column.cat.codes.to_numpy(dtype=np.float64)
        return np.where(codes < 0, np.nan, codes)
    if column.dtype.kind in "mM" or isinstance(column.dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)):
        # Ranks suffice; Arrow's dates have no conversion to integers.
        return np.asarray(column.rank().to_numpy(dtype=np.float64, na_value=np.nan))
    if column.dtype.kind in "biuf":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if column.dtype.kind == "O":
        return _order_of_objects(column)
    return None


def _order_of_objects(column: pd.Series) -> FloatArray | None:
    """``(R,)`` positions in the order of numbers, dates or times; None for other objects."""
    cells = [None if _is_missing(cell) else cell for cell in column]
    present = [cell for cell in cells if cell is not None]
    if not any(all(isinstance(cell, types) for cell in present) for types in _ORDERED_TYPES):
        return None
    try:
        order = {cell: float(i) for i, cell in enumerate(sorted(set(present)))}
    except TypeError:  # times with and without a time zone
        return None
    return np.array([np.nan if cell is None else order[cell] for cell in cells])


def _categories(column: pd.Series) -> Categories:
    names: dict[str, int] = {}  # pandas' type of strings rejects lone surrogates
    codes = [
        -1 if _is_missing(cell) else names.setdefault(str(cell), len(names)) for cell in column
    ]
    return Categories(list(names), np.array(codes, dtype=np.int64))


def _is_missing(cell: Any) -> bool:
    return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))
