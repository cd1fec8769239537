"""Find the columns of a transformer's output that change when columns of its input are shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from mlflow_interpret.core.errors import MlflowInterpretError
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices

Flags = npt.NDArray[np.bool_]

WIDEST = 20_000
"""Limit of the columns of a dense table."""
_MORE_ROWS = 200
"""Limit of the rows that are added because a random sample lacks one of their values."""
_FEW_VALUES = 50
"""A column with more distinct values counts as continuous."""
_MAX_COLUMNS = 1_000
"""The values of wider tables are not searched, which would take longer than the shuffles."""
_SHUFFLES = 3


class UnknownLineageError(MlflowInterpretError):
    """The sources of the engineered columns are not known; the message gives the reason."""


class ColumnShuffles:
    """The output of a transformer on rows, and on the same rows with shuffled columns.

    Args:
        transform: Computes the output from rows in their container.
        rows: The rows.
        seed: Seed of the permutations.

    Attributes:
        n_outputs: The number of columns of the output.
    """

    def __init__(self, transform: Callable[[Any], Any], rows: RowBatch, seed: int = 0) -> None:
        self._transform, self._rows = transform, rows
        self._raw = rows.frame.reset_index(drop=True)
        self._generator = np.random.default_rng(seed)
        self._plain = self._cells(rows.frame)
        self.n_outputs = self._plain.shape[1]

    def depends_on_other_rows(self) -> Flags:
        """``(n_outputs,)``: whether the first half of the rows alone has another output."""
        half = len(self._raw) // 2
        if not half:
            return np.zeros(self.n_outputs, dtype=bool)
        return _changed(self._plain[:half], self._cells(self._rows.frame.iloc[:half]))

    def changed(self, group: frozenset[int]) -> Flags:
        """``(n_outputs,)``: whether a column changes when those at the positions are shuffled.

        The shuffled cells of a row are all taken from the same other row.
        """
        raw = self._raw
        flags = np.zeros(self.n_outputs, dtype=bool)
        for _ in range(_SHUFFLES):
            other = raw.take(self._generator.permutation(len(raw))).reset_index(drop=True)
            columns = {i: (other if i in group else raw).iloc[:, i] for i in range(raw.shape[1])}
            shuffled = pd.DataFrame(columns).set_axis(raw.columns, axis=1)
            flags |= _changed(self._plain, self._cells(shuffled))
        return flags

    def _cells(self, frame: pd.DataFrame) -> Any:
        # Some transformers change their input in place.
        output = self._transform(self._rows.restore(frame.copy()))
        if sparse.issparse(output) and output.shape[1] > WIDEST:
            return sparse.csr_matrix(output, dtype=np.float64)
        array = output.toarray() if sparse.issparse(output) else np.asarray(output)
        return array[:, None] if array.ndim == 1 else array


def halves(n: int) -> Iterator[tuple[frozenset[int], frozenset[int]]]:
    """For each binary digit, the numbers below ``n`` with a 0 and those with a 1.

    Any two numbers are separated by some digit.
    """
    for digit in range(max(n - 1, 0).bit_length()):
        ones = frozenset(i for i in range(n) if i >> digit & 1)
        yield frozenset(range(n)) - ones, ones


def observed_sources(shuffles: ColumnShuffles, n: int) -> list[frozenset[int] | None]:
    """The input columns that each column of the output is seen to change with.

    An output of a single column changes with exactly one half of the columns for each binary digit,
    and these halves spell the position. All columns count as the sources of any other output.

    Args:
        shuffles: The transformer's output.
        n: The number of input columns.

    Returns:
        For each output the positions of its sources; None for an output that does not change.
    """
    zeros, ones = (
        np.array(side)
        for side in zip(
            *((shuffles.changed(zero), shuffles.changed(one)) for zero, one in halves(n)),
            strict=True,
        )
    )
    position = (ones * (1 << np.arange(len(ones)))[:, None]).sum(axis=0)
    is_single = (zeros != ones).all(axis=0) & (position < n)
    is_constant = ~(zeros | ones).any(axis=0)
    sources: list[frozenset[int] | None] = []
    for k in range(shuffles.n_outputs):
        if is_constant[k]:
            sources.append(None)
        else:
            sources.append(frozenset({int(position[k])} if is_single[k] else range(n)))
    return sources


def representative_rows(rows: RowBatch, n_rows: int) -> RowBatch:
    """A random sample, with rows that have the rare values and missing cells that it lacks.

    Args:
        rows: The rows to choose from.
        n_rows: Size of the random sample.
    """
    frame = rows.frame
    picked = sample_rows(len(frame), n_rows, 0)
    if len(picked) == len(frame) or frame.shape[1] > _MAX_COLUMNS:
        return rows.subset(picked)
    lacking = [_lacking_rows(frame.iloc[:, i], picked) for i in range(frame.shape[1])]
    added = np.unique(np.concatenate(lacking))[:_MORE_ROWS]
    return rows.subset(np.union1d(picked, added))


def _lacking_rows(column: pd.Series[Any], picked: Indices) -> Indices:
    """The first row of each value that the picked rows lack; of many values, a missing cell."""
    order = np.concatenate([picked, np.setdiff1d(np.arange(len(column)), picked)])
    try:
        first: Indices = order[~column.iloc[order].duplicated().to_numpy()]
    except TypeError:  # cells that cannot be compared, such as lists
        return np.zeros(0, dtype=np.int64)
    if len(first) > _FEW_VALUES:
        first = first[np.asarray(column.iloc[first].isna())]
    return np.setdiff1d(first, picked)


def _changed(before: Any, after: Any) -> Flags:
    """``(n_columns,)``: whether a column changes in some row by more than rounding."""
    if before.shape != after.shape:
        raise UnknownLineageError("The number of engineered columns changes with the rows.")
    if sparse.issparse(before):
        size = abs(before).max(axis=0).toarray().ravel()
        difference = (before - sparse.csr_matrix(after)).tocoo()
        is_large = np.abs(difference.data) > 1e-6 * size[difference.col]
        changed = np.zeros(before.shape[1], dtype=bool)
        changed[difference.col[is_large]] = True
        return changed
    try:
        old, new = before.astype(np.float64), after.astype(np.float64)
    except (TypeError, ValueError):  # text, categories, missing values of pandas
        return np.asarray((before.astype(str) != after.astype(str)).any(axis=0))
    size = np.where(np.isfinite(old), np.abs(old), 0.0).max(axis=0, initial=0.0)
    close = np.isclose(old, new, rtol=1e-6, atol=1e-12 * size, equal_nan=True)
    return np.asarray(~close.all(axis=0))


def refuse(flags: Flags, names: Sequence[str], cause: str) -> None:
    """Refuse engineered columns.

    Args:
        flags: ``(n_columns,)`` whether each column is refused.
        names: Their names.
        cause: The completion of "The engineered column depends on".

    Raises:
        UnknownLineageError: A column is refused.
    """
    if flags.any():
        name = names[int(np.flatnonzero(flags)[0])]
        raise UnknownLineageError(f"The engineered column {name!r} depends on {cause}.")
