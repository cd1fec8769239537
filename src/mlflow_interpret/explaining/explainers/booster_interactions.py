"""Interactions of pairs of columns in boosters.

XGBoost and CatBoost compute them for their own models, and shapiq for those of LightGBM. They are
path-dependent, as the contributions of these libraries, to which they must add up.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.interaction_matrices import n_rows_of_call
from mlflow_interpret.explaining.native_models import original_model

_TOLERANCE = 1e-3

Contributions = Callable[[Any], FloatArray]
"""Maps rows to ``(n_rows, n_margins, n_features + 1)`` contributions and bias."""
Matrices = Callable[[Any], FloatArray]
"""Maps rows to ``(n_rows, n_margins, n_features, n_features)`` interactions, whose rows add up to
contributions."""


def own_interactions(
    matrices: Matrices, contributions: Contributions, batch: RowBatch, columns: Indices
) -> FloatArray:
    """Compute the interactions by a library.

    Args:
        matrices: The function of the library.
        contributions: Its function for contributions.
        batch: The rows.
        columns: ``(k,)`` columns.

    Returns:
        ``(n_margins, n_rows, k, k)`` interactions, 0 on the diagonal.

    Raises:
        CannotExplainError: They do not add up to the contributions, or there are too many columns.
    """
    n_margins = contributions(batch.subset(slice(1)).original).shape[1]
    n_rows = n_rows_of_call(batch.frame.shape[1], n_margins)
    parts = [
        _part(matrices, contributions, batch.subset(slice(start, start + n_rows)), columns)
        for start in range(0, len(batch), n_rows)
    ]
    return np.concatenate(parts, axis=1)


def _part(
    matrices: Matrices, contributions: Contributions, batch: RowBatch, columns: Indices
) -> FloatArray:
    rows = batch.original
    values = matrices(rows)
    _check(values.sum(axis=3), contributions(rows)[:, :, :-1])
    return _of_columns(values, columns)


class LightGBMInteractions:
    """The interactions of a LightGBM model by shapiq.

    Args:
        model: The model.
        n_margins: Number of its margins.

    Raises:
        CannotExplainError: shapiq is not installed.
    """

    def __init__(self, model: Any, n_margins: int) -> None:
        try:
            from shapiq.tree import QuadratureTreeSHAP
        except ImportError:
            raise CannotExplainError(
                "interactions of LightGBM models need shapiq, which needs Python 3.12"
            ) from None
        self._trees = [
            QuadratureTreeSHAP(
                original_model(model),
                max_order=2,
                index="SII",
                class_index=margin if n_margins > 1 else None,
            )
            for margin in range(n_margins)
        ]

    def explain(
        self, contributions: Contributions, batch: RowBatch, columns: Indices
    ) -> FloatArray:
        """Compute interactions as `own_interactions`.

        Raises:
            CannotExplainError: The cells are no numbers, or shapiq reads other trees.
        """
        if not is_numeric(batch.frame):
            raise CannotExplainError(NOT_NUMBERS)
        cells = numbers(batch.frame)
        single, pairs = [], []
        for row in cells:
            explained = [trees.explain(row) for trees in self._trees]
            single.append([margin.get_n_order_values(1) for margin in explained])
            pairs.append([_pairs(margin, columns) for margin in explained])
        _check(np.array(single), contributions(batch.original)[:, :, :-1])
        return _of_columns(np.array(pairs), np.arange(len(columns)))


def _pairs(values: Any, columns: Indices) -> FloatArray:
    """``(k, k)`` interactions of shapiq's values; its matrix of all columns may be huge."""
    pairs = np.zeros((len(columns), len(columns)))
    for i, j in combinations(range(len(columns)), 2):
        pairs[i, j] = pairs[j, i] = 0.5 * values[int(columns[i]), int(columns[j])]
    return pairs


def _of_columns(values: FloatArray, columns: Indices) -> FloatArray:
    selected: FloatArray = np.moveaxis(values[..., columns[:, None], columns], 1, 0).copy()
    diagonal = np.arange(len(columns))
    selected[..., diagonal, diagonal] = 0.0
    return selected


def _check(sums: FloatArray, contributions: FloatArray) -> None:
    size = np.abs(contributions).max(initial=0.0)
    if np.abs(sums - contributions).max(initial=0.0) > _TOLERANCE * size:
        raise CannotExplainError("its interactions do not add up to its contributions")
