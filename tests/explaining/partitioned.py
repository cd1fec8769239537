"""Partitioned rows for tests: Parquet files with several row groups, and Dask DataFrames."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

KINDS = ("path", "dataset", "dask")


def parquet(folder, rows, n_files=3, row_group_size=101):
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(np.array_split(np.arange(len(rows)), n_files)):
        table = pa.Table.from_pandas(rows.iloc[part].assign(other=1), preserve_index=False)
        pyarrow.parquet.write_table(
            table, folder / f"{number}.parquet", row_group_size=row_group_size
        )
    return folder


def partitioned(kind, tmp_path, rows):
    if kind == "path":
        return str(parquet(tmp_path / "rows", rows))
    if kind == "dataset":
        return pyarrow.dataset.dataset(parquet(tmp_path / "rows", rows))
    import dask.dataframe

    return dask.dataframe.from_pandas(rows, npartitions=5)
