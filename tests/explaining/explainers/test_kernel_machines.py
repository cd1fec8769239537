"""Models with product kernels, compared with enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from explaining.agreement import assert_agrees, explain, rows_of
from mlflow_interpret.explaining.explainers import kernel_machines

METHOD = "shap_product_kernel"
ANISOTROPIC = ConstantKernel(2.0) * RBF([1.0, 2.0, 3.0, 4.0, 5.0]) * RBF(9.0) + RBF(2.0)


@pytest.fixture(scope="module")
def diabetes():
    return rows_of(load_diabetes, 40, [0, 2, 3, 6, 8])


@pytest.fixture(scope="module")
def cancer():
    return rows_of(load_breast_cancer, 40, [0, 4, 10, 20])


@pytest.mark.parametrize(
    "model",
    [
        SVR(C=100.0),
        NuSVR(C=100.0, gamma=0.7),
        SVR(C=100.0, gamma="auto"),
        KernelRidge(kernel="rbf", gamma=0.3),
        KernelRidge(kernel="laplacian"),
        GaussianProcessRegressor(alpha=1.0),
        GaussianProcessRegressor(ANISOTROPIC, alpha=1.0, normalize_y=True, optimizer=None),
        GaussianProcessRegressor(ConstantKernel(3.0) + RBF() + WhiteKernel(), optimizer=None),
    ],
    ids=str,
)
def test_regression_is_exact(model, diabetes):
    rows, y = diabetes
    found = explain(model.fit(rows, y), rows, max_rows=4)
    assert (found.method, found.scale) == (METHOD, "prediction")
    assert_agrees(found, model.predict, rows)


@pytest.mark.parametrize("model", [SVC(), NuSVC(gamma=0.5)], ids=str)
def test_two_classes_are_exact_on_the_decision_function(model, cancer):
    rows, y = cancer
    found = explain(model.fit(rows, y), rows, max_rows=4)
    assert (found.method, found.scale) == (METHOD, "decision function")

    def output(cells):
        scores = model.decision_function(cells)
        return np.stack([-scores, scores], axis=1)

    assert_agrees(found, output, rows)


def test_scores_of_outliers_are_exact(diabetes):
    rows, _ = diabetes
    model = OneClassSVM().fit(rows)
    found = explain(model, rows, max_rows=4)
    assert found.method == METHOD
    assert_agrees(found, model.decision_function, rows)


@pytest.mark.parametrize("is_normalized", [False, True])
def test_several_targets_are_exact(diabetes, is_normalized):
    rows, y = diabetes
    targets = np.column_stack([y, -3.0 * y + rows["bmi"]])
    model = GaussianProcessRegressor(alpha=1.0, normalize_y=is_normalized).fit(rows, targets)
    found = explain(model, rows, max_rows=4)
    assert found.method == METHOD
    assert_agrees(found, model.predict, rows)


def test_columns_with_different_units_in_a_pipeline_are_exact():
    rows, y = rows_of(load_diabetes, 40, [0, 2, 3], scaled=False)
    model = make_pipeline(StandardScaler(), SVR(C=100.0)).fit(1_000 * rows, y)
    found = explain(model, 1_000 * rows, max_rows=4)
    assert found.method == METHOD
    assert_agrees(found, model.predict, 1_000 * rows)


def test_factors_that_underflow_are_no_error():
    rows, y = rows_of(load_diabetes, 40, [0, 2, 3])
    model = SVR(C=100.0, gamma=1e4).fit(rows, y)  # each row is far from all others
    found = explain(model, rows, max_rows=4)
    assert found.method == METHOD
    assert_agrees(found, model.predict, rows)


@pytest.mark.parametrize(
    ("model", "load"),
    [
        (SVC(), load_iris),  # classes vote by pairs
        (SVC(kernel="poly"), load_breast_cancer),
        (GaussianProcessRegressor(Matern(), optimizer=None), load_diabetes),
        (KernelRidge(kernel="sigmoid"), load_diabetes),
    ],
)
def test_other_kernels_are_sampled(model, load):
    rows, y = rows_of(load, 40, [0, 1, 2])
    assert explain(model.fit(rows, y), rows, max_rows=2).method == "shap_permutation"


def test_too_many_support_vectors_are_sampled_with_a_note(diabetes, monkeypatch):
    monkeypatch.setattr(kernel_machines, "_STEPS", 1_000)
    rows, y = diabetes
    found = explain(SVR().fit(rows, y), rows, max_rows=2)
    assert found.method == "shap_permutation"
    assert "40 support vectors or training rows are too many" in str(found.notes[0])
