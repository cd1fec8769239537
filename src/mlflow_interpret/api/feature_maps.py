"""Sum contributions by engineered column up to raw columns, with the weights that a user gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray


def combined_weights(feature_maps: Sequence[Any]) -> FloatArray:
    """``(n_raw, n_generated)`` weights whose columns sum to 1."""
    if isinstance(feature_maps, np.ndarray) or sparse.issparse(feature_maps):
        raise OptionError(
            "feature_maps must be a list of arrays or sparse matrices, one for each "
            f"transformation, got {type(feature_maps).__name__}."
        )
    dense = [np.asarray(m.toarray() if sparse.issparse(m) else m, float) for m in feature_maps]
    if any((weights < 0).any() for weights in dense):
        raise OptionError("feature_maps must hold weights of at least 0, got a negative one.")
    product = reduce(np.matmul, dense)
    totals = np.abs(product).sum(axis=0)
    return np.asarray(product / np.where(totals == 0, 1.0, totals))


def raw_record(
    record: Explanation, weights: FloatArray, names: Sequence[str], rows: Any
) -> Explanation:
    """The record of an explanation by raw column."""
    values, per_class, local = weights @ record.global_values, None, None
    if record.local_values is not None:
        local = record.local_values @ weights.T
        by_output = np.abs(local).mean(axis=-2)
        per_class = by_output if by_output.ndim == 2 else None
        values = by_output if per_class is None else per_class.mean(axis=0)
    return replace(
        record,
        features=tuple(names),
        global_values=values,
        per_class_values=per_class,
        local_values=local,
        evaluation_rows=None if rows is None else pd.DataFrame(rows),
        is_raw=True,
        is_engineered=False,
        engineered=None,
        background=None,
        interactions=None,
        global_errors=None,
        per_class_errors=None,
        groups=None,
    )
