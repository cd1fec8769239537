"""shap's TreeExplainer, used if shapiq is not installed."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Ridge
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier

from explaining.agreement import explain, rows_of
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explainers import shap_trees
from mlflow_interpret.explaining.explainers.base import ExplainRequest
from mlflow_interpret.explaining.explainers.shap_trees import ShapTreeExplainer
from mlflow_interpret.explaining.explainers.trees import TreeExplainer
from mlflow_interpret.explaining.model_adapter import adapt_model

pytest.importorskip("shap")

SMALL = {"n_estimators": 5, "random_state": 0}
REGRESSORS = (
    RandomForestRegressor(**SMALL),
    ExtraTreesRegressor(**SMALL),
    GradientBoostingRegressor(**SMALL),
    HistGradientBoostingRegressor(max_iter=5, random_state=0),
    IsolationForest(**SMALL),
)
CLASSIFIERS = (
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(**SMALL),
    HistGradientBoostingClassifier(max_iter=5, random_state=0),
)


@pytest.fixture
def without_shapiq(monkeypatch):
    monkeypatch.setattr(TreeExplainer, "supports", lambda adapter: False)


def class_name(model):
    return type(model).__name__


def prepare(model, X):
    batch = as_batch(X, feature_names(X, None), X)
    return ShapTreeExplainer(ExplainRequest(adapt_model(model, row=X[:1]), batch)), batch


@pytest.mark.parametrize("model", REGRESSORS, ids=class_name)
def test_a_regression_adds_up(model, without_shapiq):
    X, y = rows_of(load_diabetes, 120, [2, 3, 8, 9])
    result = explain(model.fit(X, y), X, max_rows=20)
    assert (result.method, result.engine) == ("shap_tree", "shap, TreeExplainer")
    assert result.additivity_error < 1e-4
    assert result.background_rows is None


@pytest.mark.parametrize("model", CLASSIFIERS, ids=class_name)
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine], ids=["two", "three"])
def test_every_class_has_attributions_that_add_up(model, load, without_shapiq):
    X, y = rows_of(load, 120, [0, 6, 9, 12])
    result = explain(model.fit(X, y), X, max_rows=20)
    assert result.engine == "shap, TreeExplainer"
    assert len(result.local_values) == len(np.unique(y))
    assert result.additivity_error < 1e-5


def test_several_targets_add_up(without_shapiq):
    X, y = rows_of(load_wine, 120, [0, 6, 9, 12])
    model = RandomForestClassifier(**SMALL).fit(X, np.column_stack([y, y > 0]))
    result = explain(model, X, max_rows=20)
    assert result.engine == "shap, TreeExplainer"
    assert len(result.local_values) == 5
    assert result.additivity_error < 1e-5


@pytest.mark.parametrize("engine", ["auto", "tabular"])
def test_values_equal_those_of_the_other_explainers(engine, without_shapiq):
    pytest.importorskip("interpret_community" if engine == "tabular" else "shapiq")
    X, y = rows_of(load_breast_cancer, 150, list(range(8)))
    model = RandomForestClassifier(20, random_state=0).fit(X, y)
    ours = explain(model, X)
    with pytest.MonkeyPatch.context() as patch:
        if engine == "auto":
            patch.setattr(TreeExplainer, "supports", lambda adapter: True)
        other = explain(model, X, engine=engine)
    assert ours.engine != other.engine
    assert ours.scale == other.scale
    np.testing.assert_allclose(ours.local_values, other.local_values, atol=1e-9)
    np.testing.assert_allclose(ours.expected_values, other.expected_values)
    assert ours.notes == other.notes


def test_three_classes_of_gradient_boosting_are_refused_by_shap():
    X, y = rows_of(load_wine, 120, [0, 6, 9, 12])
    model = GradientBoostingClassifier(**SMALL).fit(X, y)
    with pytest.raises(CannotExplainError, match="shap cannot explain the trees of Gradient"):
        prepare(model, X)


def test_other_models_are_not_supported_without_importing_shap():
    X, y = rows_of(load_diabetes, 20, [2, 3])
    for model in (Ridge(), SVR(kernel="poly")):
        assert not ShapTreeExplainer.supports(adapt_model(model.fit(X, y)))


def test_the_explainer_of_shap_is_rebuilt_after_pickling():
    X, y = rows_of(load_diabetes, 60, [2, 3, 8])
    explainer, batch = prepare(RandomForestRegressor(**SMALL).fit(X, y), X)
    assert "_explainer" in vars(explainer)
    copy = cloudpickle.loads(cloudpickle.dumps(explainer))
    assert "_explainer" not in vars(copy)
    assert copy.info == explainer.info
    assert np.array_equal(copy.explain(batch).local_values, explainer.explain(batch).local_values)


@pytest.mark.parametrize("outputs_last", [True, False])
def test_outputs_may_come_last_or_as_a_list(outputs_last):
    values = np.arange(24.0).reshape(2, 3, 4)  # outputs, rows, features
    raw = np.moveaxis(values, 0, -1) if outputs_last else list(values)
    assert np.array_equal(shap_trees._output_first(raw), values)
    assert np.array_equal(shap_trees._output_first(values[0]), values[0])


def test_the_default_number_of_rows_falls_with_the_size_of_the_trees():
    X, y = rows_of(load_diabetes, 300, [2, 3, 8, 9])
    small = RandomForestRegressor(2, max_depth=2, random_state=0).fit(X, y)
    assert shap_trees.tree_rows(small) == shap_trees.MAX_ROWS
    deep = RandomForestRegressor(60, random_state=0).fit(X, y)
    assert shap_trees.MIN_ROWS <= shap_trees.tree_rows(deep) <= shap_trees.MAX_ROWS
    monster = type("Monster", (), {"n_features_in_": 40})()
    monster.tree_ = type("Tree", (), {"n_leaves": 10**9, "max_depth": 100})()
    assert shap_trees.tree_rows(monster) == shap_trees.MIN_ROWS
