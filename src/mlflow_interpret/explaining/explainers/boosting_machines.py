"""Explainable boosting machines of interpret by their own terms.

The model is a sum of terms, each of one column or of an interaction of a few. The contribution of a
column is the difference of its term from the term's mean over the background rows, which is its
exact interventional Shapley value where the model has no interactions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.explainers.additivity import attributions_of, values_per_output
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.model_adapter import ModelAdapter

MAX_ROWS = 2_000
_INTERACTIONS = (
    "The contribution of an interaction is shared evenly among its columns, as the model's own "
    "terms do not say more."
)


@register(priority=65)
class BoostingMachineExplainer(Explainer):
    """Explains the ExplainableBoostingClassifier and -Regressor of interpret."""

    is_checked = False

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return any(
            base.__module__.partition(".")[0] == "interpret" and base.__name__ == "EBMModel"
            for base in type(adapter.model).__mro__
        )

    def __init__(self, request: ExplainRequest) -> None:
        self._adapter = request.adapter
        model, background = request.adapter.model, request.background
        self._columns: list[tuple[int, ...]] = list(model.term_features_)
        self._mean = np.average(_terms(model, background), axis=1, weights=background.weights)
        margin = self._mean.sum(axis=1) + np.ravel(model.intercept_)
        self._expected = values_per_output(self._adapter, margin)
        notes = (_INTERACTIONS,) if max(map(len, self._columns), default=1) > 1 else ()
        self.info = ExplainerInfo(
            method="ebm",
            implementation="interpret, terms of the model",
            max_rows=MAX_ROWS,
            background_rows=len(background),
            notes=(*notes, *weight_notes(background)),
        )

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        model = self._adapter.model
        differences = _terms(model, batch) - self._mean[:, None]
        margins = np.zeros((*differences.shape[:2], batch.frame.shape[1]))
        for term, columns in enumerate(self._columns):
            for column in columns:
                margins[..., column] += differences[..., term] / len(columns)
        values = values_per_output(self._adapter, margins)
        if getattr(model, "link_", "identity") in {"identity", "logit", "mlogit", "vlogit"}:
            return attributions_of(self._adapter, batch, values, self._expected, scale)
        outputs = values[0].sum(axis=1) + self._expected  # before the link function
        return Attributions(values[0], self._expected, outputs, "raw prediction")


def _terms(model: Any, rows: RowBatch) -> FloatArray:
    """``(n_margins, n_rows, n_terms)`` values of the terms."""
    try:
        terms: FloatArray = np.asarray(model.eval_terms(rows.original), dtype=np.float64)
    except Exception as error:
        raise CannotExplainError(
            f"the terms of {type(model).__name__} cannot be evaluated", error
        ) from error
    return terms[None] if terms.ndim == 2 else np.moveaxis(terms, 2, 0)
