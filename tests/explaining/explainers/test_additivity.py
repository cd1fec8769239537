"""Additivity of attributions and the matching output."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.aggregates import KeptRows
from mlflow_interpret.explaining.attributions import (
    AttributionResult,
    Attributions,
    additivity_error,
)
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explainers.additivity import check_shapes, matching_scale
from mlflow_interpret.explaining.model_adapter import adapt_model

X, y = load_diabetes(return_X_y=True, as_frame=True)
CANCER, MALIGNANT = load_breast_cancer(return_X_y=True, as_frame=True)
CANCER = CANCER.iloc[:, :3]


def rows_of(X):
    return as_batch(X, feature_names(X, None), X)


def found(local, expected, error):
    numbers = np.arange(3)
    aggregates = KeptRows((Attributions(local, expected, local.sum(axis=1), None),), numbers)
    return AttributionResult(
        "shap_x", "x", local, expected, "prediction", error, numbers, None, aggregates
    )


def test_breach_for_sums_that_differ_by_more_than_rounding():
    local = np.full((3, 2), 5.0)
    assert found(local, np.zeros(1), 1e-9).breach is None
    assert found(local, np.zeros(1), 0.009).breach is None
    assert "by up to 0.5" in found(local, np.zeros(1), 0.5).breach
    assert found(local, np.zeros(1), float("inf")).breach is not None


def test_no_breach_for_zeros_that_add_up():
    assert found(np.zeros((3, 2)), np.ones(1), 0.0).breach is None
    assert found(np.zeros((3, 2)), np.zeros(1), 0.1).breach is not None


def test_additivity_error_is_the_maximum_over_rows_and_outputs():
    local = np.zeros((2, 3, 4))
    local[1, 2, 0] = 7.0
    assert additivity_error(local, np.array([1.0, 2.0]), np.array([[1.0, 2.0]] * 3)) == 7.0
    assert additivity_error(np.full((1, 1), np.nan), np.zeros(1), np.zeros(1)) == float("inf")


@pytest.mark.parametrize(
    ("model", "local", "expected"),
    [
        (LinearRegression(), np.zeros((2, 3, 10)), np.zeros(2)),
        (LinearRegression(), np.zeros((3, 10)), np.zeros(2)),
        (LogisticRegression(max_iter=5000), np.zeros((3, 10)), np.zeros(1)),
        (LogisticRegression(max_iter=5000), np.zeros((3, 3, 10)), np.zeros(3)),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_the_outputs_are_refused(model, local, expected):
    model.fit(X, y > y.mean() if isinstance(model, LogisticRegression) else y)
    with pytest.raises(CannotExplainError, match="contributions of shape"):
        check_shapes(adapt_model(model), local, expected)


def test_matching_scale_is_the_output_that_the_values_add_up_to():
    model = LogisticRegression(max_iter=5000).fit(CANCER, MALIGNANT)
    rows = rows_of(CANCER.iloc[:20])
    for output, scale in ((model.predict_proba, "probability"), (None, "log-odds")):
        if output is None:
            scores = model.decision_function(rows.original)
            scores = np.column_stack([-scores, scores])
        else:
            scores = output(rows.original)
        expected = scores.mean(axis=0)
        local = np.zeros((2, 20, 3))
        local[:, :, 1] = (scores - expected).T
        name, outputs = matching_scale(adapt_model(model), rows, local, expected)
        assert name == scale
        assert additivity_error(local, expected, outputs) < 1e-9
    name, outputs = matching_scale(adapt_model(model), rows, local * 2, expected)
    assert name is None
    assert additivity_error(local * 2, expected, outputs) > 0
