"""Naive Bayes models in closed form.

The log-probability of a class is a sum of terms, each a function of one column. The contribution
of a column is the difference of its term from the term's mean over the background rows, which is
its exact interventional Shapley value. Counts, whose terms are linear, are left to `linear`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.base import (
    ExplainerInfo,
    ExplainRequest,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.closed_form import ClosedFormExplainer
from mlflow_interpret.explaining.explainers.linear import CHECKED_ROWS, MAX_ROWS, linear_output
from mlflow_interpret.explaining.model_adapter import ModelAdapter

_PART_ROWS = 1_000


@register(priority=58)
class NaiveBayesExplainer(ClosedFormExplainer):
    """Explains the log-odds of GaussianNB, BernoulliNB and CategoricalNB."""

    is_additive = True

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return isinstance(adapter.model, (GaussianNB, BernoulliNB, CategoricalNB))

    def __init__(self, request: ExplainRequest) -> None:
        background = request.background
        self._adapter = request.adapter
        self._mean = self._mean_terms(background)
        checked = background.subset(slice(CHECKED_ROWS))
        self._scale, self._expected = linear_output(
            self._adapter, checked.original, self._values(checked), form="a sum over its columns"
        )
        self.info = ExplainerInfo(
            method="shap_additive",
            implementation="mlflow-interpret, naive Bayes in closed form",
            max_rows=MAX_ROWS,
            background_rows=len(background),
            notes=weight_notes(background),
        )

    def _values(self, batch: RowBatch) -> FloatArray:
        return self._terms(batch) - self._mean[:, None]

    def _mean_terms(self, background: RowBatch) -> FloatArray:
        """``(n_classes, n_columns)`` means, computed over parts of the rows to save memory."""
        shares = np.ones(len(background)) if background.weights is None else background.weights
        parts = [slice(i, i + _PART_ROWS) for i in range(0, len(background), _PART_ROWS)]
        sums = [shares[part] @ self._terms(background.subset(part)) for part in parts]
        means: FloatArray = np.sum(sums, axis=0) / shares.sum()
        return means

    def _terms(self, batch: RowBatch) -> FloatArray:
        """``(n_classes, n_rows, n_columns)`` terms of the log-odds; of several classes, of the
        log-probabilities less their mean.
        """
        if not is_numeric(batch.frame):
            raise CannotExplainError(NOT_NUMBERS)
        logs = _log_likelihoods(self._adapter.model, numbers(batch.frame))
        return logs - (logs[::-1] if len(logs) == 2 else logs.mean(axis=0))


def _log_likelihoods(model: Any, cells: FloatArray) -> FloatArray:
    """``(n_classes, n_rows, n_columns)`` logarithms of the cells' likelihoods, up to a constant."""
    if isinstance(model, GaussianNB):
        distances = (cells - model.theta_[:, None]) ** 2
        gaussian: FloatArray = -0.5 * distances / model.var_[:, None]
        return gaussian
    if isinstance(model, BernoulliNB):
        is_one = cells if model.binarize is None else cells > model.binarize
        log_odds = model.feature_log_prob_ - np.log1p(-np.exp(model.feature_log_prob_))
        binary: FloatArray = log_odds[:, None] * is_one
        return binary
    positions = cells.astype(np.intp)
    tables = model.feature_log_prob_  # of each column: (n_classes, n_categories)
    categorical: FloatArray = np.stack(
        [table[:, positions[:, column]] for column, table in enumerate(tables)], axis=2
    )
    return categorical
