"""Cells of background rows are stored as they are, or not at all."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mlflow_interpret.core.exact_table import from_json, write_exactly
from mlflow_interpret.core.parquet_files import read_table

NAN = float("nan")


def objects(*cells):
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return pd.Series(column, dtype=object)


@pytest.mark.parametrize(
    ("column", "is_json"),
    [
        (objects(1, "1", 2.5, "a", True), True),
        (objects(1, 2, None, NAN), True),
        (objects("a", None, NAN, "b"), True),
        (objects(2**70, 1, "\ud800", 0.1), True),
        (pd.Series([0.1, NAN, np.inf], dtype="float32"), False),
        (pd.Series([1, None], dtype="Int64"), False),
        (pd.Series(["b", None, "a"], dtype=pd.CategoricalDtype(["b", "a", "c"])), False),
        (pd.Series(pd.to_datetime(["2024-01-01", None], utc=True)), False),
        (objects(Decimal("1.5"), Decimal("2.5")), False),
        (objects(dt.date(2024, 1, 1)), False),
    ],
)
def test_cells_are_read_as_they_were_written(tmp_path, column, is_json):
    frame = pd.DataFrame({"number": np.arange(len(column)), "x": column})
    positions, reason = write_exactly(frame, tmp_path / "rows.parquet")
    assert reason is None
    assert positions == ((1,) if is_json else ())
    read = from_json(read_table(tmp_path / "rows.parquet"), positions)
    # The text of a cell shows its type, its value and the kind of a missing value.
    assert [repr(cell) for cell in read["x"].tolist()] == [repr(cell) for cell in column.tolist()]
    assert read["number"].tolist() == frame["number"].tolist()


@pytest.mark.parametrize("column", [objects(1, (1, 2)), objects(1, b"a"), objects(1j, 2j)])
def test_cells_that_would_change_are_not_stored(tmp_path, column):
    positions, reason = write_exactly(pd.DataFrame({"x": column}), tmp_path / "rows.parquet")
    assert positions == ()
    assert "the column 'x' has cells of" in reason
    assert not (tmp_path / "rows.parquet").exists()
