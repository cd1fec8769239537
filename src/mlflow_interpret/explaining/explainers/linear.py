"""Linear models in closed form: coefficient times the difference from the background's mean.

For a linear function these are the exact interventional Shapley values, whether the columns are
correlated or not: Lundberg and Lee (2017), corollary 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import additivity_error, is_sum
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.base import (
    ExplainerInfo,
    ExplainRequest,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.closed_form import ClosedFormExplainer
from mlflow_interpret.explaining.model_adapter import ModelAdapter, per_class

MAX_ROWS = 2_000
CHECKED_ROWS = 100
"""Number of background rows on which the model is compared with the linear function."""
_CAPACITY = 1_000_000
"""Number of rows that take some seconds; ``MAX_ROWS`` limits the size of the record."""


@register(priority=60)
class LinearExplainer(ClosedFormExplainer):
    """Explains models with coefficients whose output is linear in the columns."""

    is_additive = True

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return linear_coefficients(adapter.model) is not None

    def __init__(self, request: ExplainRequest) -> None:
        background = request.background
        if not is_numeric(background.frame):
            raise CannotExplainError(NOT_NUMBERS)
        self._adapter = request.adapter
        self._coefficients = coefficients_of(self._adapter, background.frame.shape[1])
        self._mean = np.average(numbers(background.frame), axis=0, weights=background.weights)
        checked = background.subset(slice(CHECKED_ROWS))
        self._scale, self._expected = linear_output(
            self._adapter, checked.original, self._values(checked), self._coefficients @ self._mean
        )
        self.info = ExplainerInfo(
            method="shap_linear",
            implementation="mlflow-interpret, linear in closed form",
            max_rows=MAX_ROWS,
            background_rows=len(background),
            capacity=_CAPACITY,
            notes=weight_notes(background),
        )

    def _values(self, batch: RowBatch) -> FloatArray:
        differences = numbers(batch.frame) - self._mean
        values: FloatArray = self._coefficients[:, None, :] * differences
        return values[0] if self._adapter.output_names is None else values


def linear_output(
    adapter: ModelAdapter,
    rows: Any,
    values: FloatArray,
    at_mean: FloatArray | None = None,
    form: str = "linear in its columns",
) -> tuple[str, FloatArray]:
    """Find the output that attributions in closed form add up to, and its mean.

    Args:
        adapter: A model with coefficients, or with another closed form.
        rows: Some background rows, in the container of the model.
        values: Their attributions, ``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)``.
        at_mean: ``(n_outputs,)`` products of the coefficients and the means of the columns. None
            for another form: a model with constant outputs is refused then.
        form: The form of the output, for the message.

    Raises:
        CannotExplainError: No output has this form.
    """
    for scale, output in adapter.outputs():
        try:
            outputs = output(rows)
        except Exception:  # noqa: S112 - the model lacks this output; the next one is tried
            continue
        sums = values.sum(axis=-1).T
        expected = np.atleast_1d((outputs - sums).mean(axis=0))
        if not np.ptp(outputs, axis=0).any() and not _equals_intercept(adapter, at_mean, expected):
            continue  # constant outputs do not show the form of the function
        if is_sum(values, outputs, additivity_error(values, expected, outputs)):
            return adapter.scale_of(scale, outputs, rows), expected
    raise CannotExplainError(f"no output of {adapter.name} is {form}")


def _equals_intercept(
    adapter: ModelAdapter, at_mean: FloatArray | None, expected: FloatArray
) -> bool:
    """Whether the mean output is the one that the intercept and the coefficients give."""
    if at_mean is None:
        return False
    intercept = np.atleast_1d(getattr(adapter.model, "intercept_", np.nan))
    if adapter.labels is not None:
        intercept = per_class(intercept[None], [len(classes) for classes in adapter.labels])[0]
    return np.allclose(at_mean + intercept, expected, rtol=1e-9)


def coefficients_of(adapter: ModelAdapter, n_features: int) -> FloatArray:
    """``(n_outputs, n_features)`` coefficients of a linear model.

    Raises:
        CannotExplainError: The model has none, or not one for each column and output.
    """
    coefficients = linear_coefficients(adapter.model)
    if coefficients is None:
        raise CannotExplainError(f"{adapter.name} has no coefficients")
    if sparse.issparse(coefficients):
        coefficients = coefficients.toarray()
    array: FloatArray = np.atleast_2d(np.asarray(coefficients, dtype=np.float64))
    if adapter.classes is not None and adapter.labels is not None:
        array = per_class(array.T, [len(labels) for labels in adapter.labels]).T
    n_outputs = len(adapter.output_names or (None,))
    if array.shape != (n_outputs, n_features):
        raise CannotExplainError(
            f"coefficients of shape {np.shape(coefficients)} for {n_features} columns and "
            f"{n_outputs} outputs"
        )
    return array


def linear_coefficients(model: Any) -> Any:
    """The coefficients of a linear model, None for other models.

    Naive Bayes of counts is linear on the log-odds, with the log-probabilities of the columns as
    coefficients; that of binary cells with the log-odds of the columns.
    """
    coefficients = getattr(model, "coef_", None)
    logs = getattr(model, "feature_log_prob_", None)
    if coefficients is not None or not isinstance(logs, np.ndarray) or logs.ndim != 2:
        return coefficients
    if hasattr(model, "binarize"):
        logs = logs - np.log1p(-np.exp(logs))
    return (logs[1] - logs[0])[None] if len(logs) == 2 else logs - logs.mean(axis=0)
