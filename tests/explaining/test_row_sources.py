"""Where partitioned rows come from: in one order, and no more of them than are asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlflow_interpret.explaining import row_sources
from mlflow_interpret.explaining.row_sources import is_partitioned, source_of

from .partitioned import KINDS, parquet, partitioned

X = pd.DataFrame(
    {"a": np.arange(1_500.0), "b": np.arange(1_500) % 7, "c": np.array(list("xyz") * 500)}
)


def test_tables_in_memory_are_no_partitions():
    assert not any(is_partitioned(rows) for rows in (X, X.to_numpy(), None, pa.table({"a": [1]})))


def test_a_source_has_the_same_order_each_time(tmp_path):
    source = source_of(parquet(tmp_path / "rows", X))
    assert source.sizes() == source_of(tmp_path / "rows").sizes()
    assert sum(source.sizes()) == len(X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 100, 101, 450, 1_500, 2_000])
def test_the_head_is_the_first_rows(kind, n, tmp_path):
    head = source_of(partitioned(kind, tmp_path, X)).head(["c", "a"], n)
    pd.testing.assert_frame_equal(head, X[["c", "a"]][:n], check_dtype=False)


def test_the_head_of_nothing_has_the_columns(tmp_path):
    assert source_of(parquet(tmp_path / "rows", X[:0])).head(["a"], 5).columns.tolist() == ["a"]


def test_the_head_leaves_later_rows_alone(tmp_path):
    folder = parquet(tmp_path / "rows", X)
    source = source_of(folder)
    (folder / "2.parquet").unlink()
    assert len(source.head(["a"], 900)) == 900


def test_the_head_of_dask_computes_the_first_partition_only():
    import dask.dataframe

    computed = []

    def part(number):
        computed.append(number)
        return X[number * 500 : (number + 1) * 500]

    frame = dask.dataframe.from_map(part, range(3), meta=X[:0])
    with dask.config.set(scheduler="synchronous"):
        assert len(source_of(frame).head(["a", "b"], 300)) == 300
    assert computed == [0]


def _most_memory(rows: int, folder) -> int:
    path = folder / f"{rows}.parquet"
    cells = pa.array(np.random.default_rng(0).normal(size=100_000))
    table = pa.table({f"x{i}": cells for i in range(5)})
    with pa.parquet.ParquetWriter(path, table.schema) as writer:
        for _ in range(rows // len(table)):
            writer.write_table(table)
    del table, cells
    pool, usual = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        source = source_of(path)
        names = source.columns
        assert len(source.head(names, 10)) == 10
        counted = source.reduced(
            lambda _, pieces: sum(map(len, pieces)), lambda a, b: a + b, names, None
        )
    finally:
        pa.set_memory_pool(usual)
    assert counted == rows
    return pool.max_memory()


def test_memory_does_not_grow_with_the_rows(tmp_path):
    small, large = (_most_memory(rows, tmp_path) for rows in (200_000, 3_000_000))
    assert 0 < large < 1.5 * small


def test_pieces_are_small(tmp_path, monkeypatch):
    monkeypatch.setattr(row_sources, "_BATCH_ROWS", 40)
    source = source_of(parquet(tmp_path / "rows", X))
    sizes = source.reduced(
        lambda _, pieces: [len(piece) for piece in pieces], lambda a, b: a + b, ["a"], None
    )
    assert max(sizes) <= 40
    assert sum(sizes) == len(X)
