"""Samples of rows that arrive in batches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mlflow_interpret import CannotExplainError
from mlflow_interpret.explaining.row_sample import RowSample

ROWS = np.arange(600.0).reshape(200, 3)
LABELS = np.arange(200)


def filled(rows, labels=None, *, seed=0, max_rows=50, size=20):
    sample = RowSample(seed, max_rows)
    for start in range(0, 200, size):
        batch = slice(start, start + size)
        sample.add(rows[batch], None if labels is None else labels[batch])
    return sample


def polars_table():
    return pytest.importorskip("polars").DataFrame(ROWS, schema=["a", "b", "c"])


CONTAINERS = {
    "array": lambda: ROWS,
    "frame": lambda: pd.DataFrame(ROWS, columns=["a", "b", "c"]),
    "sparse": lambda: sparse.csr_matrix(ROWS),
    "sparse array": lambda: sparse.csc_array(ROWS),
    "polars": polars_table,
    "list": lambda: ROWS.tolist(),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("max_rows", [50, 200, 300])
def test_rows_and_labels_belong_together(container, max_rows):
    rows = CONTAINERS[container]()
    sample = filled(rows, pd.Series(LABELS), max_rows=max_rows)
    kept, labels = sample.rows()
    assert isinstance(kept, type(rows)) or container == "list"
    values = kept.toarray() if sparse.issparse(kept) else np.asarray(kept)
    assert len(values) == min(max_rows, 200)
    np.testing.assert_array_equal(values, ROWS[np.asarray(labels)])
    assert (np.diff(labels) > 0).all()
    assert (sample.n_batches, sample.n_seen) == (10, 200)


def test_each_row_is_drawn_with_the_same_probability():
    counts = np.zeros(200)
    for seed in range(400):
        _, labels = filled(ROWS, LABELS, seed=seed).rows()
        counts[labels] += 1
    assert counts.sum() == 400 * 50
    # Binomial: mean 100, standard deviation 8.7; halves of the rows: mean 10,000, deviation 43.
    assert 60 < counts.min() < counts.max() < 140
    assert abs(counts[:100].sum() - 10_000) < 5 * 43


def test_a_seed_gives_the_same_sample_and_memory_is_bounded():
    first, second = filled(ROWS, LABELS), filled(ROWS, LABELS)
    np.testing.assert_array_equal(first.rows()[1], second.rows()[1])
    for _ in range(20):
        first.add(ROWS, LABELS)
    assert sum(map(len, first._keys)) <= 100
    assert len(first.rows()[0]) == 50


def test_rows_are_copied():
    sample, batch = RowSample(0), ROWS.copy()
    sample.add(batch)
    batch[:] = -1
    rows, labels = sample.rows()
    np.testing.assert_array_equal(rows, ROWS)
    assert labels is None


def test_wide_tables_have_fewer_rows():
    sample = RowSample(0)
    sample.add(sparse.csr_matrix((10, 1_000_000)))
    assert sample.rows()[0].shape == (2, 1_000_000)


def test_batches_that_do_not_fit_together_are_an_error():
    sample = RowSample(0)
    with pytest.raises(CannotExplainError, match="no rows"):
        sample.rows()
    sample.add(ROWS)
    sample.add(ROWS[:, :2])
    with pytest.raises(CannotExplainError, match="different columns"):
        sample.rows()
    with pytest.raises(CannotExplainError, match="is not a table"):
        sample.add(np.zeros(3))
