"""Tables in partitions, which may be larger than memory: Parquet datasets and Dask DataFrames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol, TypeVar

import pandas as pd

from mlflow_interpret.core.errors import CannotExplainError

_BATCH_ROWS = 65_536
_FAN_IN = 8  # so many answers meet on a worker before they come back

Answer = TypeVar("Answer")
Work = Callable[[int, Iterable[pd.DataFrame]], Answer]
Merge = Callable[[Answer, Answer], Answer]


class Source(Protocol):
    """Rows in partitions, in an order that is always the same."""

    @property
    def columns(self) -> list[str]: ...  # noqa: D102

    def head(self, columns: list[str], n: int) -> pd.DataFrame:
        """The first rows, at most ``n``."""
        ...

    def sizes(self) -> list[int]:
        """The number of rows of each partition."""
        ...

    def reduced(
        self, work: Work[Answer], merge: Merge[Answer], columns: list[str], n_jobs: int | None
    ) -> Answer:
        """What ``work`` says of each partition, merged; rows stay where they are.

        Args:
            work: Takes the number of a partition and its rows, in pieces.
            merge: Makes one answer of two, that of the earlier partition first.
            columns: The columns that ``work`` needs.
            n_jobs: So many partitions at once.
        """
        ...


def is_partitioned(examples: Any) -> bool:
    """Whether these are a Parquet dataset, its path, or a Dask DataFrame."""
    return isinstance(examples, (str, os.PathLike)) or _is_dataset(examples) or is_dask(examples)


def is_dask(examples: Any) -> bool:
    """Whether these are a Dask DataFrame."""
    return type(examples).__module__.startswith(("dask.dataframe", "dask_expr"))


def source_of(examples: Any) -> Source:
    """The source of partitioned examples.

    Raises:
        CannotExplainError: They cannot be read.
    """
    if is_dask(examples):
        return _Dask(examples)
    if _is_dataset(examples):
        return _Parquet(examples)
    from pyarrow import dataset

    try:
        return _Parquet(dataset.dataset(os.fspath(examples), format="parquet"))
    except Exception as error:  # pyarrow's errors have no common base but Exception
        raise CannotExplainError(
            "evaluation_examples cannot be read as a Parquet dataset", error
        ) from error


def _is_dataset(examples: Any) -> bool:
    return type(examples).__module__.startswith("pyarrow") and hasattr(examples, "get_fragments")


class _Parquet:
    """A dataset by its row groups, which joblib's workers read themselves."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        # Without their statistics the fragments are small; workers open the files anew.
        self._fragments = [
            group
            for fragment in dataset.get_fragments()
            for group in (fragment.split_by_row_group() or [fragment])
        ]

    @property
    def columns(self) -> list[str]:
        return list(self._dataset.schema.names)

    def head(self, columns: list[str], n: int) -> pd.DataFrame:
        # The dataset's own head() reads ahead, up to the whole of it.
        schema = self._dataset.schema
        pieces = (
            piece for fragment in self._fragments for piece in _pieces(fragment, schema, columns)
        )
        return _first(pieces, columns, n)

    def sizes(self) -> list[int]:
        # count_rows() counts the whole file for each of its row groups.
        return [sum(group.num_rows for group in one.row_groups) for one in self._fragments]

    def reduced(
        self, work: Work[Answer], merge: Merge[Answer], columns: list[str], n_jobs: int | None
    ) -> Answer:
        from joblib import Parallel, delayed

        schema = self._dataset.schema
        tasks = (
            delayed(_read_and)(work, number, fragment, schema, columns)
            for number, fragment in enumerate(self._fragments)
        )
        answers = Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
        found: Answer = _merged(merge, answers)
        return found


def _read_and(
    work: Work[Answer], number: int, fragment: Any, schema: Any, columns: list[str]
) -> Answer:
    return work(number, _pieces(fragment, schema, columns))


def _pieces(fragment: Any, schema: Any, columns: list[str]) -> Iterator[pd.DataFrame]:
    import pyarrow as pa

    batches = fragment.to_batches(
        schema=schema, columns=columns, batch_size=_BATCH_ROWS, batch_readahead=1
    )
    for batch in batches:
        if batch.num_rows:
            yield pa.Table.from_batches([batch]).to_pandas()


class _Dask:
    """A Dask DataFrame, on whatever scheduler is active."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def columns(self) -> list[str]:
        return list(self._frame.columns)

    def head(self, columns: list[str], n: int) -> pd.DataFrame:
        # One partition after the other, as the first is mostly enough.
        parts = self._frame[columns].partitions
        heads = (parts[i].head(n) for i in range(self._frame.npartitions))
        return _first(heads, columns, n)

    def sizes(self) -> list[int]:
        import dask

        lengths = [dask.delayed(len)(part) for part in self._frame.to_delayed()]
        return [int(length) for length in dask.compute(*lengths)]

    def reduced(
        self,
        work: Work[Answer],
        merge: Merge[Answer],
        columns: list[str],
        n_jobs: int | None,  # noqa: ARG002 - the scheduler's business
    ) -> Answer:
        import dask

        shared = dask.delayed(work)  # goes to each worker once
        parts = self._frame[columns].to_delayed()
        answers = [
            dask.delayed(_work_on)(shared, number, part) for number, part in enumerate(parts)
        ]
        together = dask.delayed(partial(_merged, merge))
        while len(answers) > 1:
            answers = [
                together(answers[start : start + _FAN_IN])
                for start in range(0, len(answers), _FAN_IN)
            ]
        (answer,) = dask.compute(answers[0])
        return answer  # type: ignore[no-any-return]


def _first(pieces: Iterable[pd.DataFrame], columns: list[str], n: int) -> pd.DataFrame:
    """The first rows of all pieces, of which no more are taken than it needs."""
    found: list[pd.DataFrame] = []
    for piece in pieces:
        found.append(piece[:n])
        n -= len(found[-1])
        if not n:
            break
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def _work_on(work: Work[Answer], number: int, part: pd.DataFrame) -> Answer:
    starts = range(0, len(part), _BATCH_ROWS)
    return work(number, (part.iloc[start : start + _BATCH_ROWS] for start in starts))


def _merged(merge: Merge[Answer], answers: Iterable[Answer]) -> Answer:
    every = iter(answers)
    found = next(every)
    for answer in every:
        found = merge(found, answer)
    return found
