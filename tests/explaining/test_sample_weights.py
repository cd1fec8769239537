"""Weights of the training rows weigh the background: compared with repeated background rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    BaggingRegressor,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR

from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers.control_variates import standardize
from mlflow_interpret.explaining.explainers.permutation_sampler import sample_shapley

from . import exact

random = np.random.default_rng(0)
ROWS = pd.DataFrame(random.normal(size=(60, 3)), columns=["a", "b", "c"])
ROWS["a"] += 1.0
NUMBER = (ROWS.a * ROWS.b + ROWS.c).to_numpy()
WEIGHTS = random.integers(0, 5, 60) * (1 + 3 * (ROWS.a > 1).to_numpy())
REPEATED = ROWS.iloc[np.repeat(np.arange(60), WEIGHTS)].reset_index(drop=True)
WEIGHTED = "The background rows are weighted by the sample_weight of fit"


def explain_weighted(model, labels=NUMBER, weights=WEIGHTS, rows=ROWS, **settings):
    return explain(TrainingContext(model, rows, labels, sample_weight=weights, **settings),
                   Plan(max_rows=4))  # fmt: skip


def notes(result):
    return " ".join(note.text for note in result.details.notes)


def assert_weighted(result, output, tolerance=1e-9):
    values, expected = exact.shapley(output, result.evaluation_rows, REPEATED)
    size = np.abs(values).max()
    np.testing.assert_allclose(result.local_values, values, atol=tolerance * size)
    np.testing.assert_allclose(result.expected_values, expected, atol=1e-9)
    assert WEIGHTED in notes(result)


def test_linear_models_in_closed_form():
    model = LinearRegression().fit(ROWS, NUMBER, sample_weight=WEIGHTS)
    assert_weighted(explain_weighted(model), model.predict)


def test_linear_classifiers_in_pipelines():
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(ROWS, NUMBER > 0, logisticregression__sample_weight=WEIGHTS)
    result = explain_weighted(model, NUMBER > 0)

    def both(rows):
        scores = model.decision_function(rows)
        return np.column_stack([-scores, scores])

    assert_weighted(result, both)


@pytest.mark.parametrize("weights", [list(WEIGHTS), pd.Series(WEIGHTS), WEIGHTS[:, None] / 7.0])
def test_black_boxes(weights):
    model = SVR(kernel="poly").fit(ROWS, NUMBER, sample_weight=WEIGHTS)
    result = explain_weighted(model, weights=weights)
    assert result.method == "shap_permutation"
    assert_weighted(result, model.predict, tolerance=0.1)
    plain = explain_weighted(model, weights=None)
    assert np.abs(plain.expected_values - result.expected_values).max() > 0.01
    assert WEIGHTED not in notes(plain)


def test_black_box_classifiers_and_pipelines_that_mix_columns():
    labels = NUMBER > 0
    for model, fitted_with in (
        (SVC(kernel="poly", probability=False), {"sample_weight": WEIGHTS}),
        (make_pipeline(PolynomialFeatures(2), Ridge()), {"ridge__sample_weight": WEIGHTS}),
    ):
        model.fit(ROWS, labels, **fitted_with)
        result = explain_weighted(model, labels)
        assert WEIGHTED in notes(result)


def test_sampled_values_converge_to_those_of_repeated_rows():
    def output(rows):
        return np.column_stack([rows[:, 0] * rows[:, 1], np.maximum(rows[:, 1], rows[:, 2])])

    cells = ROWS.to_numpy()
    sampled = sample_shapley(
        output, cells[:4], cells, 2000, 0, background_weights=WEIGHTS.astype(float)
    )
    values, expected = exact.shapley(
        lambda frame: output(frame.to_numpy()), ROWS.iloc[:4], REPEATED
    )
    np.testing.assert_allclose(sampled.expected, expected)
    assert (np.abs(sampled.values - values) <= 5 * sampled.errors + 1e-12).all()
    assert sampled.errors.max() < 0.05


def test_standardized_background_has_a_weighted_mean_of_zero():
    cells = ROWS.to_numpy(copy=True)
    cells[::9, 1] = np.nan
    _, background = standardize(cells[:2], cells, WEIGHTS.astype(float))
    np.testing.assert_allclose(WEIGHTS @ background, 0.0, atol=1e-9)
    assert np.average(background[:, 0] ** 2, weights=WEIGHTS) == pytest.approx(1.0)


def test_wide_texts_in_closed_form():
    words = np.array([f"word{i}" for i in range(1200)])
    texts = [" ".join(random.choice(words, 30)) for _ in range(80)]
    labels = np.array(["word1" in text for text in texts], dtype=float) + random.normal(size=80)
    weights = random.integers(0, 4, 80)
    model = make_pipeline(CountVectorizer(), Ridge()).fit(
        texts, labels, ridge__sample_weight=weights
    )
    result = explain_weighted(model, labels, weights, texts)
    mean = np.average(model.predict(texts), weights=weights)
    np.testing.assert_allclose(result.expected_values, mean)
    assert WEIGHTED in notes(result)


@pytest.mark.parametrize(
    "model",
    [
        VotingRegressor([("first", LinearRegression()), ("second", Ridge(5.0))]),
        BaggingRegressor(Ridge(), n_estimators=3, max_features=2, random_state=0),
        StackingRegressor([("first", Ridge())], LinearRegression(), passthrough=True, cv=3),
    ],
    ids=["voting", "bagging", "stacking"],
)
def test_sums_of_linear_models(model):
    model.fit(ROWS, NUMBER, sample_weight=WEIGHTS)
    result = explain_weighted(model)
    assert "weighted sum" in result.details.engine
    assert_weighted(result, model.predict)


def test_trees_say_that_they_count_rows_themselves():
    model = RandomForestRegressor(5, random_state=0).fit(ROWS, NUMBER, sample_weight=WEIGHTS)
    result = explain_weighted(model)
    plain = explain_weighted(model, weights=None)
    np.testing.assert_allclose(result.local_values, plain.local_values)
    assert "it has no other effect on the values" in notes(result)
    assert "sample_weight" not in notes(plain)


def test_given_background_rows_have_equal_weights():
    model = LinearRegression().fit(ROWS, NUMBER, sample_weight=WEIGHTS)
    result = explain_weighted(model, initialization_examples=ROWS.iloc[:20])
    values, _ = exact.shapley(model.predict, result.evaluation_rows, ROWS.iloc[:20])
    np.testing.assert_allclose(result.local_values, values, atol=1e-9)
    assert "initialization_examples are not weighted by the sample_weight of fit." in notes(result)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (np.ones(59), "there are 59 weights for 60 rows"),
        (np.full(60, np.nan), "there are missing or negative weights"),
        (-WEIGHTS, "there are missing or negative weights"),
        (["heavy"] * 60, "they are no array of numbers"),
        (object(), "they are no array of numbers"),
    ],
)
def test_other_weights_are_noted(weights, reason):
    model = LinearRegression().fit(ROWS, NUMBER)
    result = explain_weighted(model, weights=weights)
    assert f"does not weigh the background rows: {reason}." in notes(result)


def test_equal_weights_change_nothing():
    model = LinearRegression().fit(ROWS, NUMBER)
    result = explain_weighted(model, weights=np.full(60, 2.0))
    assert "sample_weight" not in notes(result)


@pytest.mark.interpret
@pytest.mark.parametrize("engine", ["tabular", "kernel"])
def test_explainers_of_interpret_community(engine):
    model = LinearRegression().fit(ROWS, NUMBER, sample_weight=WEIGHTS)
    context = TrainingContext(model, ROWS, NUMBER, sample_weight=WEIGHTS)
    result = explain(context, Plan(max_rows=3, engine=engine))
    if engine == "tabular":
        assert_weighted(result, model.predict, tolerance=1e-6)
        assert result.details.attribution_check.outcome == "passed"
    else:
        assert "are not weighted by the sample_weight of fit" in notes(result)
