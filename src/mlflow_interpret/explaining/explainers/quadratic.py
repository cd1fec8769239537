"""Quadratic discriminant analysis in closed form.

The log-probability of a class is a quadratic function of the columns: a sum over pairs of columns.
Shapley values are linear in the model, and a pair shares its part of the output by the mean over
both orders in which its columns become known. With the means over the background rows, that gives
the exact interventional values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.additivity import values_per_output
from mlflow_interpret.explaining.explainers.base import (
    ExplainerInfo,
    ExplainRequest,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.closed_form import ClosedFormExplainer
from mlflow_interpret.explaining.explainers.linear import CHECKED_ROWS, MAX_ROWS, linear_output
from mlflow_interpret.explaining.model_adapter import ModelAdapter


@register(priority=57)
class QuadraticExplainer(ClosedFormExplainer):
    """Explains the log-odds of QuadraticDiscriminantAnalysis."""

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return isinstance(adapter.model, QuadraticDiscriminantAnalysis)

    def __init__(self, request: ExplainRequest) -> None:
        background = request.background
        if not is_numeric(background.frame):
            raise CannotExplainError(NOT_NUMBERS)
        self._adapter = request.adapter
        cells, weights = numbers(background.frame), background.weights
        self._center = np.average(cells, axis=0, weights=weights)
        centered = cells - self._center
        shares = np.full(len(cells), 1 / len(cells)) if weights is None else weights / weights.sum()
        self._covariance = (centered * shares[:, None]).T @ centered
        self._matrices, self._slopes = _forms(self._adapter.model, self._center)
        checked = background.subset(slice(CHECKED_ROWS))
        self._scale, self._expected = linear_output(
            self._adapter, checked.original, self._values(checked), form="quadratic in its columns"
        )
        self.info = ExplainerInfo(
            method="shap_quadratic",
            implementation="mlflow-interpret, quadratic in closed form",
            max_rows=MAX_ROWS,
            background_rows=len(background),
            notes=weight_notes(background),
        )

    def _values(self, batch: RowBatch) -> FloatArray:
        # The columns' means are 0 after centering, so the parts of a pair with one unknown column
        # vanish: a pair's two columns share the difference from its mean, the covariance, evenly.
        cells = numbers(batch.frame) - self._center
        values = cells * (cells @ self._matrices) + self._slopes[:, None] * cells
        values -= (self._matrices * self._covariance).sum(axis=2)[:, None]
        binary = len(values) == 2
        return values_per_output(self._adapter, values[1:] - values[:1] if binary else values)

    def interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:  # noqa: D102
        cells = numbers(batch.frame)[:, columns] - self._center[columns]
        pairs = np.ix_(columns, columns)
        products = cells[:, :, None] * cells[:, None, :] + self._covariance[pairs]
        values = np.stack([matrix[pairs] * products for matrix in self._matrices])
        values[..., np.arange(len(columns)), np.arange(len(columns))] = 0.0
        binary = len(values) == 2
        return values_per_output(self._adapter, values[1:] - values[:1] if binary else values)


def _forms(model: Any, center: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The log-likelihood of each class around a point, up to a constant.

    Returns:
        ``(n_classes, n_columns, n_columns)`` matrices and ``(n_classes, n_columns)`` slopes.
    """
    matrices, slopes = [], []
    for mean, axes, variances in zip(model.means_, model.rotations_, model.scalings_, strict=True):
        matrix = -0.5 * (axes / variances) @ axes.T
        matrices.append(matrix)
        slopes.append(2.0 * matrix @ (center - mean))
    return np.stack(matrices), np.stack(slopes)
