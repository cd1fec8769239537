"""`autolog` with a local MLflow store, and training that behaves as without it."""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from mlflow_interpret import ExplanationNotFoundError
from mlflow_interpret.autologging import explain_fit
from mlflow_interpret.autologging.baseline import with_details
from mlflow_interpret.autologging.explain_fit import default_budget
from mlflow_interpret.autologging.training_calls import FitEvent
from mlflow_interpret.core.options import Options
from mlflow_interpret.explaining import explain as explain_module
from mlflow_interpret.explaining.shared_budget import SharedBudget
from mlflow_interpret.runtime import messages
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool

X, y = load_iris(return_X_y=True, as_frame=True)
species = y.map(dict(enumerate(load_iris().target_names)))


def tree(**parameters):
    return DecisionTreeClassifier(max_depth=3, random_state=0, **parameters)


def all_runs():
    return mlflow.search_runs(output_format="list", search_all_experiments=True)


def artifacts(run_id, folder="mlflow_interpret"):
    return {file.path.split("/")[-1] for file in MlflowClient().list_artifacts(run_id, folder)}


def importances(run):
    return {name: value for name, value in run.data.metrics.items() if "importance/" in name}


def test_the_output_and_interactions_are_in_the_run(store):
    mlflow_interpret.autolog(output="probability", interactions=3)
    tree().fit(X, species)
    LinearRegression().fit(X, y)
    mlflow_interpret.flush()
    linear, classes = (run.info.run_id for run in all_runs())
    assert {"interactions.json", "interactions.png"} <= artifacts(classes)
    table = mlflow.artifacts.load_dict(f"runs:/{classes}/mlflow_interpret/interactions.json")
    assert len(table["data"]) == 3
    explanation = mlflow_interpret.load_explanation(classes)
    assert len(explanation.get_interactions()) == 3
    details = explanation._mlflow_interpret_record.details
    assert details.output_scale == "probability"
    details = mlflow_interpret.load_explanation(linear)._mlflow_interpret_record.details
    notes = " ".join(map(str, details.notes))
    assert "output='probability' does not apply to LinearRegression" in notes
    assert "The interactions are 0" in notes


def test_a_fit_without_a_run_makes_one_and_closes_it(store):
    mlflow_interpret.autolog()
    tree().fit(X, species)
    assert mlflow.active_run() is None
    (run,) = all_runs()
    assert run.info.run_id == mlflow.last_active_run().info.run_id
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.autologging"] == "mlflow_interpret"
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    assert run.data.tags["mlflow_interpret.method"] == "shap_tree"
    assert set(importances(run)) == {
        f"importance/{name.replace('(', '_').replace(')', '_')}" for name in X.columns
    }
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    assert explanation.id == run.data.tags["mlflow_interpret.explanation_id"]
    assert explanation.classes == ["setosa", "versicolor", "virginica"]
    assert explanation.features == list(X.columns)


def test_a_fit_in_a_users_run_logs_into_it_and_leaves_it_open(store):
    mlflow_interpret.autolog()
    with mlflow.start_run() as run:
        tree().fit(X, y)
        assert mlflow.active_run().info.run_id == run.info.run_id
    (run,) = all_runs()
    assert importances(run)
    assert "mlflow.autologging" not in run.data.tags


def test_nested_and_resumed_runs_get_their_own_explanations(store):
    mlflow_interpret.autolog()
    with mlflow.start_run() as parent, mlflow.start_run(nested=True) as child:
        tree().fit(X, y)
    client = MlflowClient()
    assert importances(client.get_run(child.info.run_id))
    assert not importances(client.get_run(parent.info.run_id))
    with mlflow.start_run(run_id=parent.info.run_id):
        LogisticRegression(max_iter=1000).fit(X, y)
    assert importances(client.get_run(parent.info.run_id))
    assert client.get_run(child.info.run_id).data.tags["mlflow_interpret.explanations"] == "1"


def test_several_fits_in_one_run_do_not_overwrite_each_other(store):
    mlflow_interpret.autolog()
    with mlflow.start_run() as run:
        tree().fit(X, y)
        first = importances(MlflowClient().get_run(run.info.run_id))
        LogisticRegression(max_iter=1000).fit(X[X.columns[:2]], y)
    run = MlflowClient().get_run(run.info.run_id)
    assert {name: value for name, value in run.data.metrics.items() if name in first} == first
    assert len([name for name in run.data.metrics if name.startswith("importance-2/")]) == 2
    ids = [run.data.tags[f"mlflow_interpret{n}.explanation_id"] for n in ("", "-2")]
    loaded = [mlflow_interpret.load_explanation(run.info.run_id, explanation_id=id_) for id_ in ids]
    assert [len(explanation.features) for explanation in loaded] == [4, 2]
    assert mlflow_interpret.load_explanation(run.info.run_id).id == ids[1]


def test_many_fits_in_one_run_stay_within_thirty_names_a_kind_and_fifty_tags(store):
    mlflow_interpret.autolog(silent=True)
    wide, labels = load_breast_cancer(return_X_y=True, as_frame=True)
    with mlflow.start_run() as run:
        for _ in range(7):
            tree().fit(wide, labels)
    run = MlflowClient().get_run(run.info.run_id)
    assert sum(name.startswith("importance_share") for name in run.data.metrics) == 30
    assert len(run.data.metrics) == 60
    assert len(run.data.tags) < 50
    assert run.data.tags["mlflow_interpret.explanations"] == "7"
    status = mlflow_store.status_of(run.info.run_id, store, 7)
    assert status["metrics"]["left_out"] == 30


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_is_explained_once_by_its_best_estimator(store, n_jobs):
    mlflow_interpret.autolog()
    search = GridSearchCV(tree(), {"max_depth": [1, 2, 3]}, cv=2, n_jobs=n_jobs).fit(X, species)
    (run,) = all_runs()
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    expected = mlflow_interpret.explain(search.best_estimator_, X)
    np.testing.assert_array_equal(
        explanation.global_importance_values, expected.global_importance_values
    )
    status = mlflow_store.status_of(run.info.run_id, store)
    assert status["model"] == {
        "fitted": "GridSearchCV",
        "explained": "GridSearchCV.best_estimator_",
        "estimator": "DecisionTreeClassifier",
    }


def test_a_pipeline_is_explained_by_its_raw_columns(store):
    mlflow_interpret.autolog()
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X, species)
    (run,) = all_runs()
    assert mlflow_interpret.load_explanation(run.info.run_id).features == list(X.columns)


def test_cross_validation_logs_nothing(store):
    mlflow_interpret.autolog()
    cross_val_score(tree(), X, y, cv=2)
    assert all_runs() == []


def test_fits_in_user_threads_explain_into_their_own_runs(store):
    mlflow_interpret.autolog()

    def train(depth):
        with mlflow.start_run(run_name=str(depth)) as run:
            DecisionTreeClassifier(max_depth=depth).fit(X, y)
            return run.info.run_id

    with ThreadPoolExecutor(3) as pool:
        ids = list(pool.map(train, [1, 2, 3]))
    assert len(all_runs()) == 3
    for run_id in ids:
        assert MlflowClient().get_run(run_id).data.tags["mlflow_interpret.explanations"] == "1"


@pytest.mark.parametrize("order", ["ours first", "theirs first", "both twice"])
@pytest.mark.parametrize("theirs", [mlflow.sklearn.autolog, mlflow.autolog])
def test_mlflow_autolog_logs_into_the_same_run(store, order, theirs):
    ours_on = lambda: mlflow_interpret.autolog()  # noqa: E731
    theirs_on = lambda: theirs(log_models=False, silent=True)  # noqa: E731
    calls = {
        "ours first": [ours_on, theirs_on],
        "theirs first": [theirs_on, ours_on],
        "both twice": [ours_on, theirs_on, ours_on, theirs_on],
    }
    for call in calls[order]:
        call()
    model = tree().fit(X, y)
    (run,) = all_runs()
    assert run.data.tags["mlflow.autologging"] == "sklearn"
    assert run.data.params["max_depth"] == "3"
    assert "training_accuracy_score" in run.data.metrics
    assert len(importances(run)) == 4
    inputs = run.inputs.dataset_inputs
    model.score(X, y)
    run = MlflowClient().get_run(run.info.run_id)
    assert any(name.startswith("DecisionTreeClassifier_score") for name in run.data.metrics)
    assert len(inputs) == 1


def test_mlflow_off_leaves_ours_on_and_the_other_way_round(store):
    mlflow_interpret.autolog()
    mlflow.sklearn.autolog(log_models=False)
    mlflow.sklearn.autolog(disable=True)
    tree().fit(X, y)
    (run,) = all_runs()
    assert importances(run)
    assert "max_depth" not in run.data.params
    mlflow.sklearn.autolog(log_models=False)
    mlflow_interpret.autolog(disable=True)
    tree().fit(X, y)
    run = mlflow.last_active_run()
    assert not importances(run)
    assert run.data.params["max_depth"] == "3"


def test_fits_and_predictions_while_explaining_are_not_recorded(store):
    mlflow.sklearn.autolog(log_models=False)
    mlflow_interpret.autolog()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X, y)
    before = mlflow.last_active_run()
    mlflow_interpret.explain(model, X)
    assert len(all_runs()) == 1
    after = MlflowClient().get_run(before.info.run_id)
    assert after.data.metrics == before.data.metrics
    assert len(after.inputs.dataset_inputs) == len(before.inputs.dataset_inputs)


def test_the_status_record_describes_the_explanation(store):
    mlflow_interpret.autolog(comment="first try", random_state=7, max_rows=50)
    tree().fit(X, y)
    (run,) = all_runs()
    status = mlflow_store.status_of(run.info.run_id, store)
    assert status["status"] == "complete"
    assert status["reason"] is None
    assert status["comment"] == "first try"
    assert status["method"] == "shap_tree"
    assert status["random_state"] == 7
    assert status["rows"] == {"source": "training rows", "available": 150, "explained": 50}
    assert status["output_scale"] == "probability"
    assert status["seconds"] >= 0
    assert status["versions"]["scikit-learn"]
    assert any("are training rows" in note for note in status["notes"])
    assert set(status["metrics"]["features"].values()) == set(X.columns)


def test_all_artifacts_are_there_and_readable(store):
    mlflow_interpret.autolog()
    tree().fit(X, species)
    assert mlflow_interpret.flush()
    (run,) = all_runs()
    assert artifacts(run.info.run_id) == {
        "status.json",
        "explanation.json",
        "global_importances.json",
        "per_class_importances.json",
        "global_importances.png",
        "beeswarm.png",
        "per_class_importances.png",
        "report.html",
        "local_importances.parquet",
        "evaluation_rows.parquet",
        "predictions.parquet",
    }
    path = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="mlflow_interpret/global_importances.json"
    )
    table = pd.read_json(path, orient="split")
    values = mlflow_interpret.load_explanation(run.info.run_id).get_feature_importance_dict()
    assert dict(zip(table["feature"], table["importance"])) == pytest.approx(values, rel=1e-3)
    assert list(table["importance"]) == sorted(table["importance"], reverse=True)


def test_figures_can_be_left_out(store):
    mlflow_interpret.autolog(log_figures=False)
    tree().fit(X, y)
    mlflow_interpret.autolog(log_report=False)
    tree().fit(X, y)
    assert mlflow_interpret.flush()
    without_report, without_figures = all_runs()
    drawn = {"global_importances.png", "beeswarm.png", "report.html"}
    assert artifacts(without_figures.info.run_id) & drawn == {"report.html"}
    assert artifacts(without_report.info.run_id) & drawn == {
        "global_importances.png",
        "beeswarm.png",
    }


def test_top_k_bounds_the_metrics_and_the_table_stays_complete(store):
    mlflow_interpret.autolog(top_k=2)
    tree().fit(X, y)
    (run,) = all_runs()
    assert len(importances(run)) == 2
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    assert len(explanation.get_feature_importance_dict()) == 4
    best = explanation.get_ranked_global_names()[:2]
    status = mlflow_store.status_of(run.info.run_id, store)
    assert list(status["metrics"]["features"].values()) == best
    assert status["metrics"]["left_out"] == 2


def test_held_out_rows_and_their_labels_are_explained(store):
    mlflow_interpret.autolog(evaluation_examples=(X[100:], species[100:]))
    tree().fit(X[:100], species[:100])
    (run,) = all_runs()
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    np.testing.assert_array_equal(explanation.eval_data, X[100:].to_numpy())
    status = mlflow_store.status_of(run.info.run_id, store)
    assert status["rows"]["source"] == "evaluation_examples"
    record = mlflow_store.load(run.info.run_id, None, store)
    assert list(record.true_labels) == list(species[100:])


def test_names_of_features_and_classes_can_be_given(store):
    mlflow_interpret.autolog(features=["a", "b", "c", "d"], classes=["x", "y", "z"])
    tree().fit(X.to_numpy(), y)
    explanation = mlflow_interpret.load_explanation(mlflow.last_active_run().info.run_id)
    assert explanation.features == ["a", "b", "c", "d"]
    assert explanation.classes == ["x", "y", "z"]


def test_exclusive_logs_nothing_to_runs_of_the_user(store):
    mlflow_interpret.autolog(exclusive=True)
    with mlflow.start_run():
        tree().fit(X, y)
    (run,) = all_runs()
    assert not run.data.metrics
    mlflow.sklearn.autolog(log_models=False)
    tree().fit(X, y)
    assert importances(mlflow.last_active_run())


def test_exclusive_creates_a_run_if_none_is_active(store):
    mlflow_interpret.autolog(exclusive=True)
    tree().fit(X, y)
    (run,) = all_runs()
    assert importances(run)


def test_extra_tags_are_on_new_runs(store):
    mlflow_interpret.autolog(extra_tags={"team": "pricing"})
    tree().fit(X, y)
    (run,) = all_runs()
    assert run.data.tags["team"] == "pricing"


def test_a_run_that_the_launcher_names_is_used_and_left_open(store, monkeypatch):
    run = MlflowClient().create_run(mlflow.get_experiment_by_name("test").experiment_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    mlflow_interpret.autolog()
    tree().fit(X, y)
    assert os.environ["MLFLOW_RUN_ID"] == run.info.run_id
    run = MlflowClient().get_run(run.info.run_id)
    assert importances(run)
    assert run.info.status == "RUNNING"


def test_one_line_is_logged_and_none_when_silent(store, caplog):
    caplog.set_level(logging.INFO, "mlflow_interpret")
    mlflow_interpret.autolog()
    tree().fit(X, y)
    (record,) = [record for record in caplog.records if record.name.startswith("mlflow_interpret")]
    assert "Explained DecisionTreeClassifier" in record.getMessage()
    assert mlflow.last_active_run().info.run_id in record.getMessage()
    caplog.clear()
    mlflow_interpret.autolog(silent=True)
    tree().fit(X, y)
    Unpredictable().fit(X, y)
    assert [record for record in caplog.records if record.name.startswith("mlflow_interpret")] == []


SCRIPT = """
import mlflow, sys
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("test")
import mlflow_interpret
from mlflow_interpret import ExplanationNotFoundError
mlflow_interpret.autolog(silent=sys.argv[2] == "silent")
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier
X, y = load_iris(return_X_y=True, as_frame=True)
KNeighborsClassifier().fit(X, y)
"""


@pytest.mark.parametrize(("mode", "lines"), [("loud", 1), ("silent", 0)])
def test_a_script_prints_nothing_else_and_writes_nothing_here(store, tmp_path, mode, lines):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_AUTOLOGGING_TESTING"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, store, mode],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == lines, done.stderr
    assert list(folder.iterdir()) == []
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.method"] == "shap_permutation"


def test_global_state_is_left_as_it_was(store):
    np.random.seed(3)
    random.seed(3)
    states = np.random.get_state(), random.getstate()
    filters, environment = list(warnings.filters), dict(os.environ)
    mlflow_interpret.autolog()
    LogisticRegression(max_iter=1000).fit(X, y)
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    np.testing.assert_equal(np.random.get_state(), states[0])
    assert random.getstate() == states[1]
    assert warnings.filters == filters
    assert dict(os.environ) == environment
    assert list(Path.cwd().iterdir()) == []


def test_the_users_warnings_still_reach_the_user(store):
    mlflow_interpret.autolog()
    with pytest.warns(UserWarning, match="converge|Convergence"):
        LogisticRegression(max_iter=1).fit(X, y)


def test_the_same_seed_gives_the_same_explanation(store):
    data, target = load_diabetes(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), LinearRegression())
    results = []
    for _ in range(2):
        mlflow_interpret.autolog(random_state=5, max_rows=3)
        model.fit(data, target)
        loaded = mlflow_interpret.load_explanation(mlflow.last_active_run().info.run_id)
        results.append(loaded.local_importance_values)
    np.testing.assert_array_equal(*results)


class Unpredictable(RegressorMixin, BaseEstimator):
    """Fits, and cannot predict."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        raise RuntimeError("no prediction today")


class Interrupted(Unpredictable):
    def predict(self, X):
        raise KeyboardInterrupt


def test_a_model_that_cannot_be_explained_is_skipped_with_the_reason(store, caplog):
    mlflow_interpret.autolog()
    model = Unpredictable()
    assert model.fit(X, y) is model
    (run,) = all_runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow_interpret.status"] == "skipped"
    status = mlflow_store.status_of(run.info.run_id, store)
    assert "no prediction today" in status["reason"]
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1
    with pytest.raises(mlflow_interpret.ExplanationNotFoundError, match="no prediction today"):
        mlflow_interpret.load_explanation(run.info.run_id)


def test_control_c_while_explaining_keeps_the_model_and_the_run(store):
    mlflow_interpret.autolog()
    mlflow.sklearn.autolog(log_models=False)
    model = Interrupted().fit(X, y)
    assert model.fitted_
    (run,) = all_runs()
    assert run.info.status == "FINISHED"
    assert "Ctrl-C" in mlflow_store.status_of(run.info.run_id, store)["reason"]


def test_a_fit_that_raises_leaves_no_run_and_no_explanation(store):
    mlflow_interpret.autolog()
    with pytest.raises(ValueError, match="NaN"):
        LogisticRegression().fit(X.mask(X > 3), y)
    assert all_runs() == []
    with pytest.raises(ValueError, match="NaN"), mlflow.start_run():
        LogisticRegression().fit(X.mask(X > 3), y)
    (run,) = all_runs()
    assert run.info.status == "FAILED"
    assert run.data.tags.get("mlflow_interpret.status") is None


def test_rows_with_other_columns_are_one_warning_with_their_names(store, caplog):
    mlflow_interpret.autolog(evaluation_examples=X.rename(columns={"petal width (cm)": "width"}))
    tree().fit(X, y)
    (run,) = all_runs()
    reason = mlflow_store.status_of(run.info.run_id, store)["reason"]
    assert "'petal width (cm)'" in reason
    assert "'width'" in reason
    assert run.data.tags["mlflow_interpret.status"] == "skipped"
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1


ODD_TABLES = {
    "no names": X.to_numpy(),
    "integer names": X.set_axis([3, 1, 4, 15], axis=1).to_numpy(),
    "tuples": X.set_axis(pd.MultiIndex.from_product([["a", "b"], ["c", "d"]]), axis=1).to_numpy(),
    "one feature": X[["petal width (cm)"]],
    "lists": X.to_numpy().tolist(),
    "hostile names": X.set_axis(["<script>alert(1)</script>", "../x", "", "é" * 5000], axis=1),
}


@pytest.mark.parametrize("table", ODD_TABLES.values(), ids=ODD_TABLES.keys())
def test_odd_tables_are_explained(store, table):
    mlflow_interpret.autolog()
    tree().fit(table, y)
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    width = np.asarray(table).shape[1]
    assert len(set(explanation.features)) == width
    assert len(importances(run)) == width


def test_one_row_is_explained(store):
    mlflow_interpret.autolog()
    RandomForestRegressor(2).fit(X[:1], y[:1])
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    assert "All importances are 0" in " ".join(
        mlflow_store.status_of(run.info.run_id, store)["notes"]
    )


@pytest.mark.parametrize("kind", ["importance", "share"])
def test_the_kinds_of_metrics_are_an_option(store, kind):
    mlflow_interpret.autolog(metrics=kind)
    tree().fit(X, y)
    (run,) = all_runs()
    groups = {name.partition("/")[0] for name in run.data.metrics}
    assert groups == {"importance" if kind == "importance" else "importance_share"}


def test_repeated_calls_change_nothing_but_the_options(store):
    mlflow_interpret.autolog(top_k=1)
    mlflow_interpret.autolog(top_k=3)
    tree().fit(X, y)
    (run,) = all_runs()
    assert len(importances(run)) == 3
    assert run.data.tags["mlflow_interpret.explanations"] == "1"


def test_disable_undoes(store):
    mlflow_interpret.autolog()
    mlflow_interpret.autolog(disable=True)
    tree().fit(X, y)
    assert all_runs() == []


def test_wrong_options_raise_at_once_and_change_nothing(store):
    mlflow_interpret.autolog(top_k=2)
    with pytest.raises(mlflow_interpret.OptionError, match="max_rows must be .* got 0"):
        mlflow_interpret.autolog(max_rows=0)
    tree().fit(X, y)
    assert len(importances(mlflow.last_active_run())) == 2


def test_untested_versions_are_named_and_can_switch_us_off(store, caplog, monkeypatch):
    from mlflow_interpret.runtime import versions

    monkeypatch.setattr(versions.metadata, "requires", lambda name: ["numpy<1", "click>=1"])
    mlflow_interpret.autolog(disable_for_unsupported_versions=True)
    assert "numpy" in caplog.text
    assert "click" not in caplog.text
    tree().fit(X, y)
    assert all_runs() == []
    mlflow_interpret.autolog()
    tree().fit(X, y)
    assert len(all_runs()) == 1


def test_a_server_that_does_not_answer_is_one_warning_and_loses_nothing(store, caplog, tmp_path):
    mlflow_interpret.autolog()
    with mlflow.start_run() as run:
        mlflow.set_tracking_uri("http://user:hunter2@127.0.0.1:9")  # nothing listens there
        model = tree().fit(X, y)
        mlflow.set_tracking_uri(store)
    assert model.tree_.node_count > 1
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    (kept,) = spool.folders()
    assert str(kept) in warning
    assert "mlflow-interpret flush" in warning
    assert "hunter2" not in warning + "".join(
        path.read_text(errors="replace") for path in kept.iterdir()
    )
    entry = json.loads((kept / "entry.json").read_text())
    assert entry["run_id"] == run.info.run_id


def test_logging_that_fails_half_way_keeps_the_explanation(store, monkeypatch, caplog, tmp_path):
    mlflow_interpret.autolog()
    (tmp_path / "artifacts").write_text("a file where the store wants a folder")
    with mlflow.start_run():
        tree().fit(X, y)
    assert len(spool.folders()) == 1
    assert "could not be logged" in caplog.text


def test_bugs_of_this_package_are_raised_in_mlflows_test_mode_only(store, monkeypatch, caplog):
    from mlflow_interpret.explaining import explain

    def broken(*args):
        raise AssertionError("a bug")

    monkeypatch.setattr(explain, "explain", broken)
    mlflow_interpret.autolog()
    tree().fit(X, y)
    assert mlflow_store.status_of(mlflow.last_active_run().info.run_id, store)["reason"] == (
        "AssertionError: a bug"
    )
    monkeypatch.setattr("mlflow_interpret.autologging.explain_fit.current_run_context", broken)
    with pytest.raises(AssertionError, match="a bug"):
        tree().fit(X, y)
    monkeypatch.setenv("MLFLOW_AUTOLOGGING_TESTING", "false")
    tree().fit(X, y)
    assert "a bug" in caplog.text


def test_random_forests_of_any_label_type(store):
    mlflow_interpret.autolog()
    for labels in (species, y * 10, y == 1, y.astype("category")):
        RandomForestClassifier(3, max_depth=2).fit(X, labels)
        run = mlflow.last_active_run()
        explanation = mlflow_interpret.load_explanation(run.info.run_id)
        assert explanation.classes == list(np.unique(labels))


def test_rows_changed_in_place_are_a_reason_not_to_explain(store):
    mlflow_interpret.autolog()
    rows = X.to_numpy().copy()
    make_pipeline(StandardScaler(copy=False), LinearRegression()).fit(rows, y)
    run = mlflow.last_active_run()
    assert "copy=False" in mlflow_store.status_of(run.info.run_id, store)["reason"]


def test_a_users_class_and_mlflow_log_into_one_run(store):
    class Own(LinearRegression):
        def fit(self, X, y):
            return super().fit(X, y)

    mlflow_interpret.autolog()
    mlflow.sklearn.autolog(log_models=False)
    Own().fit(X, y)
    (run,) = all_runs()
    assert importances(run)
    assert run.data.params["fit_intercept"] == "True"
    Own().fit(X, y)
    assert len(all_runs()) == 2


def test_no_rows_of_data_are_logged_without_log_data(store, tmp_path):
    planted = X.assign(secret=np.arange(len(X)) + 987654.321)
    mlflow_interpret.autolog(log_data=False)
    RandomForestClassifier(3, random_state=0).fit(planted, y)
    assert mlflow_interpret.flush()
    (run,) = all_runs()
    assert artifacts(run.info.run_id) == {
        "status.json",
        "explanation.json",
        "global_importances.json",
        "per_class_importances.json",
        "global_importances.png",
        "per_class_importances.png",
        "report.html",
    }
    for pattern in ("*.json", "*.html"):
        for path in (tmp_path / "artifacts").rglob(pattern):
            assert "9876" not in path.read_text(encoding="utf-8")
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    assert len(explanation.get_feature_importance_dict()) == 5


def test_a_closed_standard_error_does_not_break_fit(store, monkeypatch):
    import io

    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    mlflow_interpret.autolog()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        assert tree().fit(X, y).tree_ is not None


def test_an_unwritable_spool_is_named_beside_the_server(store, monkeypatch, caplog, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("MLFLOW_INTERPRET_SPOOL", str(file / "spool"))
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    mlflow_interpret.autolog()
    tree().fit(X, y)
    mlflow.set_tracking_uri(store)
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "http://127.0.0.1:9" in warning
    assert "MLFLOW_INTERPRET_SPOOL" in warning


def test_the_scale_is_a_tag(store):
    mlflow_interpret.autolog()
    LogisticRegression(max_iter=1000).fit(X, y)
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.scale"] == "log-odds"


BOOSTERS = {
    "xgboost": ("XGBClassifier", {"n_estimators": 3, "n_jobs": 1}, "validation_0-logloss"),
    "lightgbm": (
        "LGBMClassifier",
        {"n_estimators": 3, "n_jobs": 1, "verbose": -1},
        "training-binary_logloss",
    ),
}


@pytest.fixture(params=BOOSTERS)
def booster(request):
    """A function that fits one, its MLflow flavor and a metric that MLflow logs of it."""
    package = pytest.importorskip(request.param)
    name, settings, metric = BOOSTERS[request.param]

    def fit():
        labels = (y == 1).astype(int)
        return getattr(package, name)(**settings).fit(X, labels, eval_set=[(X, labels)])

    yield fit, getattr(mlflow, request.param), metric
    for flavor in BOOSTERS:
        if flavor in sys.modules:
            getattr(mlflow, flavor).autolog(disable=True)
        AUTOLOGGING_INTEGRATIONS.get(flavor, {}).clear()


@pytest.mark.parametrize(
    "calls",
    [("ours", "flavor"), ("flavor", "ours"), ("ours", "flavor", "ours", "flavor"),
     ("ours", "all"), ("all", "ours"), ("sklearn", "ours", "flavor")],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_mlflows_autologging_of_boosters_logs_into_the_same_run(store, booster, calls):
    fit, flavor, metric = booster
    switch = {
        "ours": lambda: mlflow_interpret.autolog(max_rows=2, log_figures=False),
        "flavor": lambda: flavor.autolog(log_models=False),
        "sklearn": lambda: mlflow.sklearn.autolog(log_models=False),
        "all": lambda: mlflow.autolog(log_models=False, silent=True),
    }
    for call in calls:
        switch[call]()
    fit()
    (run,) = all_runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.autologging"] == flavor.FLAVOR_NAME
    assert run.data.tags["mlflow_interpret.explanations"] == "1"
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    assert run.data.params["learning_rate"]
    assert metric in run.data.metrics
    flavor.autolog(disable=True)
    fit()
    later, _ = all_runs()
    assert later.data.tags["mlflow_interpret.status"] == "complete"
    assert metric not in later.data.metrics


def test_catboost_is_explained(store):
    catboost = pytest.importorskip("catboost")
    mlflow_interpret.autolog(max_rows=2)
    catboost.CatBoostRegressor(iterations=3, verbose=False, allow_writing_files=False).fit(X, y)
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    assert len(importances(run)) == 4


@pytest.mark.parametrize("model", [KMeans(2, n_init=1), make_pipeline(KMeans(2, n_init=1))])
def test_a_clusterer_is_noted_in_the_active_run_and_once_in_the_log(
    store, caplog, monkeypatch, model
):
    monkeypatch.setattr("mlflow_interpret.runtime.messages._informed", set())
    caplog.set_level(logging.INFO, "mlflow_interpret")
    mlflow_interpret.autolog()
    model.fit(X)
    assert all_runs() == []
    with mlflow.start_run():
        model.fit(X)
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "skipped"
    assert not run.data.metrics
    reason = run.data.tags["mlflow_interpret.reason"]
    assert reason.startswith("KMeans is a clusterer; it predicts no target")
    with pytest.raises(ExplanationNotFoundError, match="is a clusterer"):
        mlflow_interpret.load_explanation(run.info.run_id)
    (record,) = [r for r in caplog.records if r.name.startswith("mlflow_interpret")]
    assert record.levelno == logging.INFO
    assert reason in record.getMessage()
    mlflow_interpret.autolog(exclusive=True)
    with mlflow.start_run() as untouched:
        model.fit(X)
    assert "mlflow_interpret.status" not in MlflowClient().get_run(untouched.info.run_id).data.tags


def test_fits_that_are_not_explained_are_noted_once(store, caplog, monkeypatch, notes_sent):
    monkeypatch.setattr("mlflow_interpret.runtime.messages._informed", set())
    caplog.set_level(logging.INFO, "mlflow_interpret")
    mlflow_interpret.autolog()
    with mlflow.start_run() as run:
        for _ in range(3):
            NearestNeighbors().fit(X)
    for _ in range(2):
        cross_val_score(tree(), X, y, cv=2)
    assert len(notes_sent) == 1
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert tags["mlflow_interpret.status"] == "skipped"
    assert tags["mlflow_interpret.reason"].startswith("NearestNeighbors has no predict")
    assert [r.getMessage().split()[0] for r in caplog.records if r.name == "mlflow_interpret"] == [
        "NearestNeighbors",
        "cross_val_score",
    ]
    assert len(all_runs()) == 1
    mlflow_interpret.autolog(silent=True)
    with mlflow.start_run() as run:
        cross_val_score(tree(), X, y, cv=2)
        tree().fit(X, y)
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert tags["mlflow_interpret.status"] == "complete"
    assert "mlflow_interpret.reason" not in tags


@pytest.mark.parametrize("name", ["LocalOutlierFactor", "IsolationForest", "LDA"])
def test_other_methods_that_train_are_explained_once(store, name):
    mlflow_interpret.autolog(max_rows=5, log_figures=False)
    {
        "LocalOutlierFactor": LocalOutlierFactor().fit_predict,
        "IsolationForest": IsolationForest(n_estimators=3).fit_predict,
        "LDA": LinearDiscriminantAnalysis().fit_transform,
    }[name](X, y)
    (run,) = all_runs()
    expected = "skipped" if name == "LocalOutlierFactor" else "complete"
    assert run.data.tags["mlflow_interpret.status"] == expected


def test_a_clusterer_leaves_the_first_folder_to_the_model(store):
    mlflow_interpret.autolog(max_rows=3)
    with mlflow.start_run():
        KMeans(2, n_init=1).fit(X)
        LinearRegression().fit(X, y)
        KMeans(2, n_init=1).fit(X)
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    assert run.data.tags["mlflow_interpret.explanations"] == "1"
    assert "mlflow_interpret.reason" not in run.data.tags
    assert len(importances(run)) == X.shape[1]


def test_an_outlier_detector_is_explained(store):
    mlflow_interpret.autolog(max_rows=5)
    IsolationForest(n_estimators=5, random_state=0).fit(X)
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    assert run.data.tags["mlflow_interpret.scale"] == "average path length"


def test_several_targets_are_explained_under_their_names(store):
    mlflow_interpret.autolog(max_rows=5)
    Y = pd.DataFrame({"up": y, "down": -2 * np.asarray(y)})
    RandomForestRegressor(3, max_depth=3, random_state=0).fit(X, Y)
    (run,) = all_runs()
    assert len(importances(run)) == X.shape[1]
    found = mlflow_interpret.load_explanation(run.info.run_id)
    assert found.classes == ["up", "down"]
    up, down = np.array(found.per_class_values)
    np.testing.assert_allclose(down, 2 * up, rtol=1e-6)


@pytest.mark.interpret
def test_the_kernel_explainer_can_be_requested(store):
    mlflow_interpret.autolog(max_rows=2, engine="kernel")
    LinearRegression().fit(X, y)
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.method"] == "shap_kernel"


@pytest.mark.interpret
def test_values_that_do_not_add_up_are_a_warning(store, caplog):
    class Moody(RegressorMixin, BaseEstimator):
        """Predicts something else each time."""

        def fit(self, X, y):
            self.draw_ = np.random.default_rng(0)
            return self

        def predict(self, X):
            return np.asarray(X)[:, 0] + self.draw_.normal(size=len(X))

    mlflow_interpret.autolog(max_rows=3, engine="kernel")
    Moody().fit(X, y)
    (run,) = all_runs()
    (warning,) = [
        record.getMessage()
        for record in caplog.records
        if record.name == "mlflow_interpret" and record.levelno == logging.WARNING
    ]
    assert "miss the model's output" in warning
    assert run.info.run_id in warning
    status = mlflow_store.status_of(run.info.run_id, store)
    assert status["additivity_breach"] in warning
    assert status["additivity_error"] > 0


def test_classes_of_the_option_estimators_are_explained(store):
    class Elsewhere:
        def fit(self, X, y):
            self.inner_ = LinearRegression()
            return self

        def predict(self, X):
            return np.zeros(len(X))

    mlflow_interpret.autolog(max_rows=2)
    Elsewhere().fit(X, y)
    assert all_runs() == []
    mlflow_interpret.autolog(max_rows=2, estimators=[Elsewhere])
    Elsewhere().fit(X, y)
    (run,) = all_runs()
    assert "mlflow_interpret.status" in run.data.tags
    mlflow_interpret.autolog()
    Elsewhere().fit(X, y)
    assert len(all_runs()) == 1


def test_fits_in_a_model_s_own_threads_neither_wait_nor_get_runs(store):
    class Lazy(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.mean_ = float(np.mean(y))
            return self

        def predict(self, X):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(LinearRegression().fit, [[0.0], [1.0]], [0, 1]).result()
            return np.full(len(X), self.mean_)

    mlflow_interpret.autolog(max_rows=1)
    assert Lazy().fit(X[:5], y[:5]).mean_ == 0
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "complete"


@pytest.mark.parametrize(("seconds", "budget"), [(0.1, 2.0), (200.0, 20.0), (10_000.0, 60.0)])
def test_the_default_time_budget_is_a_share_of_the_fit(seconds, budget, monkeypatch):
    monkeypatch.setattr(explain_fit, "default_budget", default_budget)
    event = FitEvent(None, None, None, seconds=seconds)
    assert explain_fit._plan(Options(time_budget="auto"), event).time_budget == budget
    assert explain_fit._plan(Options(time_budget=7.0), event).time_budget == 7.0
    assert explain_fit._plan(Options(time_budget=None), event).time_budget is None


def test_rows_jobs_and_budget_follow_the_options(store):
    mlflow_interpret.autolog(max_rows=30, n_jobs=1, time_budget=600, random_state=4)
    with mlflow.start_run() as run:
        DecisionTreeClassifier(max_depth=2).fit(*load_iris(return_X_y=True))
    status = mlflow_store.status_of(run.info.run_id, store)
    assert status["rows"]["explained"] == 30
    assert status["time_budget"] == 600
    assert (status["stopped"], status["partial"]) == ("max_rows", False)
    assert len(status["intervals"]["of"]) == 4


def test_fits_beyond_the_shared_budget_are_partial_with_one_warning(store, monkeypatch, caplog):
    def cut(context, plan):
        explanation = explain_module.explain_inputs(
            explain_module.draw_inputs(context, plan), replace(plan, time_budget=None)
        )
        changes = {"time_budget": plan.time_budget, "stopped": "time_budget", "partial": True}
        return with_details(explanation, changes)

    caplog.set_level(logging.INFO, "mlflow_interpret")
    monkeypatch.setattr(explain_module, "explain", cut)
    monkeypatch.setattr(explain_fit, "default_budget", default_budget)
    monkeypatch.setattr(explain_fit, "_shared_budget", SharedBudget(lambda: 0.0))
    monkeypatch.setattr(messages, "_informed", set())
    mlflow_interpret.autolog(log_figures=False, log_report=False)
    notes = {}
    for _ in range(3):
        with mlflow.start_run() as run:
            tree().fit(X, y)
        status = mlflow_store.status_of(run.info.run_id, store)
        notes[run.info.run_id] = [note for note in status["notes"] if "share one time" in note]
    assert [len(found) for found in notes.values()] == [0, 1, 1]
    lines = [r for r in caplog.records if "before the time budget" in r.getMessage()]
    assert [line.levelno for line in lines] == [logging.WARNING, logging.WARNING, logging.INFO]
    assert "before the time budget of 2 s" in lines[0].getMessage()
    assert "before the time budget of 0.5 s" in lines[1].getMessage()
    assert "a number of seconds as time_budget is a budget for each" in lines[1].getMessage()
