"""Linear models in closed form: coefficient times how far a cell is from the background's mean.

For a linear function these are the exact interventional Shapley values, whether the columns are
correlated or not: Lundberg and Lee (2017), corollary 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.additivity import difference, is_sum
from mlflow_interpret.explaining.explainers.base import Attributions
from mlflow_interpret.explaining.model_adapter import ModelAdapter, per_class

LINEAR_ROWS = 2_000
_FEW = 100
"""So many background rows tell whether a model with coefficients is linear."""


class Linear:
    """A linear model's contributions, ready for any rows.

    Raises:
        CannotExplainError: The model has no coefficients, or none of its outputs is linear.
    """

    method = "shap_linear"
    engine = "mlflow-interpret, linear in closed form"
    ceiling = whole = LINEAR_ROWS
    notes: tuple[str, ...] = ()
    spreads = shortened = False  # a product of matrices, which uses all cores

    def __init__(self, adapter: ModelAdapter, background: RowBatch) -> None:
        if not is_numeric(background.frame):
            raise CannotExplainError(NOT_NUMBERS)
        self._predictor = adapter
        self._coefficients = _coefficients(adapter, background.frame.shape[1])
        self._mean = numbers(background.frame).mean(axis=0)
        self.background_rows = len(background)
        self._scale, self._expected = self._match(background.subset(slice(_FEW)))

    def explain(self, rows: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002
        """As `Explainer` has it; ``scale`` is always the same."""
        if not is_numeric(rows.frame):
            raise CannotExplainError(NOT_NUMBERS)
        outputs = self._predictor.output(self._scale)(rows.original)
        return Attributions(self._values(rows), self._expected, outputs, self._scale)

    def _values(self, rows: RowBatch) -> FloatArray:
        away = numbers(rows.frame) - self._mean
        local: FloatArray = self._coefficients[:, None, :] * away
        return local[0] if self._predictor.output_names is None else local

    def _match(self, rows: RowBatch) -> tuple[str, FloatArray]:
        """The output that is linear in the cells, and its mean over the background."""
        local = self._values(rows)
        for scale, output in self._predictor.outputs():
            try:
                outputs = output(rows.original)
            except Exception:  # noqa: S112 - a model without this output; the next one is tried
                continue
            sums = local.sum(axis=-1).T
            expected = np.atleast_1d((outputs - sums).mean(axis=0))
            varied = np.ptp(outputs, axis=0).any()  # where it does not, any function is linear
            if varied and is_sum(local, outputs, difference(local, expected, outputs)):
                return self._predictor.scale_of(scale, outputs, rows.original), expected
        raise CannotExplainError(f"no output of {self._predictor.name} is linear in its columns")


def _coefficients(adapter: ModelAdapter, width: int) -> FloatArray:
    """``(n_outputs, n_features)``, ``(1, n_features)`` without blocks."""
    found: Any = getattr(adapter.model, "coef_", None)
    if found is None:
        raise CannotExplainError(f"{adapter.name} has no coefficients")
    dense = found.toarray() if sparse.issparse(found) else found
    array: FloatArray = np.atleast_2d(np.asarray(dense, dtype=np.float64))
    if adapter.classes is not None and adapter.labels is not None:
        array = per_class(array.T, [len(labels) for labels in adapter.labels]).T
    if array.shape != (len(adapter.output_names or (None,)), width):
        raise CannotExplainError(
            f"coefficients of shape {np.shape(dense)} for {width} columns and "
            f"{len(adapter.output_names or (None,))} outputs"
        )
    return array
