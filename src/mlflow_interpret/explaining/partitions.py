"""Rows in partitions, which may be larger than memory: Parquet datasets and Dask DataFrames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.aggregates import Aggregates, merge_all
from mlflow_interpret.explaining.batch import RowBatch, as_batch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.parallel import RowTask, Workers

_READ_ROWS = 65_536
_BATCH_CELLS = 2_000_000
"""Attributions of a batch, at most."""
_FAN_IN = 8
"""Number of aggregates that are merged at once on a Dask worker."""


class Partitions(Protocol):
    """Rows in partitions, in an order that is always the same."""

    @property
    def columns(self) -> list[str]: ...  # noqa: D102

    def head(self, columns: list[str], n: int) -> pd.DataFrame:
        """The first rows, at most ``n``."""
        ...

    def sizes(self) -> list[int]:
        """The number of rows of each partition."""
        ...

    def explain(
        self, task: RowTask, slices: Sequence[PartitionSlice], workers: Workers, n_jobs: int
    ) -> Iterator[Aggregates]:
        """Explain each partition where it lies, and yield the aggregates in order.

        Args:
            task: Explains batches of rows and aggregates them.
            slices: The rows to explain of each partition.
            workers: Run the task, unless the partitions have a scheduler.
            n_jobs: Number of workers.
        """
        ...


def is_partitioned(examples: Any) -> bool:
    """Whether the examples are a Parquet dataset, its path, or a Dask DataFrame."""
    return isinstance(examples, (str, os.PathLike)) or _is_dataset(examples) or is_dask(examples)


def is_dask(examples: Any) -> bool:
    """Whether the examples are a Dask DataFrame."""
    return type(examples).__module__.startswith(("dask.dataframe", "dask_expr"))


def _is_dataset(examples: Any) -> bool:
    return type(examples).__module__.startswith("pyarrow") and hasattr(examples, "get_fragments")


def open_partitions(examples: Any) -> Partitions:
    """Open partitioned examples.

    Raises:
        CannotExplainError: They cannot be read.
    """
    if is_dask(examples):
        return DaskPartitions(examples)
    if _is_dataset(examples):
        return ParquetPartitions(examples)
    from pyarrow import dataset

    try:
        return ParquetPartitions(dataset.dataset(os.fspath(examples), format="parquet"))
    except Exception as error:  # pyarrow's errors have no common base but Exception
        raise CannotExplainError(
            "evaluation_examples cannot be read as a Parquet dataset", error
        ) from error


@dataclass(frozen=True, eq=False)
class TableLayout:
    """The columns of a source, and the container in which the model takes them.

    Attributes:
        columns: Columns of the source, in the order of the model.
        names: The reported feature names.
        template: The container of the training rows without rows.
        null_columns: The columns of a polars container that hold nulls.
    """

    columns: list[str]
    names: tuple[str, ...]
    template: Any
    null_columns: frozenset[str]

    def batch(self, frame: pd.DataFrame, numbers: Indices | None = None) -> RowBatch:
        """Rows of the source as a batch.

        Args:
            frame: The rows.
            numbers: ``(n_rows,)`` numbers of the rows. Default: their positions.
        """
        rows = frame[self.columns].reset_index(drop=True)
        columns = getattr(self.template, "columns", None)
        if columns is not None:
            rows = rows.set_axis(list(columns), axis=1)
        batch = as_batch(rows, self.names, self.template, "evaluation_examples", self.null_columns)
        return RowBatch(batch.frame, batch.template, batch.nulls, numbers)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class PartitionSlice:
    """The rows of one partition that are explained.

    Attributes:
        layout: Makes batches of the rows.
        start: Number of the first row of the partition.
        positions: Positions of the rows within the partition, ascending; None for all rows.
    """

    layout: TableLayout
    start: int
    positions: Indices | None

    def batches(self, pieces: Iterable[pd.DataFrame]) -> Iterator[RowBatch]:
        """Batches of the chosen rows, of at most `_BATCH_CELLS` cells.

        Args:
            pieces: The rows of the partition, piece by piece.
        """
        size = max(1, _BATCH_CELLS // len(self.layout.names))
        start = 0
        for piece in pieces:
            chosen = self._within(start, len(piece))
            for i in range(0, len(chosen), size):
                positions = chosen[i : i + size]
                numbers = self.start + start + positions
                yield self.layout.batch(piece.iloc[positions], numbers)
            start += len(piece)

    def _within(self, start: int, length: int) -> Indices:
        """Positions of the chosen rows within a piece."""
        if self.positions is None:
            return np.arange(length)
        within = self.positions - start
        return within[(within >= 0) & (within < length)]


class ParquetPartitions:
    """A Parquet dataset by its row groups, which the workers read themselves.

    Args:
        dataset: The dataset of pyarrow.
    """

    def __init__(self, dataset: Any) -> None:
        self._schema = dataset.schema
        # Without their statistics the fragments are small; workers open the files anew.
        self._fragments = [
            group
            for fragment in dataset.get_fragments()
            for group in (fragment.split_by_row_group() or [fragment])
        ]

    @property
    def columns(self) -> list[str]:  # noqa: D102
        return list(self._schema.names)

    def head(self, columns: list[str], n: int) -> pd.DataFrame:  # noqa: D102
        # The dataset's own head() reads ahead, up to the whole of it.
        pieces = (
            piece
            for fragment in self._fragments
            for piece in _read(fragment, self._schema, columns)
        )
        return _first_rows(pieces, columns, n)

    def sizes(self) -> list[int]:  # noqa: D102
        # count_rows() counts the whole file for each of its row groups.
        return [sum(group.num_rows for group in part.row_groups) for part in self._fragments]

    def explain(  # noqa: D102
        self, task: RowTask, slices: Sequence[PartitionSlice], workers: Workers, n_jobs: int
    ) -> Iterator[Aggregates]:
        parts = [
            _RowGroup(fragment, self._schema, part)
            for fragment, part in zip(self._fragments, slices, strict=True)
        ]
        return workers.map(task, parts, n_jobs)


@dataclass(frozen=True, eq=False)
class _RowGroup:
    fragment: Any
    schema: Any
    slice: PartitionSlice

    def batches(self) -> Iterator[RowBatch]:
        pieces = _read(self.fragment, self.schema, self.slice.layout.columns)
        return self.slice.batches(pieces)


def _read(fragment: Any, schema: Any, columns: list[str]) -> Iterator[pd.DataFrame]:
    import pyarrow as pa

    batches = fragment.to_batches(
        schema=schema, columns=columns, batch_size=_READ_ROWS, batch_readahead=1
    )
    for batch in batches:
        if batch.num_rows:
            yield pa.Table.from_batches([batch]).to_pandas()


class DaskPartitions:
    """A Dask DataFrame, whose partitions are explained by the active scheduler.

    Args:
        frame: The DataFrame.
    """

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def columns(self) -> list[str]:  # noqa: D102
        return list(self._frame.columns)

    def head(self, columns: list[str], n: int) -> pd.DataFrame:  # noqa: D102
        # Partition after partition, as the first one is mostly large enough.
        parts = self._frame[columns].partitions
        heads = (parts[i].head(n) for i in range(self._frame.npartitions))
        return _first_rows(heads, columns, n)

    def sizes(self) -> list[int]:  # noqa: D102
        import dask

        lengths = [dask.delayed(len)(part) for part in self._frame.to_delayed()]
        return [int(length) for length in dask.compute(*lengths)]

    def explain(  # noqa: D102
        self,
        task: RowTask,
        slices: Sequence[PartitionSlice],
        workers: Workers,  # noqa: ARG002
        n_jobs: int,  # noqa: ARG002
    ) -> Iterator[Aggregates]:
        import dask

        shared = dask.delayed(task)  # sent to each worker once
        frames = self._frame[slices[0].layout.columns].to_delayed()
        explain = dask.delayed(_explain_partition)
        results = [explain(shared, part, rows) for part, rows in zip(slices, frames, strict=True)]
        merge = dask.delayed(merge_all)
        while len(results) > 1:
            starts = range(0, len(results), _FAN_IN)
            results = [merge(results[start : start + _FAN_IN]) for start in starts]
        (aggregates,) = dask.compute(results[0])
        if aggregates is not None:
            yield aggregates


def _explain_partition(
    task: RowTask, part: PartitionSlice, rows: pd.DataFrame
) -> Aggregates | None:
    starts = range(0, len(rows), _READ_ROWS)
    return task(part.batches(rows.iloc[start : start + _READ_ROWS] for start in starts))


def _first_rows(pieces: Iterable[pd.DataFrame], columns: list[str], n: int) -> pd.DataFrame:
    """The first ``n`` rows; later pieces are not read."""
    first: list[pd.DataFrame] = []
    for piece in pieces:
        first.append(piece[:n])
        n -= len(first[-1])
        if not n:
            break
    return pd.concat(first, ignore_index=True) if first else pd.DataFrame(columns=columns)
