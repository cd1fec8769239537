"""shapiq's compiled function, compared with its public class."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

from mlflow_interpret.explaining.explainers.trees import TreeValues
from mlflow_interpret.explaining.sklearn_trees import trees_of

shapiq_tree = pytest.importorskip("shapiq.tree", reason="shapiq needs Python 3.12")


@pytest.fixture(scope="module")
def wide_trees():
    """Trees with up to hundreds of columns on a path."""
    draw = np.random.default_rng(0)
    X = (draw.random((1500, 200)) < 0.02).astype(float)
    y = X @ draw.normal(size=200) + draw.normal(size=1500)
    return ExtraTreesRegressor(2, max_features=1, random_state=0).fit(X, y), X[:3]


def test_compiled_function_has_the_expected_signature():
    from shapiq.tree.quadrature.cext import quadrature_tree_shap

    assert callable(quadrature_tree_shap)
    with pytest.raises(TypeError):
        quadrature_tree_shap()


def test_values_of_many_rows_equal_those_of_the_public_class():
    X, y = load_diabetes(return_X_y=True)
    model = RandomForestRegressor(5, random_state=0).fit(X, y)
    values = TreeValues(trees_of(model)).explain(X[:10])[0]
    public = shapiq_tree.QuadratureTreeSHAP(model)
    rows = X[:10].astype(np.float32).astype(float)
    expected = [public.explain(row).get_n_order_values(1) for row in rows]
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9)


def test_twelve_points_are_exact_for_paths_of_many_columns(wide_trees):
    model, rows = wide_trees
    public = shapiq_tree.QuadratureTreeSHAP(model)
    assert public.max_features_per_path > 150
    expected = np.array([public.explain(row).get_n_order_values(1) for row in rows])
    values = TreeValues(trees_of(model)).explain(rows)[0]
    features = public._relevant_features
    difference = np.abs(values[:, features] - expected[:, features]).max()
    assert difference < 1e-12 * np.abs(expected).max()
