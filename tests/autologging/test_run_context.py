"""The run of a fit."""

from __future__ import annotations

import time

import mlflow
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from mlflow_interpret.stores import mlflow as mlflow_store

X, y = load_iris(return_X_y=True, as_frame=True)
OPTIONS = {"log_figures": False, "log_report": False, "silent": True}


class OwnClass(ClassifierMixin, BaseEstimator):
    """A class that MLflow does not know: its autologging records the inner fit."""

    def __init__(self, before_fit=lambda: None):
        self.before_fit = before_fit

    def fit(self, X, y):
        self.before_fit()
        self.tree_ = DecisionTreeClassifier(max_depth=2).fit(X, y)
        self.classes_ = self.tree_.classes_
        return self

    def predict(self, X):
        return self.tree_.predict(X)

    def predict_proba(self, X):
        return self.tree_.predict_proba(X)


@pytest.fixture
def mlflow_autologging():
    mlflow.sklearn.autolog(log_models=False, silent=True)
    yield
    mlflow.sklearn.autolog(disable=True)


@pytest.mark.usefixtures("mlflow_autologging")
def test_a_clock_that_is_set_back_during_a_fit_changes_no_run(store, monkeypatch):
    clock, offsets = time.time, [0.0]

    def set_back():
        offsets[0] -= 3600

    mlflow_interpret.autolog(**OPTIONS)
    OwnClass().fit(X, y)
    monkeypatch.setattr(time, "time", lambda: clock() + offsets[0])
    OwnClass(set_back).fit(X, y)
    with mlflow.start_run() as run:
        DecisionTreeClassifier(max_depth=2).fit(X, y)
        set_back()
        OwnClass().fit(X, y)
    runs = mlflow.search_runs()
    assert runs["status"].tolist() == ["FINISHED"] * 3
    assert len(runs["tags.mlflow_interpret.explanation_id"].dropna()) == 3
    explanations = [e for _, e in mlflow_store.explanations(run.info.run_id, store)]
    assert len(explanations) == 2
    latest = mlflow_interpret.load_explanation(run.info.run_id)
    assert latest.id == explanations[-1].id


def test_a_run_that_ended_before_the_fit_is_not_that_of_the_fit(store):
    mlflow.sklearn.autolog(log_models=False, silent=True)
    DecisionTreeClassifier(max_depth=2).fit(X, y)
    mlflow.sklearn.autolog(disable=True)
    mlflow_interpret.autolog(**OPTIONS)
    DecisionTreeClassifier(max_depth=3).fit(X, y)
    runs = mlflow.search_runs()
    assert len(runs) == 2
    assert len(runs["tags.mlflow_interpret.explanation_id"].dropna()) == 1
