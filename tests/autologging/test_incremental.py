"""Models that `partial_fit` trains are explained once, when their run ends or on demand."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import weakref

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

import mlflow_interpret
from mlflow_interpret import CannotExplainError
from mlflow_interpret.stores import mlflow as mlflow_store

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(100, 3)), columns=["a", "b", "c"])
y = 2.0 * X.a + X.b
label = (y > 0).astype(int)
set_terminated = MlflowClient.set_terminated


@pytest.fixture(autouse=True)
def _new_process(monkeypatch):
    monkeypatch.setattr("mlflow_interpret.runtime.messages._informed", set())


def train(model, target=y, n_batches=5, **options):
    for batch in np.array_split(np.arange(100), n_batches):
        model.partial_fit(X.iloc[batch], target.iloc[batch], **options)
    return model


def tags(run):
    return MlflowClient().get_run(run.info.run_id).data.tags


def all_runs():
    return mlflow.search_runs(output_format="list", search_all_experiments=True)


CASES = {
    "regressor": (SGDRegressor, y, {}),
    "classifier": (SGDClassifier, label, {"classes": [0, 1]}),
    "naive Bayes": (GaussianNB, label, {"classes": [0, 1]}),
    "network": (lambda: MLPRegressor(hidden_layer_sizes=(3,)), y, {}),
    "several targets": (
        lambda: MultiOutputRegressor(SGDRegressor(), n_jobs=2),
        pd.DataFrame({"first": y, "second": -y}),
        {},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_loop_is_explained_once_when_the_run_ends(store, case):
    new, target, options = CASES[case]
    mlflow_interpret.autolog(log_figures=False)
    with mlflow.start_run() as run:
        model = train(new(), target, **options)
        assert tags(run)["mlflow_interpret.status"] == "skipped"
        assert "explain_now(model)" in tags(run)["mlflow_interpret.reason"]
    assert tags(run)["mlflow_interpret.status"] == "complete"
    assert tags(run)["mlflow_interpret.explanations"] == "1"
    assert "mlflow_interpret.reason" not in tags(run)
    assert len(all_runs()) == 1
    assert MlflowClient().get_run(run.info.run_id).info.status == "FINISHED"
    assert MlflowClient.set_terminated is set_terminated
    logged = mlflow_interpret.load_explanation(run.info.run_id)
    expected = mlflow_interpret.explain(model, X, silent=True)
    np.testing.assert_allclose(
        logged.global_importance_values, expected.global_importance_values, rtol=1e-6
    )
    notes = mlflow_store.status_of(run.info.run_id, store)["notes"]
    assert any("5 batches of 100 rows" in note for note in notes)


class Mean:
    """A model that is no scikit-learn estimator."""

    total, n = 0.0, 0

    def fit(self, X, y):
        return self.partial_fit(X, y)

    def partial_fit(self, X, y):
        self.total, self.n = self.total + float(np.sum(y)), self.n + len(y)
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0] + self.total / self.n


def test_classes_of_the_option_are_explained_once(store):
    mlflow_interpret.autolog(log_figures=False, estimators=[Mean])
    with mlflow.start_run() as run:
        train(Mean())
    assert tags(run)["mlflow_interpret.explanations"] == "1"
    with mlflow.start_run() as run:
        Mean().fit(X, y)
    assert tags(run)["mlflow_interpret.explanations"] == "1"


def test_every_way_to_end_a_run_explains(store):
    mlflow_interpret.autolog(log_figures=False)
    first = mlflow.start_run()
    train(SGDRegressor())
    mlflow.end_run()
    second = mlflow.start_run()
    train(SGDRegressor())
    MlflowClient().set_terminated(second.info.run_id)
    mlflow.end_run()
    with mlflow.start_run() as outer, mlflow.start_run(nested=True) as inner:
        train(SGDRegressor())
    for run in (first, second, inner):
        assert tags(run)["mlflow_interpret.explanations"] == "1"
    assert "mlflow_interpret.status" not in tags(outer)


def test_a_run_that_fails_is_not_explained_and_keeps_the_note(store):
    mlflow_interpret.autolog(log_figures=False)
    with pytest.raises(KeyError), mlflow.start_run() as run:
        train(SGDRegressor())
        raise KeyError("the user's")
    assert tags(run)["mlflow_interpret.status"] == "skipped"
    assert MlflowClient().get_run(run.info.run_id).info.status == "FAILED"
    assert MlflowClient.set_terminated is set_terminated


def test_without_a_run_one_line_says_how(store, caplog):
    caplog.set_level(logging.INFO, "mlflow_interpret")
    mlflow_interpret.autolog(log_figures=False)
    models = [train(SGDRegressor()) for _ in range(3)]
    lines = [r.getMessage() for r in caplog.records if r.name == "mlflow_interpret"]
    (line,) = lines
    assert line.startswith("SGDRegressor is trained by partial_fit; it is explained by")
    assert line.endswith("mlflow_interpret.explain_now(model)")
    assert all_runs() == []
    watched = weakref.ref(models[0])
    models.clear()
    gc.collect()
    assert watched() is None


def test_explain_now_explains_into_the_active_run_once(store):
    mlflow_interpret.autolog(log_figures=False)
    with mlflow.start_run() as run:
        model = train(SGDRegressor())
        assert mlflow_interpret.explain_now(model) == run.info.run_id
        assert tags(run)["mlflow_interpret.status"] == "complete"
    assert tags(run)["mlflow_interpret.explanations"] == "1"
    with mlflow.start_run() as run:
        mlflow_interpret.explain_now(train(model))
        train(model)
    assert tags(run)["mlflow_interpret.explanations"] == "2"
    notes = mlflow_store.status_of(run.info.run_id, store, 2)["notes"]
    assert any("15 batches of 300 rows" in note for note in notes)


def test_explain_now_without_a_run_makes_one(store):
    mlflow_interpret.autolog(log_figures=False, comment="by hand")
    model = train(SGDRegressor())
    run_id = mlflow_interpret.explain_now(model)
    (run,) = all_runs()
    assert run.info.run_id == run_id
    assert run.info.status == "FINISHED"
    assert mlflow_store.status_of(run_id, store)["comment"] == "by hand"


def test_explain_now_takes_rows_of_any_model(store):
    mlflow_interpret.autolog(disable=True)
    model = SGDRegressor().fit(X, y)
    with pytest.raises(CannotExplainError, match="pass X, its training rows"):
        mlflow_interpret.explain_now(model)
    run_id = mlflow_interpret.explain_now(model, X[:30], y[:30])
    assert len(mlflow_interpret.load_explanation(run_id).eval_data) == 30
    with pytest.raises(CannotExplainError, match="not fitted"):
        mlflow_interpret.explain_now(SGDRegressor(), X)
    with pytest.raises(CannotExplainError, match="clusterer"):
        mlflow_interpret.explain_now(MiniBatchKMeans(2).fit(X), X)


def test_fit_starts_anew(store):
    mlflow_interpret.autolog(log_figures=False)
    with mlflow.start_run() as run:
        model = train(SGDRegressor())
        model.fit(X, y)
    assert tags(run)["mlflow_interpret.explanations"] == "1"
    with pytest.raises(CannotExplainError, match="no rows"):
        mlflow_interpret.explain_now(model)


def test_clusterers_are_noted_and_transformers_are_not(store, notes_sent):
    mlflow_interpret.autolog()
    with mlflow.start_run() as run:
        for _ in range(3):
            MiniBatchKMeans(2, n_init=1).partial_fit(X)
    assert tags(run)["mlflow_interpret.reason"].startswith("MiniBatchKMeans is a clusterer")
    assert len(notes_sent) == 1
    with mlflow.start_run() as run:
        StandardScaler().partial_fit(X)
    assert "mlflow_interpret.status" not in tags(run)


def test_what_cannot_be_explained_is_a_reason_at_the_end_of_the_run(store):
    mlflow_interpret.autolog()
    with mlflow.start_run() as run:
        model = SGDRegressor()
        model.partial_fit(X, y)
        model.partial_fit(X.to_numpy()[:, :3].tolist(), y)
    status = mlflow_store.status_of(run.info.run_id, store)
    assert status["status"] == "skipped"
    assert "different columns or types" in status["reason"]


def test_options_apply_to_the_end_of_a_run(store):
    mlflow_interpret.autolog(exclusive=True)
    with mlflow.start_run() as run:
        train(SGDRegressor())
    assert "mlflow_interpret.status" not in tags(run)
    mlflow_interpret.autolog()
    with mlflow.start_run() as run:
        train(SGDRegressor())
        mlflow_interpret.autolog(disable=True)
    assert tags(run)["mlflow_interpret.status"] == "skipped"
    assert MlflowClient.set_terminated is set_terminated


SCRIPT = """
import mlflow, mlflow_interpret
from sklearn.linear_model import SGDRegressor
mlflow_interpret.autolog(log_figures=False)
model = SGDRegressor()
for shift in (0.0, 1.0):
    model.partial_fit([[0.0 + shift, 1.0], [1.0, 0.0], [2.0, shift]], [0.0, 1.0, 2.0])
"""


@pytest.mark.parametrize("is_job", [True, pytest.param(False, marks=pytest.mark.exhaustive)])
def test_a_run_that_the_script_leaves_open_is_explained_at_its_end(store, is_job):
    with mlflow.start_run() as run:
        pass
    opening = "mlflow.start_run()\n" if not is_job else ""
    code = SCRIPT.replace("model = ", f"{opening}model = ")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
    if is_job:
        environment["MLFLOW_RUN_ID"] = run.info.run_id
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    last = run if is_job else all_runs()[0]
    assert tags(last)["mlflow_interpret.explanations"] == "1", done.stderr
    assert len(all_runs()) == 1 + (not is_job)
