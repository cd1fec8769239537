"""Contributions of single columns by sampling, without the other columns' contributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices


def sample_columns(
    output: Callable[[RowBatch], FloatArray],
    table: RowBatch,
    rows: Indices,
    columns: Indices,
    n_pairs: int,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """Estimate interventional Shapley values of some columns of some rows.

    For each pair of a permutation and its reverse, the columns in front of a column are known, and
    the output changes when the column becomes known, too. Unknown columns have the cells of another
    row of the table.

    Args:
        output: Maps a batch of ``n`` rows to ``(n, K)`` outputs.
        table: The background rows.
        rows: ``(n_rows,)`` positions of the explained rows in the table.
        columns: ``(n_columns,)`` positions of the columns.
        n_pairs: Number of pairs of permutations for each row, at least 2.
        seed: Seed of the permutations and the background rows.

    Returns:
        ``(K, n_rows, n_columns)`` values and their standard errors.
    """
    generator = np.random.default_rng(seed)
    shape = (len(rows), n_pairs)
    shares = None if table.weights is None else table.weights / table.weights.sum()
    others = generator.choice(len(table), size=shape, p=shares)[:, :, None, None]
    ranks = generator.random((*shape, 1, table.frame.shape[1])).argsort(axis=-1).argsort(axis=-1)
    own = ranks[:, :, 0, columns, None]
    known = np.stack([ranks <= own, ranks < own, ranks >= own, ranks > own], axis=2)
    positions = np.where(known, rows[:, None, None, None, None], others[:, :, None])
    outputs = output(mix_rows(table, positions.reshape(-1, positions.shape[-1])))
    outputs = outputs.reshape(*shape, 4, len(columns), -1)
    samples = (outputs[:, :, 0] - outputs[:, :, 1] + outputs[:, :, 2] - outputs[:, :, 3]) / 2.0
    values, deviation = samples.mean(axis=1), samples.std(axis=1, ddof=1)
    errors = deviation / np.sqrt(n_pairs)
    return values.transpose(2, 0, 1), errors.transpose(2, 0, 1)


def mix_rows(table: RowBatch, positions: npt.NDArray[np.intp]) -> RowBatch:
    """Rows whose cells are those of ``(n, n_features)`` rows of a table."""
    frame = table.frame
    if len(set(frame.dtypes)) == 1 and isinstance(frame.dtypes.iloc[0], np.dtype):
        cells: Any = frame.to_numpy()[positions, np.arange(frame.shape[1])]
        mixed = pd.DataFrame(cells)
    else:
        mixed = pd.DataFrame(
            {i: frame.iloc[:, i].array.take(positions[:, i]) for i in range(frame.shape[1])}
        )
    return RowBatch(mixed.set_axis(frame.columns, axis=1), table.template, table.nulls)
