"""Trees by quadrature, compared with enumeration and shap."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
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
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from explaining import path_dependent
from explaining.agreement import explain, rows_of, with_gaps
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explainers.base import ExplainRequest
from mlflow_interpret.explaining.explainers.trees import MAX_ROWS, TreeExplainer, TreeValues
from mlflow_interpret.explaining.model_adapter import adapt_model
from mlflow_interpret.explaining.sklearn_trees import trees_of

pytest.importorskip("shapiq", reason="shapiq needs Python 3.12")

SMALL = {"n_estimators": 5, "random_state": 0}


def ready(model, rows):
    background = as_batch(rows, feature_names(rows, None), rows)
    return TreeExplainer(ExplainRequest(adapt_model(model, row=rows[:1]), background))


def with_categories():
    """Two columns of categories with gaps, one with two columns of numbers between them."""
    generator = np.random.default_rng(0)
    letters = pd.Categorical(generator.choice(list("abcdefghij"), 200))
    shapes = pd.Categorical(generator.choice(["x", "y", "z"], 200))
    X = pd.DataFrame(
        {
            "size": generator.normal(size=200),
            "letter": letters,
            "weight": generator.normal(size=200),
            "shape": shapes,
        }
    )
    effects = np.array([0, 3, -2, 5, 1, 4, -3, 2, 6, -1])[letters.codes]
    y = X["size"] + effects * (1 + (shapes == "x")) + 2 * X["weight"] * (letters.codes % 2)
    X.loc[::13, "letter"] = None
    return X.assign(weight=with_gaps(X[["weight"]])["weight"]), y


def _codes(column):
    if column.dtype != "category":
        return column
    codes = column.cat.codes.astype(float)
    return codes.where(codes >= 0)


def assert_exact(found, trees, rows, *, tolerance=1e-9):
    """``trees``: for each output, the trees of the model in the form of the enumeration."""
    picked = rows.to_numpy(float)[found.rows]
    exact = np.array([path_dependent.shapley(own, picked) for own in trees])
    local = found.local_values if found.local_values.ndim == 3 else found.local_values[None]
    size = np.abs(exact).max()
    assert size > 0
    assert np.abs(local - exact).max() <= tolerance * size


class TestEnumeration:
    """Few columns and all coalitions, with missing cells if the model allows them."""

    @pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
    def test_a_forest_of_a_regression(self, gaps):
        X, y = rows_of(load_diabetes, 120, [2, 3, 8, 9])
        X = with_gaps(X) if gaps else X
        model = RandomForestRegressor(**SMALL).fit(X, y)
        found = explain(model, X, max_rows=6)
        trees = [path_dependent.scikit_learn_tree(t.tree_, scale=0.2) for t in model.estimators_]
        assert_exact(found, [trees], X)

    @pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
    def test_a_forest_of_three_classes(self, gaps):
        X, y = rows_of(load_wine, 120, [0, 6, 9, 12])
        X = with_gaps(X) if gaps else X
        model = RandomForestClassifier(**SMALL, class_weight="balanced").fit(X, y)
        found = explain(model, X, max_rows=6)
        trees = [
            [path_dependent.scikit_learn_tree(t.tree_, 0, c, 0.2) for t in model.estimators_]
            for c in range(3)
        ]
        assert_exact(found, trees, X)

    def test_a_tree_of_two_targets(self):
        X, y = rows_of(load_diabetes, 100, [2, 3, 8])
        model = DecisionTreeRegressor(random_state=0).fit(X, np.column_stack([y, -(y**2)]))
        found = explain(model, X, max_rows=6)
        trees = [[path_dependent.scikit_learn_tree(model.tree_, target)] for target in (0, 1)]
        assert_exact(found, trees, X)

    def test_boosting_of_three_classes(self):
        X, y = rows_of(load_wine, 120, [0, 6, 9, 12])
        model = GradientBoostingClassifier(**SMALL, learning_rate=0.3).fit(X, y)
        found = explain(model, X, max_rows=6)
        assert found.scale == "log-odds"
        trees = [
            [path_dependent.scikit_learn_tree(t.tree_, scale=0.3) for t in model.estimators_[:, c]]
            for c in range(3)
        ]
        assert_exact(found, trees, X)

    @pytest.mark.parametrize("load", [load_breast_cancer, load_wine], ids=["two", "three"])
    def test_boosting_of_histograms_with_gaps(self, load):
        X, y = rows_of(load, 150, [0, 6, 9, 12])
        X = with_gaps(X)
        model = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=3).fit(X, y)
        found = explain(model, X, max_rows=6)
        n = model.n_trees_per_iteration_
        trees = [
            [path_dependent.histogram_tree(stage[k].nodes) for stage in model._predictors]
            for k in range(n)
        ]
        if n == 1:
            np.testing.assert_allclose(found.local_values[0], -found.local_values[1])
            found = explain(model, X, max_rows=6)
            picked = X.to_numpy()[found.rows]
            exact = path_dependent.shapley(trees[0], picked)
            np.testing.assert_allclose(found.local_values[1], exact, atol=1e-9)
        else:
            assert_exact(found, trees, X)

    @pytest.mark.parametrize("kind", ["regression", "two classes", "three classes"])
    @pytest.mark.parametrize("columns", ["categories", "numbers"])
    def test_splits_on_categories(self, kind, columns):
        X, y = with_categories()
        targets = {"regression": y, "two classes": y > 1, "three classes": pd.qcut(y, 3).cat.codes}
        boosting = (
            HistGradientBoostingRegressor
            if kind == "regression"
            else (HistGradientBoostingClassifier)
        )
        codes = pd.DataFrame({name: _codes(X[name]) for name in X})
        rows = X if columns == "categories" else codes.to_numpy()
        model = boosting(
            max_iter=6,
            min_samples_leaf=3,
            categorical_features="from_dtype" if columns == "categories" else [1, 3],
        ).fit(rows, targets[kind])
        found = explain(model, rows, max_rows=8)
        assert (found.method, found.engine) == ("shap_tree", "shapiq, QuadratureTreeSHAP")
        order = [1, 3, 0, 2]  # categories first
        picked = codes.to_numpy()[found.rows][:, order]
        exact = np.zeros((model.n_trees_per_iteration_, *picked.shape))
        for k in range(len(exact)):
            trees = [
                path_dependent.histogram_tree(stage[k].nodes, stage[k].raw_left_cat_bitsets)
                for stage in model._predictors
            ]
            exact[k][:, order] = path_dependent.shapley(trees, picked)
        assert any(stage[0].nodes["is_categorical"].any() for stage in model._predictors)
        local = found.local_values
        local = local[1:] if kind == "two classes" else local.reshape(-1, *local.shape[-2:])
        np.testing.assert_allclose(local, exact, atol=1e-9 * np.abs(exact).max())
        assert found.additivity_error < 1e-9

    def test_new_categories_count_as_missing(self):
        X, y = with_categories()
        model = HistGradientBoostingRegressor(max_iter=6, min_samples_leaf=3).fit(X, y)
        new = X[:8].astype({"letter": object}).assign(letter="new").astype({"letter": "category"})
        missing = new.assign(letter=pd.Categorical([None] * 8, X["letter"].cat.categories))
        found, twin = (explain(model, rows, X) for rows in (new, missing))
        assert found.method == "shap_tree"
        np.testing.assert_allclose(found.local_values, twin.local_values)

    def test_categories_in_a_pipeline(self):
        X, y = with_categories()
        front = make_column_transformer(
            (OrdinalEncoder(encoded_missing_value=-1), ["shape", "letter"]),
            remainder="passthrough",
            verbose_feature_names_out=False,
        ).set_output(transform="pandas")
        last = HistGradientBoostingRegressor(max_iter=6, categorical_features=["shape", "letter"])
        model = make_pipeline(front, last).fit(X, y)
        found, twin = explain(model, X), explain(last, front.transform(X))
        assert found.method == twin.method == "shap_tree"
        np.testing.assert_allclose(found.local_values[:, [3, 1, 0, 2]], twin.local_values)

    def test_trees_too_deep_for_shap(self):
        import shap

        X, y = np.eye(90), np.arange(90.0) ** 2  # each split takes one row away
        model = DecisionTreeRegressor(random_state=0).fit(X, y)
        assert model.get_depth() > 60
        found = explain(model, X, max_rows=3)
        assert found.method == "shap_tree"
        tree = path_dependent.scikit_learn_tree(model.tree_)
        exact = path_dependent.shapley_of_deep_trees([tree], X[found.rows], 90)
        assert np.abs(found.local_values - exact).max() < 1e-9 * np.abs(exact).max()
        with pytest.raises(Exception, match="Additivity check failed"):
            shap.TreeExplainer(model).shap_values(X)

    def test_the_two_enumerations_agree(self):
        X, y = rows_of(load_diabetes, 60, [2, 3, 8, 9])
        model = DecisionTreeRegressor(max_depth=1).fit(X, y)
        tree = path_dependent.scikit_learn_tree(model.tree_)
        rows = X.to_numpy()[:4]
        by_leaf = path_dependent.shapley_of_deep_trees([tree], rows, 4)
        np.testing.assert_allclose(by_leaf, path_dependent.shapley([tree], rows), atol=1e-12)


class TestShap:
    """The same values as shap on full-size models."""

    MODELS = (
        DecisionTreeRegressor(random_state=0),
        RandomForestRegressor(20, random_state=0),
        ExtraTreesRegressor(20, random_state=0),
        GradientBoostingRegressor(random_state=0),
        HistGradientBoostingRegressor(max_iter=30, random_state=0),
        IsolationForest(n_estimators=20, random_state=0),
        IsolationForest(n_estimators=20, max_features=0.5, random_state=0),
    )

    @pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
    def test_one_output(self, model):
        import shap

        X, y = load_diabetes(return_X_y=True)
        model.fit(X, y)
        found = explain(model, X, max_rows=40)
        assert found.engine == "shapiq, QuadratureTreeSHAP"
        theirs = shap.TreeExplainer(model).shap_values(X[found.rows])
        size = np.abs(theirs).max()
        assert np.abs(found.local_values - theirs).max() < 1e-9 * size

    @pytest.mark.parametrize(
        "model",
        [DecisionTreeClassifier(random_state=0), RandomForestClassifier(20, random_state=0)],
        ids=lambda model: type(model).__name__,
    )
    @pytest.mark.parametrize("load", [load_breast_cancer, load_wine], ids=["two", "three"])
    def test_classes(self, model, load):
        import shap

        X, y = load(return_X_y=True)
        found = explain(model.fit(X, y), X, max_rows=40)
        theirs = np.moveaxis(shap.TreeExplainer(model).shap_values(X[found.rows]), -1, 0)
        assert found.scale == "probability"
        assert np.abs(found.local_values - theirs).max() < 1e-9 * np.abs(theirs).max()

    @pytest.mark.interpret
    def test_forests_equal_tabular_explainer(self):
        X, y = rows_of(load_breast_cancer, 150, list(range(8)))
        model = RandomForestClassifier(20, random_state=0).fit(X, y)
        ours, theirs = explain(model, X), explain(model, X, engine="tabular")
        assert ours.engine != theirs.engine
        assert ours.scale == theirs.scale
        np.testing.assert_allclose(ours.local_values, theirs.local_values, atol=1e-9)
        np.testing.assert_allclose(ours.expected_values, theirs.expected_values)
        assert ours.notes == theirs.notes


class TestTreeValues:
    """Attributions of arrays of nodes."""

    def test_nodes_without_training_rows(self):
        X, y = load_diabetes(return_X_y=True)
        model = ExtraTreesRegressor(5, random_state=0).fit(X, y)
        trees = trees_of(model)
        cover = np.where(trees.cover < 4, 0.0, trees.cover)
        values = TreeValues(dataclasses.replace(trees, cover=cover))
        sums = values.explain(X[:50])[0].sum(axis=1) + values.expected
        np.testing.assert_allclose(sums, model.predict(X[:50]), rtol=1e-9)

    def test_trees_without_splits_have_zero_attributions(self):
        X = np.arange(6.0)[:, None]
        values = TreeValues(trees_of(DecisionTreeRegressor().fit(X, np.full(6, 3.0))))
        assert (values.explain(X) == 0).all()
        assert values.expected == [3.0]


def test_max_rows_falls_with_the_size_of_the_trees():
    X, y = load_diabetes(return_X_y=True)
    small = ready(RandomForestRegressor(2, max_depth=2).fit(X, y), X)
    assert small.info.max_rows == small.info.rows_in_full == MAX_ROWS
    large = ready(RandomForestRegressor(300, random_state=0).fit(X, y), X)
    assert 20 < large.info.rows_in_full < large.info.max_rows < MAX_ROWS
    large._trees.n_steps = 10**12
    assert large._rows_within(10**9) == 20


def test_shap_explains_trees_if_shapiq_fails(monkeypatch):
    def broken(*arguments):
        raise RuntimeError("no memory")

    X, y = rows_of(load_diabetes, 60, [2, 3, 8])
    model = RandomForestRegressor(**SMALL).fit(X, y)
    plain = explain(model, X)
    assert plain.engine == "shapiq, QuadratureTreeSHAP"
    monkeypatch.setattr(TreeValues, "explain", broken)
    found = explain(model, X)
    assert found.engine == "shap, TreeExplainer"
    np.testing.assert_allclose(found.local_values, plain.local_values, atol=1e-9)
