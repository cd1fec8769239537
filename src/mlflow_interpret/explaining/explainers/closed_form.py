"""The base class of explainers that compute the attributions of one output by a formula."""

from __future__ import annotations

from abc import abstractmethod

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric
from mlflow_interpret.explaining.explainers.base import Explainer
from mlflow_interpret.explaining.model_adapter import ModelAdapter


class ClosedFormExplainer(Explainer):
    """Explains numeric rows by a formula; a subclass sets the attributes when it is prepared.

    The formula is compared with the outputs of the model, so the attributions of single columns
    are not checked.
    """

    is_checked = False

    _adapter: ModelAdapter
    _scale: str
    _expected: FloatArray

    @abstractmethod
    def _values(self, batch: RowBatch) -> FloatArray:
        """The attributions of a batch, shaped as in `Attributions`."""

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002, D102
        if not is_numeric(batch.frame):
            raise CannotExplainError(NOT_NUMBERS)
        outputs = self._adapter.output(self._scale)(batch.original)
        return Attributions(self._values(batch), self._expected, outputs, self._scale)
