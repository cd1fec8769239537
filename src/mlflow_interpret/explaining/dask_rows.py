"""A sample of training rows that lie on a Dask cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import TrainingContext
from mlflow_interpret.core.statistics import sample_rows

_PARTITIONS = 32
"""Limit of the sampled partitions: their data may have to be loaded again."""
_ROWS = 10_000

_COLLECTIONS = ("dask.dataframe", "dask_expr", "dask.array")


def is_dask_collection(rows: Any) -> bool:
    """Whether the rows are a Dask DataFrame or array."""
    return type(rows).__module__.startswith(_COLLECTIONS)


def in_memory(context: TrainingContext, seed: int) -> TrainingContext:
    """Replace training and background rows on a Dask cluster by a sample of some partitions.

    Args:
        context: A model and its rows.
        seed: The seed.

    Raises:
        CannotExplainError: There are no rows.
    """
    if is_dask_collection(context.initialization_examples):
        (background,), _ = _sample([context.initialization_examples], seed)
        context = replace(context, initialization_examples=background)
    if not is_dask_collection(context.X):
        return context
    (X, y, weights), partitions = _sample([context.X, context.y, context.sample_weight], seed)
    note = f"The rows are a random sample of {partitions} of the training data."
    return replace(context, X=X, y=y, sample_weight=weights, notes=(*context.notes, note))


def _sample(collections: list[Any], seed: int) -> tuple[list[Any], str]:
    """The same sample of each collection, and the partitions that it is from as text.

    Args:
        collections: Rows, and objects with a value for each row. One with other partitions than
            the rows, and one that is no Dask collection, becomes None.
        seed: The seed.
    """
    import dask

    columns = [_partitions(collection) for collection in collections]
    n = len(columns[0])
    columns = [column if len(column) == n else [None] * n for column in columns]
    picked = sample_rows(n, _PARTITIONS, seed)
    size = -(-_ROWS // len(picked))
    draw = dask.delayed(_draw, pure=False)
    samples = dask.compute(
        *(draw([column[i] for column in columns], size, seed + int(i)) for i in picked)
    )
    samples = [sample for sample in samples if len(sample[0])]
    if not samples:
        raise CannotExplainError("there are no rows to explain")
    joined = [_joined(values) for values in zip(*samples, strict=True)]
    return joined, f"{len(picked)} of the {n} partitions"


def _partitions(collection: Any) -> list[Any]:
    """The partitions as delayed objects; those of a table hold all of its columns."""
    if not is_dask_collection(collection):
        return []
    if getattr(collection, "ndim", 1) == 2 and hasattr(collection, "rechunk"):
        collection = collection.rechunk({1: -1})
    return list(np.ravel(np.asarray(collection.to_delayed(), dtype=object)))


def _draw(table: list[Any], size: int, seed: int) -> list[Any]:
    """At most ``size`` rows of a partition with labels and weights; runs on a worker."""
    picked = sample_rows(table[0].shape[0], size, seed)
    return [None if values is None else _take(values, picked) for values in table]


def _take(values: Any, picked: Any) -> Any:
    return values.iloc[picked] if hasattr(values, "iloc") else values[picked]


def _joined(samples: Sequence[Any]) -> Any:
    if samples[0] is None:
        return None
    if hasattr(samples[0], "iloc"):
        return pd.concat(samples, ignore_index=True)
    return np.concatenate([np.asarray(sample) for sample in samples])
