"""Tables as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mlflow_interpret.core.errors import InvalidExplanationError
from mlflow_interpret.core.explanation import encodable

MAX_CELLS = 500_000_000
MAX_TEXT_BYTES = 2_000_000_000
"""Limits of the tables that are read, so that a changed file does not fill the memory."""


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


def read_table(path: Path, shape: tuple[int | None, int | None] = (None, None)) -> pd.DataFrame:
    """Read a table.

    Args:
        path: The file.
        shape: The numbers of rows and columns, None where they are not known.

    Raises:
        InvalidExplanationError: It has another shape, or would take too much memory.
    """
    _check_size(path, shape)
    try:
        return pd.read_parquet(path)
    except Exception:  # pandas writes names of Arrow types that it cannot read
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        # By position: pyarrow 14 ends names at a null character, so two may be the same.
        columns = {i: column.to_pandas() for i, column in enumerate(table.columns)}
        return pd.DataFrame(columns).set_axis(table.column_names, axis=1)


def _check_size(path: Path, shape: tuple[int | None, int | None]) -> None:
    """Check a table before it is read: a small file may hold billions of equal cells."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        metadata, n_columns = file.metadata, len(file.schema_arrow)
    actual = (metadata.num_rows, n_columns)
    if any(number not in (None, n) for number, n in zip(shape, actual, strict=True)):
        raise InvalidExplanationError(f"it has the shape {actual} instead of {shape}")
    chunks = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    n_cells = max(sum(chunk.num_values for chunk in chunks), metadata.num_rows * n_columns)
    if n_cells > MAX_CELLS:
        raise InvalidExplanationError(
            f"it has {n_cells:,} cells, and {MAX_CELLS:,} are read at most"
        )
    texts = {
        chunk.path_in_schema
        for chunk in chunks
        if chunk.physical_type == "BYTE_ARRAY"
        and chunk.total_uncompressed_size * chunk.num_values > MAX_TEXT_BYTES
    }
    n_bytes = sum(_text_bytes(path, column) for column in texts)
    if n_bytes > MAX_TEXT_BYTES:
        raise InvalidExplanationError(
            f"its texts take {n_bytes:,} bytes, and {MAX_TEXT_BYTES:,} are read at most"
        )


def _text_bytes(path: Path, column: str) -> int:
    """Return the size of a column of texts, of which each distinct one is read once."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, read_dictionary=[column]) as file:
        table = file.read(columns=[column])
    return sum(_array_bytes(chunk) for part in table.columns for chunk in part.chunks)


def _array_bytes(array: Any) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary).cast("int64")
        return int(pc.sum(pc.take(lengths, array.indices)).as_py() or 0)
    if pa.types.is_nested(array.type):
        parts = array.flatten()
        return sum(map(_array_bytes, parts if isinstance(parts, list) else [parts]))
    return int(array.nbytes)
