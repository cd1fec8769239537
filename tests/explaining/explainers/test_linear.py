"""Linear models in closed form, compared with enumeration and TabularExplainer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    MultiTaskLasso,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDOneClassSVM,
    SGDRegressor,
)
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR

from explaining.agreement import assert_agrees, explain, rows_of
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explainers.base import ExplainRequest
from mlflow_interpret.explaining.explainers.linear import LinearExplainer
from mlflow_interpret.explaining.model_adapter import adapt_model

OURS = "mlflow-interpret, linear in closed form"
REGRESSORS = (
    LinearRegression(),
    Ridge(),
    Lasso(alpha=0.5),
    ElasticNet(alpha=0.01),
    HuberRegressor(max_iter=1000),
    SGDRegressor(random_state=0),
    LinearSVR(C=100, random_state=0),
    SVR(kernel="linear"),
)
CLASSIFIERS = (
    LogisticRegression(),
    RidgeClassifier(),
    SGDClassifier(random_state=0),
    LinearSVC(random_state=0),
    LinearDiscriminantAnalysis(),
)


def named(models):
    return pytest.mark.parametrize("model", models, ids=lambda model: type(model).__name__)


def both(model, rows, **options):
    ours, theirs = (
        explain(model, rows, **options),
        explain(model, rows, engine="tabular", **options),
    )
    assert ours.engine == OURS
    assert theirs.engine == "TabularExplainer, LinearExplainer"
    assert (ours.method, ours.scale) == (theirs.method, theirs.scale)
    assert ours.background_rows == theirs.background_rows == len(rows)
    size = np.abs(theirs.local_values).max()
    np.testing.assert_allclose(ours.local_values, theirs.local_values, atol=1e-9 * size)
    np.testing.assert_allclose(ours.expected_values, theirs.expected_values, rtol=1e-9, atol=1e-9)
    return ours


@pytest.mark.interpret
@named(REGRESSORS)
def test_regression_is_exact_and_equals_tabular_explainer(model, diabetes):
    rows, y = diabetes
    found = both(model.fit(rows, y), rows, max_rows=4)
    assert found.scale == "prediction"
    assert_agrees(found, model.predict, rows)


@pytest.mark.interpret
@named(CLASSIFIERS)
def test_two_classes_are_exact_and_equal_tabular_explainer(model, cancer):
    rows, y = cancer
    model.fit(rows, np.where(y == 1, "benign", "malignant"))
    found = both(model, rows, max_rows=3)

    def scores(table):
        found = model.decision_function(table)
        return np.column_stack([-found, found])

    assert_agrees(found, scores, rows)


@pytest.mark.interpret
@named(CLASSIFIERS)
def test_three_classes_are_exact_and_equal_tabular_explainer(model, iris):
    rows, y = iris
    found = both(model.fit(rows, y), rows, max_rows=3)
    assert_agrees(found, model.decision_function, rows)


@pytest.mark.interpret
@named([LinearRegression(), Ridge(), MultiTaskLasso(alpha=0.01)])
def test_several_targets_are_exact_and_equal_tabular_explainer(model, diabetes):
    rows, y = diabetes
    found = both(model.fit(rows, np.column_stack([y, -2 * y + 1])), rows, max_rows=3)
    assert_agrees(found, model.predict, rows)


def test_multilabel_models_are_exact(iris):
    rows, y = iris
    model = RidgeClassifier().fit(rows, np.column_stack([y == 0, y == 2]).astype(int))
    found = explain(model, rows, max_rows=3)
    assert found.engine == OURS

    def scores(table):
        found = model.decision_function(table)
        return np.column_stack([-found[:, 0], found[:, 0], -found[:, 1], found[:, 1]])

    assert_agrees(found, scores, rows)


def test_models_without_intercept_attribute_are_exact():
    rows, y = rows_of(load_diabetes, 30, [2, 3, 8], scaled=False)
    rows = rows + 7  # far from the middle, so that the constant matters
    model = PLSRegression(2).fit(rows, y)
    found = explain(model, rows, max_rows=4)
    assert found.engine == OURS
    assert_agrees(found, lambda table: np.ravel(model.predict(table)), rows)
    outliers = SGDOneClassSVM(random_state=0).fit(rows)
    found = explain(outliers, rows, max_rows=4)
    assert found.engine == OURS
    assert_agrees(found, outliers.decision_function, rows)


def test_sparse_coefficients_and_rows_equal_dense_ones():
    X, y = load_wine(return_X_y=True)
    X = np.where(X.mean(axis=0) < X, X, 0.0)
    dense = LogisticRegression(max_iter=5000).fit(X, y)
    plain = explain(dense, X, max_rows=20)
    found = explain(dense.sparsify(), sparse.csr_matrix(X), max_rows=20)
    assert found.engine == plain.engine == OURS
    np.testing.assert_allclose(found.local_values, plain.local_values, atol=1e-9)


def refusal(model, rows):
    names = feature_names(rows, None)
    with pytest.raises(CannotExplainError) as caught:
        LinearExplainer(
            ExplainRequest(adapt_model(model, row=rows[:1]), as_batch(rows, names, rows))
        )
    return str(caught.value)


def test_link_function_is_refused(diabetes):
    rows, y = diabetes
    model = PoissonRegressor(alpha=0).fit(rows, y)
    assert "no output of PoissonRegressor is linear" in refusal(model, rows)


def test_models_that_are_not_linear_are_refused(iris):
    rows, y = iris
    model = SVC().fit(rows, y)
    assert not LinearExplainer.supports(adapt_model(model))
    assert "SVC has no coefficients" in refusal(model, rows)
    pairs = SVC(kernel="linear").fit(rows, y)  # three pairs of three classes
    assert "no output of SVC is linear" in refusal(pairs, rows)


def test_constant_outputs_are_accepted_if_they_equal_the_intercept(diabetes):
    rows, y = diabetes
    model = Ridge().fit(rows, y)
    found = explain(model, rows, rows.head(1), max_rows=4)
    assert found.engine == OURS
    assert_agrees(found, model.predict, rows, rows.head(1))
    constant = explain(Lasso(alpha=1e6).fit(rows, y), rows, max_rows=4)
    assert constant.engine == OURS
    assert not constant.local_values.any()
    np.testing.assert_allclose(constant.expected_values, y.mean())


def test_constant_outputs_of_other_functions_are_refused(diabetes):
    rows, y = diabetes
    model = PoissonRegressor(alpha=0).fit(rows, y)
    assert "no output of PoissonRegressor is linear" in refusal(model, rows.head(1))
    outliers = SGDOneClassSVM(random_state=0).fit(rows)  # without intercept_
    assert "no output of SGDOneClassSVM is linear" in refusal(outliers, rows.head(1))


def test_text_is_refused():
    rows, y = rows_of(load_breast_cancer, 20, [0, 1])
    model = LogisticRegression().fit(rows, y)
    assert "cells that are not numbers" in refusal(model, rows.astype(str))
