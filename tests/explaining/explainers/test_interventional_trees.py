"""Trees against given background rows, compared with enumeration of all coalitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from explaining import exact
from explaining.agreement import rows_of, with_gaps
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers.interventional_trees import InterventionalTrees
from mlflow_interpret.explaining.sklearn_trees import trees_of

SMALL = {"n_estimators": 5, "random_state": 0}
REGRESSORS = {
    "tree": DecisionTreeRegressor(random_state=0),
    "forest": RandomForestRegressor(**SMALL),
    "boosting": GradientBoostingRegressor(**SMALL),
    "histogram boosting": HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=5),
    "isolation forest": IsolationForest(**SMALL),
}
CLASSIFIERS = {
    "forest": RandomForestClassifier(**SMALL),
    "extra trees": ExtraTreesClassifier(**SMALL),
    "boosting": GradientBoostingClassifier(**SMALL),
    "histogram boosting": HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5),
}


def explain_against(model, X, y, background, rows=5, **plan):
    context = TrainingContext(model, X, y, initialization_examples=background)
    return explain(context, Plan(max_rows=rows, **plan))


def assert_exact(result, output, background, tolerance=1e-6):
    values, expected = exact.shapley(output, result.evaluation_rows, background)
    size = np.abs(values).max()
    assert size > 0
    np.testing.assert_allclose(result.local_values, values, atol=tolerance * size)
    np.testing.assert_allclose(result.expected_values, expected, rtol=1e-5, atol=1e-6)


def assert_interventional(result):
    assert result.method == "shap_tree"
    assert result.details.engine == "mlflow-interpret, interventional tree SHAP"
    assert any("interventional form" in note.text for note in result.details.notes)


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("model", REGRESSORS.values(), ids=REGRESSORS.keys())
def test_regressions_equal_enumeration(model, gaps):
    X, y = rows_of(load_diabetes, 120, [2, 3, 8, 9])
    X = with_gaps(X) if gaps else X
    if gaps and isinstance(model, GradientBoostingRegressor):
        pytest.skip("takes no missing cells")
    model.fit(X, y)
    background = X.sort_values(X.columns[0]).tail(17)  # not like the training rows
    result = explain_against(model, X, y, background)
    assert_interventional(result)
    assert result.details.background_rows == 17
    output = model.predict
    if isinstance(model, IsolationForest):
        from mlflow_interpret.explaining.model_adapter import adapt_model

        output = adapt_model(model, row=X.head(1)).output(result.details.output_scale)
    assert_exact(result, output, background)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("model", CLASSIFIERS.values(), ids=CLASSIFIERS.keys())
def test_classes_equal_enumeration(model, n_classes):
    X, y = rows_of(load_iris, 150, [0, 1, 2, 3])
    y = np.minimum(y, n_classes - 1)
    model.fit(X, y)
    background = X.tail(20)
    result = explain_against(model, X, y, background)
    assert_interventional(result)

    def margins(rows):
        scores = model.decision_function(rows)
        return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores

    is_forest = result.details.output_scale == "probability"
    assert_exact(result, model.predict_proba if is_forest else margins, background)


def table(n=300):
    random = np.random.default_rng(0)
    kind = random.choice(list("abc"), n)
    X = pd.DataFrame({"unused": 1.0, "kind": kind, "size": random.normal(size=n), "last": 0.0})
    return X, np.where(kind == "a", X["size"], 2.0) + (kind == "b") * np.abs(X["size"])


@pytest.mark.parametrize(
    "last",
    [
        RandomForestRegressor(**SMALL),
        MultiOutputRegressor(RandomForestRegressor(**SMALL)),
    ],
    ids=["forest", "forest for each target"],
)
def test_pipelines_are_explained_by_raw_column(last):
    X, y = table()
    several = isinstance(last, MultiOutputRegressor)
    y = np.column_stack([y, -y + X["size"]]) if several else y
    front = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["kind"]), (StandardScaler(), ["size"])
    )
    model = make_pipeline(front, last).fit(X, y)
    background = X.tail(20)
    result = explain_against(model, X, y, background)
    assert_interventional(result)
    assert result.engineered is None
    assert_exact(result, model.predict, background)
    importances = dict(result.ranked())
    assert importances["unused"] == importances["last"] == 0


def test_linear_pipelines_keep_both_views():
    X, y = table()
    front = make_column_transformer((OneHotEncoder(sparse_output=False), ["kind"]))
    model = make_pipeline(front, LinearRegression()).fit(X, y)
    background = X.tail(20)
    result = explain_against(model, X, y, background)
    assert result.engineered is not None
    assert_exact(result, model.predict, background)


@pytest.mark.parametrize("package", ["xgboost", "lightgbm", "catboost"])
def test_boosters_are_sampled(package):
    prefix, settings = {
        "xgboost": ("XGB", {"n_jobs": 1}),
        "lightgbm": ("LGBM", {"verbose": -1, "n_jobs": 1}),
        "catboost": ("CatBoost", {"verbose": False, "allow_writing_files": False}),
    }[package]
    booster = getattr(pytest.importorskip(package), prefix + "Regressor")
    X, y = rows_of(load_diabetes, 120, [2, 3, 8, 9])
    model = booster(n_estimators=10, max_depth=3, **settings).fit(X, y)
    background = X.tail(20)
    result = explain_against(model, X, y, background)
    assert result.method == "shap_permutation"
    assert any("initialization_examples are given" in n.text for n in result.details.notes)
    assert_exact(result, model.predict, background, tolerance=0.05)


def test_splits_on_categories():
    X, y = table()
    X["kind"] = X["kind"].astype("category")
    model = HistGradientBoostingRegressor(max_iter=5, categorical_features=["kind"]).fit(X, y)
    assert any(stage[0].nodes["is_categorical"].any() for stage in model._predictors)
    result = explain_against(model, X, y, X.tail(20))
    assert result.method == "shap_tree"
    assert_exact(result, model.predict, X.tail(20))


def test_without_background_trees_stay_path_dependent():
    X, y = rows_of(load_diabetes, 120, [2, 3, 8, 9])
    model = RandomForestRegressor(**SMALL).fit(X, y)
    result = explain(TrainingContext(model, X, y), Plan(max_rows=5))
    assert any("path-dependent form" in note.text for note in result.details.notes)
    assert result.details.background_rows is None


def test_large_ensembles_are_left_to_sampling():
    X, y = rows_of(load_diabetes, 120, [2, 3, 8, 9])
    trees = trees_of(RandomForestRegressor(**SMALL).fit(X, y))
    n_patterns = InterventionalTrees(trees, X.to_numpy()).n_patterns
    InterventionalTrees(trees, X.to_numpy(), max_patterns=n_patterns)
    with pytest.raises(CannotExplainError, match="too many leaves"):
        InterventionalTrees(trees, X.to_numpy(), max_patterns=n_patterns - 1)


def test_trees_and_rows_in_parts_give_the_same_values(monkeypatch):
    from mlflow_interpret.explaining.explainers import interventional_trees

    X, y = rows_of(load_diabetes, 200, [2, 3, 8, 9])
    model = RandomForestRegressor(n_estimators=20, random_state=0).fit(X, y)
    cells = X.to_numpy()
    whole = InterventionalTrees(trees_of(model), cells[:30])
    values = whole.explain(cells)
    monkeypatch.setattr(interventional_trees, "_CELLS", 3000)
    parts = InterventionalTrees(trees_of(model), cells[:30])
    np.testing.assert_allclose(parts.explain(cells), values, atol=1e-9)
    np.testing.assert_allclose(parts.expected, whole.expected)
