"""Encode cells of any type as numbers, and decode them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd

Numbers = npt.NDArray[np.float64]

NOT_NUMBERS = "the rows hold cells that are not numbers"

_MAX_EXACT = 2**53  # larger integers, such as identifiers, have no exact floating point number


class Encoding:
    """Encodes rows of any types as numbers, column by column, and decodes them.

    Explainers sample and mix cells as numbers. Numeric columns without missing values are
    unchanged. A cell of any other column becomes the position of its value among the distinct
    values, so that decoding returns exactly the cells of the user's rows.

    Args:
        frames: Tables with the same columns, which hold all cells that will be encoded.
    """

    def __init__(self, *frames: pd.DataFrame) -> None:
        rows = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        self._names = list(rows.columns)
        self._dtypes = [rows.iloc[:, i].dtype for i in range(rows.shape[1])]
        self._values: list[pd.Series | None] = [
            None if _is_plain(rows.iloc[:, i]) else _distinct(rows.iloc[:, i])
            for i in range(rows.shape[1])
        ]
        self._is_uniform = (  # a wide table of numbers is decoded often, so in one step
            all(values is None for values in self._values)
            and len(set(self._dtypes)) == 1
            and isinstance(self._dtypes[0], np.dtype)
        )

    def encode(self, frame: pd.DataFrame) -> Numbers:
        """Encode rows as ``(n_rows, n_features)`` numbers."""
        columns = [
            frame.iloc[:, i].to_numpy(dtype=np.float64) if values is None
            else _codes(frame.iloc[:, i], values)
            for i, values in enumerate(self._values)
        ]  # fmt: skip
        return np.column_stack(columns)

    def decode(self, numbers: Numbers) -> pd.DataFrame:
        """Decode ``(n_rows, n_features)`` numbers, with types that hold the cells of all frames."""
        if self._is_uniform:
            return pd.DataFrame(numbers.astype(self._dtypes[0], copy=False), columns=self._names)
        columns: dict[int, Any] = {}
        for i, values in enumerate(self._values):
            column = numbers[:, i]
            if values is None:
                columns[i] = pd.Series(column).astype(self._dtypes[i])
            else:
                columns[i] = values.take(column.astype(np.intp)).reset_index(drop=True)
        return pd.DataFrame(columns).set_axis(self._names, axis=1)


def is_numeric(frame: pd.DataFrame) -> bool:
    """Whether all columns are numeric; cells may be missing."""
    if {getattr(dtype, "kind", None) for dtype in frame.dtypes.unique()} <= {"f"}:
        return True  # at once, as of many thousands of words
    return all(_is_real(frame.iloc[:, i]) for i in range(frame.shape[1]))


def numbers(frame: pd.DataFrame) -> Numbers:
    """``(n_rows, n_features)`` cells of a numeric frame, with NaN for missing ones."""
    cells: Numbers = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return cells


def _is_real(column: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return False
    if pd.api.types.is_integer_dtype(column.dtype):
        known = column.dropna()
        return known.empty or bool((known.max() <= _MAX_EXACT) and (known.min() >= -_MAX_EXACT))
    return not pd.api.types.is_complex_dtype(column.dtype)


def _is_plain(column: pd.Series) -> bool:
    return _is_real(column) and not column.isna().any()


def _distinct(column: pd.Series) -> pd.Series:
    if column.dtype != object:
        with suppress(Exception):  # Arrow has types without order, with its own errors
            return column.drop_duplicates().sort_values(na_position="last").reset_index(drop=True)
        firsts = list({_key(value): i for i, value in enumerate(column)}.values())
        return column.iloc[firsts].reset_index(drop=True)
    # pandas may replace None by NaN if all other objects are strings.
    cells = list({_key(value): value for value in column}.values())
    missing = [cell for cell in cells if _is_missing(cell)]
    present = [cell for cell in cells if not _is_missing(cell)]
    with suppress(TypeError, ValueError):  # values of types without a common order
        present.sort()
    values = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(present + missing):  # cell by cell, as a cell may be a list
        values[i] = cell
    return pd.Series(values, dtype=object)


def _codes(column: pd.Series, values: pd.Series) -> Numbers:
    known = {_key(value): code for code, value in enumerate(values)}
    # The type of all frames: a cell may be 1 in one frame and 1.0 in a frame with missing values.
    cells = column.astype(values.dtype)
    return np.array([known[_key(value)] for value in cells], dtype=np.float64)


def _key(value: Any) -> Any:
    # Missing values are not equal to themselves; None and NaN, or 1 and True, must stay different.
    kind = type(value).__name__
    if _is_missing(value):
        return ("missing", kind)
    try:
        hash(value)
    except TypeError:  # a list, a dictionary, an array
        return (kind, joblib.hash(value))
    return (kind, value)


def _is_missing(value: Any) -> bool:
    missing = pd.isna(value)
    return missing is True or (isinstance(missing, np.bool_) and bool(missing))
