"""An explainer in one file: a class that is registered, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import load_diabetes
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    register,
    registered_explainers,
    unregister,
)


class ColumnSum(RegressorMixin, BaseEstimator):
    """A model that a user wrote: the sum of the columns."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return np.asarray(X, dtype=float).sum(axis=1)


class ColumnSumExplainer(Explainer):
    """The whole plug-in."""

    @classmethod
    def supports(cls, adapter):
        return isinstance(adapter.model, ColumnSum)

    def __init__(self, request):
        self._mean = request.background.frame.to_numpy(dtype=float).mean(axis=0)
        self.info = ExplainerInfo("shap_column_sum", "toy package", max_rows=100, notes=("A toy.",))

    def explain(self, batch, scale=None):
        cells = batch.frame.to_numpy(dtype=float)
        expected = np.atleast_1d(self._mean.sum())
        return Attributions(cells - self._mean, expected, cells.sum(axis=1), "prediction")


@pytest.fixture
def toy():
    yield register(priority=55)(ColumnSumExplainer)
    unregister(ColumnSumExplainer)


X, y = load_diabetes(return_X_y=True, as_frame=True)
X, y = X.iloc[:60], y[:60]


def test_the_model_is_explained_by_the_plugin(toy):
    explanation = explain(TrainingContext(ColumnSum().fit(X), X, y))
    assert explanation.method == "shap_column_sum"
    assert explanation.details.engine == "toy package"
    assert "A toy." in [str(note) for note in explanation.details.notes]
    np.testing.assert_allclose(explanation.local_values, X - X.mean(axis=0))


def test_pipelines_find_the_plugin_for_their_last_step(toy):
    model = make_pipeline(StandardScaler(), ColumnSum()).fit(X, y)
    explanation = explain(TrainingContext(model, X, y))
    assert explanation.method == "shap_column_sum"
    assert explanation.engineered is not None


def test_several_targets_find_the_plugin_for_each_model(toy):
    model = MultiOutputRegressor(ColumnSum()).fit(X, np.column_stack([y, y]))
    explanation = explain(TrainingContext(model, X, np.column_stack([y, y])))
    assert explanation.method == "shap_column_sum"


def test_other_values_of_the_option_engine_do_not_use_the_plugin(toy):
    assert toy in list(registered_explainers("auto", exact=True))
    assert toy not in list(registered_explainers("tabular", exact=True))


def test_without_the_plugin_the_model_is_sampled():
    explanation = explain(TrainingContext(ColumnSum().fit(X), X, y), Plan(max_rows=3))
    assert explanation.method == "shap_permutation"
    assert "no exact method is known for ColumnSum" in str(explanation.details.notes[0])


def test_a_plugin_that_refuses_a_model_is_followed_by_the_next_one(toy, monkeypatch):
    def refuse(self, request):
        raise CannotExplainError("the toy is broken")

    monkeypatch.setattr(ColumnSumExplainer, "__init__", refuse)
    explanation = explain(TrainingContext(ColumnSum().fit(X), X, y), Plan(max_rows=3))
    assert explanation.method == "shap_permutation"
    assert "because the toy is broken" in str(explanation.details.notes[0])


def test_the_highest_priority_comes_first():
    names = [known.__name__ for known in registered_explainers("auto", exact=True)]
    expected = [
        "PipelineExplainer",
        "MultiTargetExplainer",
        "BoosterExplainer",
        "LinearExplainer",
        "TreeExplainer",
    ]
    assert [name for name in names if name in expected] == expected
    sampling = [known.__name__ for known in registered_explainers("auto", exact=False)]
    assert sampling == ["PermutationExplainer", "KernelExplainer"]
