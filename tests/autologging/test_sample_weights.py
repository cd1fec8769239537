"""Weights are found among the arguments of every kind of training call, and weigh the background."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, SGDRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mlflow_interpret
from mlflow_interpret.autologging.sample_weights import sample_weights
from mlflow_interpret.autologging.training_arguments import Call
from mlflow_interpret.stores import mlflow as mlflow_store

random = np.random.default_rng(0)
X = pd.DataFrame(random.normal(size=(40, 2)), columns=["a", "b"])
y = X.a + X.b
WEIGHTS = random.integers(1, 5, 40)


def weights_of(instance, *args, **kwargs):
    return sample_weights(Call(type(instance).fit, instance, args, kwargs), X)


def test_argument_by_name_and_by_position():
    assert weights_of(Ridge(), X, y, sample_weight=WEIGHTS) is WEIGHTS
    assert weights_of(Ridge(), X, y, WEIGHTS) is WEIGHTS
    assert weights_of(Ridge(), X, y) is None
    assert weights_of(Ridge(), X, y, None) is None


def test_last_step_of_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), Ridge())
    assert weights_of(pipeline, X, y, ridge__sample_weight=WEIGHTS) is WEIGHTS
    assert weights_of(pipeline, X, y, standardscaler__sample_weight=WEIGHTS) is None
    nested = make_pipeline(pipeline)
    assert weights_of(nested, X, y, pipeline__ridge__sample_weight=WEIGHTS) is WEIGHTS


def test_searches():
    search = GridSearchCV(Ridge(), {})
    assert weights_of(search, X, y, sample_weight=WEIGHTS) is WEIGHTS
    search = GridSearchCV(make_pipeline(Ridge()), {})
    assert weights_of(search, X, y, ridge__sample_weight=WEIGHTS) is WEIGHTS


def test_matrix_of_xgboost():
    xgboost = pytest.importorskip("xgboost")
    for weights in (None, WEIGHTS):
        call = Call(xgboost.train, None, ({}, xgboost.DMatrix(X, y, weight=weights)), {})
        found = sample_weights(call, X)
        assert found is None if weights is None else np.array_equal(found, weights)


@pytest.mark.parametrize("is_constructed", [False, True])
def test_dataset_of_lightgbm(is_constructed):
    lightgbm = pytest.importorskip("lightgbm")
    for weights in (None, WEIGHTS):
        data = lightgbm.Dataset(X, y, weight=weights, free_raw_data=False, params={"verbose": -1})
        data = data.construct() if is_constructed else data
        found = sample_weights(Call(lightgbm.train, None, ({},), {"train_set": data}), X)
        assert found is None if weights is None else np.array_equal(found, weights)


def test_pool_of_catboost():
    catboost = pytest.importorskip("catboost")
    model = catboost.CatBoostRegressor()
    assert np.array_equal(weights_of(model, catboost.Pool(X, y, weight=WEIGHTS)), WEIGHTS)
    assert np.ptp(weights_of(model, catboost.Pool(X, y))) == 0
    assert weights_of(model, X, y, sample_weight=WEIGHTS) is WEIGHTS


def test_model_of_statsmodels():
    statsmodels = pytest.importorskip("statsmodels.api")
    model = statsmodels.GLM(y, X, freq_weights=WEIGHTS)
    assert np.array_equal(weights_of(model), WEIGHTS)
    assert np.array_equal(weights_of(statsmodels.WLS(y, X, weights=WEIGHTS)), WEIGHTS)


def test_similar_names_need_a_weight_for_each_row():
    class Own:
        def fit(self, X, y, *, weights=None):
            return self

    assert weights_of(Own(), X, y, weights=WEIGHTS) is WEIGHTS
    assert weights_of(Own(), X, y, weights=[0.5, 0.5]) is None
    assert weights_of(Own(), X, y, weights="balanced") is None


def test_objects_that_raise():
    class Odd:
        @property
        def steps(self):
            raise RuntimeError

        def fit(self, X, y):
            return self

    assert weights_of(Odd(), X, y) is None


def test_autolog_weighs_the_background_of_a_fit(store):
    mlflow_interpret.autolog(log_figures=False)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(X, y > 0, logisticregression__sample_weight=WEIGHTS)
    (run,) = mlflow.search_runs(output_format="list", search_all_experiments=True)
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    mean = np.average(model.decision_function(X), weights=WEIGHTS)
    np.testing.assert_allclose(np.ravel(explanation.expected_values), [-mean, mean])


def test_partial_fit_says_that_its_weights_are_not_used(store):
    mlflow_interpret.autolog(log_figures=False)
    with mlflow.start_run() as run:
        SGDRegressor().partial_fit(X, y, sample_weight=WEIGHTS)
    notes = mlflow_store.status_of(run.info.run_id, store)["notes"]
    assert "The sample_weight of partial_fit does not weigh the background rows." in notes
