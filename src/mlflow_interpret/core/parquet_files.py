"""Tables as Parquet files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlflow_interpret.core.explanation import encodable


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table; a column of mixed types, for which Parquet has no type, becomes text."""
    try:
        frame.to_parquet(path, index=False, engine="pyarrow")
    except Exception:  # pyarrow's errors for unknown types share no other base class
        writable = {encodable(str(name)): _as_text(frame[name]) for name in frame}
        pd.DataFrame(writable).to_parquet(path, index=False, engine="pyarrow")


def _as_text(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    if column.dtype.kind in "biufmM":
        return column
    cells = [
        None if pd.api.types.is_scalar(cell) and pd.isna(cell) else encodable(str(cell))
        for cell in column
    ]
    return pd.Series(cells, index=column.index, dtype=object)


def read_table(path: Path) -> pd.DataFrame | None:
    """Read a table; None if there is no such file."""
    if not path.is_file():
        return None
    try:
        return pd.read_parquet(path)
    except Exception:  # pandas writes names of Arrow types that it cannot read
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        # By position: pyarrow 14 ends names at a null character, so two may be the same.
        columns = {i: column.to_pandas() for i, column in enumerate(table.columns)}
        return pd.DataFrame(columns).set_axis(table.column_names, axis=1)
