"""Files with rows to explain: Parquet and CSV, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.errors import OptionError, one_line
from mlflow_interpret.core.statistics import sample_rows

_READ_ROWS = 8_192
_SAMPLE_CELLS = 10_000_000
"""Cells of a sample of rows, at most."""
_EXACT_IN_FLOAT = 2**53


@dataclass(frozen=True)
class RowFile:
    """A Parquet or CSV file, or a folder of Parquet files.

    Attributes:
        path: The file or folder.
        argument: The name of the argument, for messages.
        dataset: The dataset of pyarrow.
        texts: By column of a CSV file, spellings of a missing value that are texts there.
    """

    path: Path
    argument: str
    dataset: Any
    texts: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def is_csv(self) -> bool:
        """Whether it is a CSV file."""
        return is_csv(self.path)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.dataset.schema.names)

    def count_rows(self) -> int:
        """The number of rows.

        Raises:
            OptionError: The file is damaged.
        """
        with _reading(self.path, self.argument):
            return int(self.dataset.count_rows())

    def with_types_of(
        self, rows: pd.DataFrame, names: list[str], *, are_texts: bool = False
    ) -> RowFile:
        """The file, whose cells are read as the types of other rows where it is a CSV file.

        Args:
            rows: ``(n_rows, F)`` rows.
            names: The ``F`` names of the same columns in the file.
            are_texts: Each row is a text, which is never missing.

        Raises:
            OptionError: The file is damaged.
        """
        if not self.is_csv:
            return self
        from pyarrow import csv, dataset

        columns = [rows.iloc[:, i] for i in range(len(names))]
        types = {name: _arrow_type(column) for name, column in zip(names, columns, strict=True)}
        known = {name: kind for name, kind in types.items() if kind is not None}
        kind = dataset.CsvFileFormat(convert_options=csv.ConvertOptions(column_types=known))
        spellings = frozenset(_missing_spellings())
        texts = {
            name: spellings if are_texts else spellings & _texts_of(column)
            for name, column in zip(names, columns, strict=True)
        }
        dataset_of_types = _dataset(self.path, self.argument, kind)
        return RowFile(self.path, self.argument, dataset_of_types, texts)

    def batches(self, columns: list[str], n_rows: int) -> Iterator[pd.DataFrame]:
        """The rows in batches of at most ``n_rows``.

        Raises:
            OptionError: The file is damaged, or a cell is not of the type of its column.
        """
        import pyarrow as pa

        dataset = self.dataset
        options = {"columns": columns, "batch_size": min(n_rows, _READ_ROWS), "batch_readahead": 1}
        # A reader of a Parquet file keeps what it has read, so each row group has one of its own.
        with _reading(self.path, self.argument):
            for fragment in dataset.get_fragments():
                has_groups = hasattr(fragment, "row_groups")
                for part in fragment.split_by_row_group() if has_groups else [fragment]:
                    for batch in part.to_batches(schema=dataset.schema, **options):
                        if batch.num_rows:
                            table = pa.Table.from_batches([batch])
                            table = self._with_missing_texts(table) if self.is_csv else table
                            yield table.to_pandas()

    def sample(self, columns: list[str], seed: int) -> pd.DataFrame:
        """The rows, or a sample of them that fits in memory, in the order of the file.

        Raises:
            OptionError: The file is damaged, or has no rows.
        """
        size = max(1, _SAMPLE_CELLS // max(len(columns), 1))
        numbers = sample_rows(self.count_rows(), size, seed)
        parts, first = [], 0
        for batch in self.batches(columns, _READ_ROWS):
            start, end = np.searchsorted(numbers, [first, first + len(batch)])
            if start < end:
                parts.append(batch.iloc[numbers[start:end] - first])
            first += len(batch)
        if not parts:
            raise OptionError(
                f"{self.argument} must have at least one row, got none.", argument=self.argument
            )
        return pd.concat(parts, ignore_index=True)

    def _with_missing_texts(self, table: Any) -> Any:
        import pyarrow as pa
        from pyarrow import compute

        for i, name in enumerate(table.column_names):
            column = table.column(i)
            if pa.types.is_string(column.type):
                spellings = sorted(_missing_spellings() - self.texts.get(name, frozenset()))
                is_missing = compute.is_in(column, value_set=pa.array(spellings, pa.string()))
                cells = compute.if_else(is_missing, pa.scalar(None, pa.string()), column)
                table = table.set_column(i, name, cells)
        return table


def is_csv(path: Path) -> bool:
    """Whether a file is a CSV file, by its suffix."""
    return path.suffix.lower() == ".csv"


def open_rows(path: Path, argument: str) -> RowFile:
    """Open a file with rows.

    Raises:
        OptionError: The file does not exist or is damaged.
    """
    if not path.exists():
        raise OptionError(
            f"{argument} must be a Parquet or CSV file, or a folder of Parquet files, got "
            f"{str(path)!r}, which does not exist.",
            argument=argument,
        )
    return RowFile(path, argument, _dataset(path, argument, "csv" if is_csv(path) else "parquet"))


def _dataset(path: Path, argument: str, kind: Any) -> Any:
    from pyarrow import dataset

    with _reading(path, argument):
        return dataset.dataset(path, format=kind)


@contextmanager
def _reading(path: Path, argument: str) -> Iterator[None]:
    """Raise errors of pyarrow as OptionError."""
    try:
        yield
    except Exception as error:  # pyarrow's errors have no common base but Exception
        kind = "csv" if is_csv(path) else "parquet"
        raise OptionError(
            f"{argument} must be a readable {kind} file, got {str(path)!r}: {one_line(error)}",
            argument=argument,
        ) from error


def _missing_spellings() -> set[str]:
    """Texts that stand for a missing value in CSV files, such as an empty one and NA."""
    from pyarrow import csv

    return set(csv.ConvertOptions().null_values)


def _texts_of(column: pd.Series) -> set[Any]:
    """The values of a column of texts."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return set(column.dtype.categories)
    is_text = pd.api.types.infer_dtype(column, skipna=True) == "string"
    return set(column.dropna()) if is_text else set()


def _arrow_type(column: pd.Series) -> Any:
    """The type of Arrow that holds all values of a column in a CSV file, None where unknown."""
    import pyarrow as pa

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _arrow_type(pd.Series(dtype.categories))
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pa.timestamp(dtype.unit, str(dtype.tz))
    if dtype.kind == "M":
        return pa.timestamp(np.datetime_data(dtype)[0])
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in {"string", "boolean"}:
        return pa.string() if kind == "string" else pa.bool_()
    if kind == "integer" and column.abs().max() > _EXACT_IN_FLOAT:
        return pa.uint64() if dtype.kind == "u" else pa.int64()
    if kind in {"integer", "floating", "mixed-integer-float"}:
        # New rows may have fractions or missing values in columns of integers.
        return pa.float32() if dtype == np.float32 else pa.float64()
    return None
