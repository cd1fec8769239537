"""Tests of partitions: their order, their size, and the rows that are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlflow_interpret.explaining import partitions as partitions_module
from mlflow_interpret.explaining.parallel import Workers
from mlflow_interpret.explaining.partitions import (
    PartitionSlice,
    TableLayout,
    is_partitioned,
    open_partitions,
)

from .partitioned import KINDS, parquet, partitioned

X = pd.DataFrame(
    {"a": np.arange(1_500.0), "b": np.arange(1_500) % 7, "c": np.array(list("xyz") * 500)}
)


def test_tables_in_memory_are_not_partitioned():
    assert not any(is_partitioned(rows) for rows in (X, X.to_numpy(), None, pa.table({"a": [1]})))


def test_partitions_have_a_fixed_order(tmp_path):
    partitions = open_partitions(parquet(tmp_path / "rows", X))
    assert partitions.sizes() == open_partitions(tmp_path / "rows").sizes()
    assert sum(partitions.sizes()) == len(X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 100, 101, 450, 1_500, 2_000])
def test_the_head_has_the_first_rows(kind, n, tmp_path):
    head = open_partitions(partitioned(kind, tmp_path, X)).head(["c", "a"], n)
    pd.testing.assert_frame_equal(head, X[["c", "a"]][:n], check_dtype=False)


def test_the_head_of_no_rows_has_the_columns(tmp_path):
    assert open_partitions(parquet(tmp_path / "rows", X[:0])).head(["a"], 5).columns.tolist() == [
        "a"
    ]


def test_the_head_does_not_read_later_rows(tmp_path):
    folder = parquet(tmp_path / "rows", X)
    partitions = open_partitions(folder)
    (folder / "2.parquet").unlink()
    assert len(partitions.head(["a"], 900)) == 900


def test_the_head_of_a_dask_frame_computes_the_first_partition_only():
    import dask.dataframe

    computed = []

    def part(number):
        computed.append(number)
        return X[number * 500 : (number + 1) * 500]

    frame = dask.dataframe.from_map(part, range(3), meta=X[:0])
    with dask.config.set(scheduler="synchronous"):
        assert len(open_partitions(frame).head(["a", "b"], 300)) == 300
    assert computed == [0]


def batch_sizes(partitions, columns):
    """The sizes of the batches in which the rows are explained, by partition."""
    layout = TableLayout(columns, tuple(columns), pd.DataFrame(columns=columns), frozenset())
    sizes = partitions.sizes()
    slices = [PartitionSlice(layout, sum(sizes[:i]), None) for i in range(len(sizes))]

    def measure(batches):
        return [len(batch) for batch in batches]

    return list(partitions.explain(measure, slices, Workers(None, None), 1))


def most_memory(n_rows, folder):
    """The most bytes that Arrow holds while all rows are read."""
    path = folder / f"{n_rows}.parquet"
    cells = pa.array(np.random.default_rng(0).normal(size=100_000))
    table = pa.table({f"x{i}": cells for i in range(5)})
    with pa.parquet.ParquetWriter(path, table.schema) as writer:
        for _ in range(n_rows // len(table)):
            writer.write_table(table)
    del table, cells
    pool, usual = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        partitions = open_partitions(path)
        assert len(partitions.head(partitions.columns, 10)) == 10
        sizes = batch_sizes(partitions, partitions.columns)
    finally:
        pa.set_memory_pool(usual)
    assert sum(map(sum, sizes)) == n_rows
    return pool.max_memory()


def test_memory_does_not_grow_with_the_rows(tmp_path):
    small, large = (most_memory(n_rows, tmp_path) for n_rows in (200_000, 3_000_000))
    assert 0 < large < 1.5 * small


def test_rows_are_read_in_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(partitions_module, "_READ_ROWS", 40)
    partitions = open_partitions(parquet(tmp_path / "rows", X))
    sizes = [size for part in batch_sizes(partitions, ["a"]) for size in part]
    assert max(sizes) <= 40
    assert sum(sizes) == len(X)
