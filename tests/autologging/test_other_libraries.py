"""Searches and models of libraries beside scikit-learn are seen and explained."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin, clone
from sklearn.linear_model import LinearRegression, LogisticRegression

import mlflow_interpret
from mlflow_interpret.autologging.libraries import registered_libraries

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(90, 3)), columns=["a", "b", "c"])
y = 2 * X.a + X.b
SKLEARN = next(entry for entry in registered_libraries() if entry.module == "sklearn.base")


class Search(BaseEstimator):
    """A search that has all methods that a model may have, as Optuna's, and no tags."""

    def __init__(self, estimator=None):
        self.estimator = estimator

    def fit(self, X, y):
        self.best_estimator_ = clone(self.estimator).fit(X, y)
        return self

    def predict(self, X):
        return self.best_estimator_.predict(X)

    def transform(self, X):
        return self.best_estimator_.transform(X)


class Encoder(TransformerMixin, BaseEstimator):
    """A transformer that can predict, too."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def predict(self, X):
        return np.zeros(len(X))


class Groups(ClusterMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return np.zeros(len(X))


def explained_run():
    (run,) = mlflow.search_runs(output_format="list")
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    return run, mlflow_interpret.load_explanation(run.info.run_id)


def test_a_search_without_tags_is_explained_by_its_best_estimator(store):
    mlflow_interpret.autolog(log_figures=False)
    Search(LinearRegression()).fit(X, y)
    run, explanation = explained_run()
    assert run.data.tags["mlflow_interpret.method"] == "shap_linear"
    expected = [2.0, 1.0] * (X[["a", "b"]] - X[["a", "b"]].mean())
    local = np.asarray(explanation.local_importance_values)
    np.testing.assert_allclose(local[:, :2], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("model", "is_model"), [(Search(), True), (Encoder(), False), (Groups(), True)]
)
def test_objects_that_predict_and_do_not_transform_are_models(model, is_model):
    assert SKLEARN.is_model(model) is is_model
    assert SKLEARN.is_clusterer(model) is isinstance(model, Groups)


def searches():
    yield "optuna_integration", lambda package: package.OptunaSearchCV(
        LogisticRegression(),
        {"C": pytest.importorskip("optuna").distributions.FloatDistribution(0.1, 10.0)},
        n_trials=2, cv=2,
    )  # fmt: skip
    yield (
        "skopt",
        lambda package: package.BayesSearchCV(
            LogisticRegression(), {"C": (0.1, 10.0)}, n_iter=2, cv=2
        ),
    )
    yield (
        "dask_ml.model_selection",
        lambda package: package.GridSearchCV(LogisticRegression(), {"C": [0.1, 10.0]}, cv=2),
    )


@pytest.mark.parametrize(("package", "search"), list(searches()), ids=lambda value: str(value)[:9])
@pytest.mark.filterwarnings("ignore")
def test_searches_of_other_packages_make_one_run(store, package, search):
    model = search(pytest.importorskip(package))
    mlflow_interpret.autolog(log_figures=False)
    model.fit(X, y > 0)
    _, explanation = explained_run()
    coefficients = model.best_estimator_.coef_[0]
    local = np.asarray(explanation.local_importance_values)[1]
    np.testing.assert_allclose(local, coefficients * (X - X.mean()), atol=1e-9)


class TestStatsmodels:
    @pytest.fixture(autouse=True)
    def _statsmodels(self):
        self.api = pytest.importorskip("statsmodels.api")

    def test_least_squares(self, store):
        mlflow_interpret.autolog(log_figures=False)
        results = self.api.OLS(y, self.api.add_constant(X)).fit()
        _, explanation = explained_run()
        assert explanation.features == ["const", "a", "b", "c"]
        expected = results.params[1:] * (X - X.mean())
        local = np.asarray(explanation.local_importance_values)[:, 1:]
        np.testing.assert_allclose(local, expected, atol=1e-9)

    def test_a_formula_is_explained_by_the_columns_of_its_table(self, store):
        from statsmodels.formula import api

        mlflow_interpret.autolog(log_figures=False)
        table = X.assign(plan=np.where(X.c > 0, "u", "v"), y=y + 3.0 * (X.c > 0))
        results = api.ols("y ~ a + C(plan)", table).fit()
        _, explanation = explained_run()
        assert explanation.features == ["a", "b", "c", "plan"]
        local = np.asarray(explanation.local_importance_values)
        is_v = table.plan == "v"
        effect = results.params["C(plan)[T.v]"] * (is_v - is_v.mean())
        np.testing.assert_allclose(local[:, 3], effect, atol=1e-9)
        np.testing.assert_allclose(local[:, 1:3], 0.0, atol=1e-9)

    def test_fits_by_statsmodels_itself_are_not_explained(self, store):
        from statsmodels.stats.diagnostic import het_breuschpagan

        results = self.api.OLS(y, X).fit()
        mlflow_interpret.autolog(log_figures=False)
        het_breuschpagan(results.resid, self.api.add_constant(X).to_numpy())
        # MLflow's own autologging may make a run.
        runs = mlflow.search_runs(output_format="list")
        assert not [tag for run in runs for tag in run.data.tags if "mlflow_interpret" in tag]
