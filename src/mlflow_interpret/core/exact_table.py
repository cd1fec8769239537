"""Parquet tables whose cells are read as they were written, with their types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.parquet_files import read_table, write_table

_JSON_TYPES = (str, bool, int, float, type(None))


def write_exactly(frame: pd.DataFrame, path: Path) -> tuple[tuple[int, ...], str | None]:
    """Write a table, and check that its cells are read as they were.

    Parquet has no columns of mixed types, and one missing value. A column that would change is
    written as JSON texts, if its cells are texts, numbers, booleans, None and NaN.

    Args:
        frame: The table.
        path: The file, which is missing afterwards if a cell would change.

    Returns:
        The positions of the columns that are JSON texts, and the reason if there is no file.
    """
    write_table(frame, path)
    stored = read_table(path)
    changed = [
        i for i in range(frame.shape[1]) if not _is_same(frame.iloc[:, i], stored.iloc[:, i])
    ]
    if not changed:
        return (), None
    columns = {i: frame.iloc[:, i] for i in range(frame.shape[1])}
    for i in changed:
        texts = _as_json(columns[i])
        if texts is None:
            path.unlink()
            types = sorted({type(cell).__name__ for cell in columns[i].tolist()})
            reason = f"the column {str(frame.columns[i])!r} has cells of {', '.join(types[:5])}"
            return (), f"{reason}, which a Parquet file would change"
        columns[i] = texts
    write_table(pd.DataFrame(columns).set_axis(frame.columns, axis=1), path)
    return tuple(changed), None


def from_json(frame: pd.DataFrame, positions: Sequence[int]) -> pd.DataFrame:
    """Return a table with the cells of columns that `write_exactly` has written as JSON texts."""
    if not positions:
        return frame
    columns = {i: frame.iloc[:, i] for i in range(frame.shape[1])}
    for i in positions:
        cells = [json.loads(text) for text in columns[i]]
        columns[i] = pd.Series(cells, index=frame.index, dtype=object)
    return pd.DataFrame(columns).set_axis(frame.columns, axis=1)


def _is_same(column: pd.Series, stored: pd.Series) -> bool:
    if column.dtype == stored.dtype and column.dtype.kind in "biufmM":
        return bool(column.reset_index(drop=True).equals(stored))
    try:
        return all(map(_is_same_cell, column.tolist(), stored.tolist()))
    except Exception:  # cells of any class may refuse a comparison
        return False


def _is_same_cell(cell: Any, stored: Any) -> bool:
    if cell is stored:
        return True
    if isinstance(cell, float) and isinstance(stored, float) and np.isnan(cell):
        return bool(np.isnan(stored))
    return bool(cell == stored)


def _as_json(column: pd.Series) -> pd.Series | None:
    """The cells as JSON texts, or None if a cell has no JSON type."""
    cells = [cell.item() if isinstance(cell, np.generic) else cell for cell in column]
    if column.dtype != object or not all(type(cell) in _JSON_TYPES for cell in cells):
        return None
    return pd.Series([json.dumps(cell) for cell in cells], index=column.index, dtype=object)
