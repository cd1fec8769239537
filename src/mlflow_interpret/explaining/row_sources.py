"""Sources of the rows to explain: a table in memory, or partitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining.aggregates import Aggregates, Collect, KeptRows
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.histograms import Bins
from mlflow_interpret.explaining.inputs import ExplainInputs
from mlflow_interpret.explaining.parallel import RowTask, Workers
from mlflow_interpret.explaining.partitions import (
    Partitions,
    PartitionSlice,
    TableLayout,
    is_partitioned,
    open_partitions,
)
from mlflow_interpret.explaining.row_sums import SAMPLE_ROWS, RowSums, SumCollector

_HEAD_ROWS = 256

Positions = Indices | range
"""Positions of rows; a range for all rows of partitions, whose positions would fill the memory."""


class RowSource(Protocol):
    """The rows to explain, in an order that depends on a seed only.

    Attributes:
        is_partitioned: Whether each partition of the rows is explained as a whole, where it lies.
            The loop then neither stops between rows nor keeps more than a sample of them.
        collect: Aggregates the attributions of a batch.
    """

    is_partitioned: bool
    collect: Collect

    @property
    def n_rows(self) -> int:
        """Number of rows that can be explained."""
        ...

    @property
    def n_available(self) -> int:
        """Number of rows of which these are a random sample, or of these."""
        ...

    def head(self) -> RowBatch:
        """Some rows, to prepare an explainer with.

        Raises:
            CannotExplainError: There are no rows.
        """
        ...

    def select(self, limit: int, seed: int) -> Positions:
        """Positions of the rows, at least ``limit``, in the order of explanation."""
        ...

    def explain(
        self, task: RowTask, workers: Workers, positions: Positions, batch_size: int, n_jobs: int
    ) -> Iterator[Aggregates]:
        """Explain rows, and yield their aggregates in the order of the rows.

        Args:
            task: Explains batches and aggregates them.
            workers: Run the task.
            positions: Positions of the rows.
            batch_size: Number of rows in a batch of a table in memory.
            n_jobs: Number of workers.
        """
        ...

    def kept_rows(self, aggregates: Aggregates) -> RowBatch:
        """The rows whose attributions the aggregates hold."""
        ...


def row_source(inputs: ExplainInputs, seed: int) -> RowSource:
    """Open the rows of the inputs.

    Args:
        inputs: The model and its rows.
        seed: Seed of the sample that is kept of partitions.

    Raises:
        CannotExplainError: The rows cannot be read, or lack columns of the training rows.
    """
    if is_partitioned(inputs.rows):
        return PartitionedSource(open_partitions(inputs.rows), inputs, seed)
    return TableSource(inputs.candidate_rows(), inputs.origin["available"])


class TableSource:
    """A table in memory, of which all explained rows are kept.

    Args:
        rows: The rows, numbered by their positions.
        n_available: Number of rows of which they are a random sample. Default: all of them.
    """

    is_partitioned = False
    collect: Collect = staticmethod(KeptRows.collect)

    def __init__(self, rows: RowBatch, n_available: int | None = None) -> None:
        self._rows = rows
        self.n_rows = len(rows)
        self.n_available = len(rows) if n_available is None else n_available

    def head(self) -> RowBatch:  # noqa: D102
        return self._rows

    def select(self, limit: int, seed: int) -> Indices:
        """All positions: a random sample of ``limit`` rows in random order, then the others."""
        sample = sample_rows(self.n_rows, limit, seed)
        generator = np.random.default_rng(seed)
        others = np.setdiff1d(np.arange(self.n_rows), sample)
        return np.concatenate([generator.permutation(sample), generator.permutation(others)])

    def explain(  # noqa: D102
        self, task: RowTask, workers: Workers, positions: Positions, batch_size: int, n_jobs: int
    ) -> Iterator[Aggregates]:
        starts = range(0, len(positions), batch_size)
        parts = [_TablePart(self.batch(positions[i : i + batch_size])) for i in starts]
        return workers.map(task, parts, n_jobs)

    def batch(self, positions: Positions) -> RowBatch:
        """The rows at some positions."""
        return self._rows.subset(np.asarray(positions))

    def kept_rows(self, aggregates: Aggregates) -> RowBatch:  # noqa: D102
        return self.batch(aggregates.numbers)


@dataclass(frozen=True, eq=False)
class _TablePart:
    rows: RowBatch

    def batches(self) -> Iterator[RowBatch]:
        yield self.rows


class PartitionedSource:
    """Partitions, of whose explained rows sums and a random sample are kept.

    Args:
        partitions: The partitions.
        inputs: The model and its background rows.
        seed: Seed of the sample.

    Raises:
        CannotExplainError: The partitions lack columns of the model.
    """

    is_partitioned = True

    def __init__(self, partitions: Partitions, inputs: ExplainInputs, seed: int) -> None:
        self._partitions = partitions
        columns = _model_columns(partitions.columns, inputs.names, inputs.template)
        self._layout = TableLayout(columns, inputs.names, inputs.template, inputs.null_columns)
        background = inputs.background_rows().frame
        bins = tuple(Bins.of(background.iloc[:, i]) for i in range(background.shape[1]))
        self.collect: Collect = SumCollector(bins, seed, SAMPLE_ROWS, inputs.groups)
        head = partitions.head(columns, _HEAD_ROWS)
        if not len(head):
            raise CannotExplainError("there are no rows to explain")
        self._head = self._layout.batch(head)
        self._sizes = partitions.sizes()
        self.n_rows = self.n_available = sum(self._sizes)

    def head(self) -> RowBatch:  # noqa: D102
        return self._head

    def select(self, limit: int, seed: int) -> Positions:
        """A random sample of ``limit`` rows, ascending."""
        if limit >= self.n_rows:
            return range(self.n_rows)
        return sample_rows(self.n_rows, limit, seed)

    def explain(  # noqa: D102
        self,
        task: RowTask,
        workers: Workers,
        positions: Positions,
        batch_size: int,  # noqa: ARG002 - batches do not cross partitions
        n_jobs: int,
    ) -> Iterator[Aggregates]:
        return self._partitions.explain(task, self._slices(positions), workers, n_jobs)

    def _slices(self, positions: Positions) -> list[PartitionSlice]:
        ends = np.cumsum(self._sizes)
        starts = ends - self._sizes
        if isinstance(positions, range):
            return [PartitionSlice(self._layout, int(start), None) for start in starts]
        parts = np.split(positions, np.searchsorted(positions, ends)[:-1])
        return [
            PartitionSlice(self._layout, int(start), part - start)
            for start, part in zip(starts, parts, strict=True)
        ]

    def kept_rows(self, aggregates: Aggregates) -> RowBatch:  # noqa: D102
        assert isinstance(aggregates, RowSums)  # noqa: S101 - made by `collect`
        frame = aggregates.sample.frame
        return RowBatch(frame, self._layout.template, self._layout.null_columns)


def _model_columns(columns: Sequence[str], names: Sequence[str], template: Any) -> list[str]:
    """The columns of a source that the model takes, in its order; there may be others."""
    template_columns = getattr(template, "columns", None)
    wanted = [str(name) for name in (names if template_columns is None else template_columns)]
    missing = [name for name in wanted if name not in columns]
    if not missing:
        return wanted
    if template_columns is None and len(columns) == len(wanted):
        return list(columns)
    raise CannotExplainError(
        f"evaluation_examples lacks {len(missing)} of the model's {len(wanted)} columns, "
        f"such as {missing[0][:60]!r}"
    )
