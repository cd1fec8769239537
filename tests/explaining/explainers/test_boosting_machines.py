"""Explainable boosting machines by their own terms, compared with enumeration."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from explaining import exact
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain

glassbox = pytest.importorskip("interpret.glassbox")

random = np.random.default_rng(0)
ROWS = pd.DataFrame(random.normal(size=(150, 3)), columns=["a", "b", "c"])
ROWS["kind"] = pd.Series(random.choice(["x", "y", "z"], 150), dtype=object)
NUMBER = ROWS.a + ROWS.b**2 + (ROWS.kind == "x")
ADDITIVE = {"outer_bags": 1, "max_rounds": 80, "interactions": 0, "n_jobs": 1}
PLAN = Plan(max_rows=4)


def classifier(**settings):
    return glassbox.ExplainableBoostingClassifier(**{**ADDITIVE, **settings})


def regressor(**settings):
    return glassbox.ExplainableBoostingRegressor(**{**ADDITIVE, **settings})


def explain_model(model, labels, rows=ROWS):
    return explain(TrainingContext(model.fit(rows, labels), rows, labels), PLAN)


def assert_exact(result, output, rows=ROWS):
    values, expected = exact.shapley(output, result.evaluation_rows, rows)
    np.testing.assert_allclose(result.local_values, values, atol=1e-9)
    np.testing.assert_allclose(result.expected_values, expected, atol=1e-9)
    assert np.abs(values).max() > 0.1
    assert result.method == "ebm"
    assert result.details.additivity_error < 1e-9


def test_terms_of_a_regressor_are_shapley_values():
    model = regressor()
    result = explain_model(model, NUMBER)
    assert_exact(result, model.predict)
    assert result.details.output_scale == "prediction"
    assert result.details.background_rows == 150
    assert result.details.attribution_check is None


def test_terms_of_a_binary_classifier_are_log_odds():
    model = classifier()
    result = explain_model(model, np.where(NUMBER > 1, "yes", "no"))

    def both(rows):
        scores = model.decision_function(rows)
        return np.column_stack([-scores, scores])

    assert_exact(result, both)
    assert result.details.output_scale == "log-odds"
    assert result.classes == ("no", "yes")


def test_terms_of_several_classes():
    model = classifier()
    result = explain_model(model, np.digitize(NUMBER, [0.5, 2.0]))
    assert_exact(result, model.decision_function)
    assert result.details.output_scale == "log-odds"


def test_terms_in_front_of_a_link_function():
    model = regressor(objective="poisson_deviance")
    result = explain_model(model, (ROWS.a**2).round())
    assert_exact(result, lambda rows: np.log(model.predict(rows)))
    assert result.details.output_scale == "raw prediction"


def test_interactions_are_shared_evenly():
    rows = ROWS[["a", "b"]]
    model = regressor(interactions=[(0, 1)])
    result = explain_model(model, rows.a * rows.b, rows)
    centred = model.eval_terms(result.evaluation_rows) - model.eval_terms(rows).mean(axis=0)
    assert model.term_features_ == [(0,), (1,), (0, 1)]
    assert np.abs(centred[:, 2]).max() > 0.1
    expected = centred[:, :2] + centred[:, 2:] / 2
    np.testing.assert_allclose(result.local_values, expected, atol=1e-12)
    assert any("shared evenly" in note.text for note in result.details.notes)


def test_pipelines_sum_up_by_raw_column():
    steps = make_column_transformer(
        (StandardScaler(), ["a", "b", "c"]), (OneHotEncoder(sparse_output=False), ["kind"])
    )
    model = make_pipeline(steps, regressor())
    result = explain_model(model, NUMBER)
    assert_exact(result, model.predict)
    assert result.is_raw
    assert result.engineered is not None


def test_initialization_examples_are_the_background():
    background = ROWS.iloc[:20]
    model = regressor().fit(ROWS, NUMBER)
    context = TrainingContext(model, ROWS, initialization_examples=background)
    assert_exact(explain(context, PLAN), model.predict, background)


def test_arrays_and_missing_cells():
    cells = ROWS[["a", "b", "c"]].to_numpy(copy=True)
    cells[::7, 1] = np.nan
    model = regressor().fit(cells, NUMBER)
    result = explain(TrainingContext(model, cells, NUMBER), PLAN)
    table = pd.DataFrame(cells, columns=result.features)
    assert_exact(result, lambda rows: model.predict(rows.to_numpy()), table)


def test_weights_of_the_training_rows_weigh_the_mean():
    weights = random.integers(1, 5, len(ROWS))
    model = regressor().fit(ROWS, NUMBER, sample_weight=weights)
    result = explain(TrainingContext(model, ROWS, NUMBER, sample_weight=weights), PLAN)
    assert_exact(result, model.predict, ROWS.iloc[np.repeat(np.arange(len(ROWS)), weights)])
    assert any("weighted by the sample_weight" in note.text for note in result.details.notes)
