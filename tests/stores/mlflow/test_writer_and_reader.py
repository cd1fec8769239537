"""Explanations in MLflow runs: numbers, requests, status and errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from logged_explanations import explanation, log
from mlflow_interpret.core.errors import ExplanationNotFoundError, RunNotFoundError
from mlflow_interpret.runtime.progress import nothing
from mlflow_interpret.stores import base
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.mlflow import artifacts, layout
from mlflow_interpret.stores.mlflow.importances import Named, load_importances


@pytest.fixture
def run_id(store):
    with mlflow.start_run() as run:
        pass
    return run.info.run_id


@pytest.fixture
def limited(store):
    """The store, as if its server had the limits of Azure ML."""

    @base.register_store
    class LimitedServer(base.Store):
        name = title = "limited"
        scheme = "sqlite"
        limits = base.store_named("azureml").limits

        def accepts(self, options, tracking_uri):
            return False

        def put(self, explanation, folder, run):
            raise AssertionError("it accepts no explanation")

    yield store
    base.unregister_store("limited")


def test_a_logged_explanation_is_loaded(store, run_id):
    record = explanation()
    logged = log(record, run_id, store, comment="hello")
    assert logged.folder == "mlflow_interpret"
    loaded = mlflow_store.load(run_id, None, store)
    np.testing.assert_array_equal(loaded.local_values, record.local_values)
    np.testing.assert_array_equal(loaded.global_values, record.global_values)
    assert loaded.features == record.features
    assert mlflow_store.status_of(run_id, store)["comment"] == "hello"


@pytest.mark.parametrize("n_features", [2, 400])
def test_the_number_of_requests_is_the_same_for_any_number_of_features(
    store, run_id, monkeypatch, n_features
):
    calls = []
    for name in (
        "get_run",
        "log_batch",
        "log_metric",
        "set_tag",
        "log_artifacts",
        "log_artifact",
        "log_dict",
    ):
        original = getattr(MlflowClient, name)
        monkeypatch.setattr(
            MlflowClient,
            name,
            lambda self, *args, _name=name, _original=original, **kwargs: (
                calls.append(_name),
                _original(self, *args, **kwargs),
            )[1],
        )
    log(explanation(n_features), run_id, store, figures=True)
    # The first file has the id of the explanation, by which the folder is found again.
    assert calls == ["get_run", "log_artifact", "log_artifacts", "get_run", "log_batch"]


def test_explanations_of_a_run_are_numbered(store, run_id):
    records = [explanation(n) for n in (2, 3, 4)]
    folders = [log(record, run_id, store).folder for record in records]
    assert folders == ["mlflow_interpret", "mlflow_interpret-2", "mlflow_interpret-3"]
    assert mlflow_store.load(run_id, None, store).id == records[2].id
    assert mlflow_store.load(run_id, records[0].id, store).id == records[0].id
    tags = mlflow.get_run(run_id).data.tags
    assert tags["mlflow_interpret.explanation_id"] == records[0].id
    assert tags["mlflow_interpret-3.explanation_id"] == records[2].id


def test_a_later_skipped_fit_does_not_hide_an_explanation(store, run_id):
    record = explanation()
    log(record, run_id, store)
    mlflow_store.log_skipped(run_id, store, "no prediction", {"model": {"fitted": "Odd"}})
    assert mlflow_store.load(run_id, None, store).id == record.id
    assert mlflow_store.status_of(run_id, store)["reason"] == "no prediction"
    assert mlflow_store.status_of(run_id, store, 1)["status"] == "complete"


def test_a_later_status_replaces_the_first(store, run_id):
    logged = log(explanation(), run_id, store, state="pending")
    assert mlflow.get_run(run_id).data.tags["mlflow_interpret.status"] == "pending"
    mlflow_store.update_status(logged, "failed", "too slow", {"azureml": {"state": "failed"}})
    status = mlflow_store.status_of(run_id, store)
    assert (status["status"], status["reason"]) == ("failed", "too slow")
    assert status["method"] == "shap_tree"
    assert mlflow.get_run(run_id).data.tags["mlflow_interpret.status"] == "failed"


def test_a_server_that_does_not_overwrite_gets_a_second_record(limited, run_id, monkeypatch):
    store = limited
    logged = log(explanation(), run_id, store, state="pending")
    original = MlflowClient.log_artifact

    def write_once(self, run_id, local_path, artifact_path=None):
        if Path(local_path).name == mlflow_store.STATUS:
            raise MlflowException("Resource Conflict: it already exists")
        return original(self, run_id, local_path, artifact_path)

    monkeypatch.setattr(MlflowClient, "log_artifact", write_once)
    mlflow_store.update_status(logged, "complete", None, {})
    assert mlflow_store.status_of(run_id, store)["status"] == "complete"


def test_a_missing_run_and_a_run_without_explanation_raise_different_errors(store, run_id):
    with pytest.raises(RunNotFoundError, match="does not exist.*set_tracking_uri"):
        mlflow_store.load("0" * 32, None, store)
    with pytest.raises(RunNotFoundError, match="does not exist"):
        mlflow_store.load("not an id/..", None, store)
    with pytest.raises(ExplanationNotFoundError, match="holds no explanation.*autolog"):
        mlflow_store.load(run_id, None, store)
    log(explanation(), run_id, store)
    with pytest.raises(ExplanationNotFoundError, match="'other'.*leave explanation_id out"):
        mlflow_store.load(run_id, "other", store)


def test_hostile_names_leave_no_trace_in_paths_and_metric_names(store, run_id):
    names = ("../../etc/passwd", "<script>alert(1)</script>", "a/b:c", "\x00\n", "é" * 9000)
    log(explanation(5, features=names), run_id, store, figures=True)
    run = mlflow.get_run(run_id)
    status = mlflow_store.status_of(run_id, store)
    features, shares = (status["metrics"][kind] for kind in ("features", "shares"))
    assert set(features.values()) == set(shares.values()) == set(names)
    assert {*features, *shares} == set(run.data.metrics)
    assert all(":" not in name and ".." not in name for name in run.data.metrics)
    paths = [file.path for file in MlflowClient().list_artifacts(run_id, "mlflow_interpret")]
    assert all(path.isascii() and path.count("/") == 1 for path in paths)
    assert mlflow_store.load(run_id, None, store).features == names


def test_stored_json_is_strict_and_nothing_is_pickled(store, run_id, tmp_path):
    record = explanation(3, global_values=np.array([np.nan, np.inf, 1.0]))
    log(record, run_id, store)
    folder = next((tmp_path / "artifacts").rglob("mlflow_interpret"))
    assert {path.suffix for path in folder.iterdir()} == {".json", ".parquet", ".html"}
    for path in folder.glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    np.testing.assert_array_equal(
        mlflow_store.load(run_id, None, store).global_values, record.global_values
    )


def test_the_limit_of_azure_ml_counts_the_users_metrics(limited, run_id):
    store = limited
    with mlflow.start_run(run_id=run_id):
        mlflow.log_metrics({f"mine {i}": i for i in range(45)})
    log(explanation(20), run_id, store)
    assert len(mlflow.get_run(run_id).data.metrics) == 50


def test_missing_artifacts_are_the_reason_in_the_error(store, run_id, tmp_path):
    log(explanation(), run_id, store)
    shutil.rmtree(tmp_path / "artifacts")
    with pytest.raises(ExplanationNotFoundError, match="artifacts are missing"):
        mlflow_store.load(run_id, None, store)


def test_an_engineered_view_is_found_by_its_id(store, run_id):
    engineered = explanation(5, is_engineered=True)
    log(explanation(is_raw=True, engineered=engineered), run_id, store)
    assert mlflow_store.load(run_id, None, store).is_raw
    found = mlflow_store.load(run_id, engineered.id, store)
    assert found.is_engineered
    np.testing.assert_array_equal(found.local_values, engineered.local_values)


class TestTable:
    """The table that MLflow's UI compares across runs."""

    def test_mlflow_reads_it_as_its_own_for_all_runs(self, store):
        ids = []
        for n_features in (3, 4):
            with mlflow.start_run() as run:
                mlflow.log_table({"a": [1]}, "theirs.json")
                log(explanation(n_features), run.info.run_id, store)
            ids.append(run.info.run_id)
        table = mlflow.load_table("mlflow_interpret/global_importances.json", ids, ["run_id"])
        assert list(table)[:3] == ["feature", "share", "importance"]
        assert table.groupby("run_id").size().to_dict() == dict(zip(ids, (3, 4), strict=True))
        assert len(mlflow.load_table("theirs.json", ids)) == 2

    def test_mlflow_adds_its_tables_to_ours(self, store, run_id):
        log(explanation(), run_id, store)
        MlflowClient().log_table(run_id, {"a": [1]}, "theirs.json")
        log(explanation(), run_id, store)
        named = json.loads(MlflowClient().get_run(run_id).data.tags["mlflow.loggedArtifacts"])
        assert [table["path"] for table in named] == [
            "mlflow_interpret/global_importances.json",
            "theirs.json",
            "mlflow_interpret-2/global_importances.json",
        ]

    def test_the_tag_does_not_grow_without_end(self, store, run_id):
        for _ in range(7):
            log(explanation(), run_id, store)
        named = json.loads(MlflowClient().get_run(run_id).data.tags["mlflow.loggedArtifacts"])
        assert len(named) == 5

    @pytest.mark.parametrize("theirs", [json.dumps(["x" * 4990]), "no list", "3"])
    def test_an_unknown_value_of_the_tag_is_unchanged(self, store, run_id, theirs):
        MlflowClient().set_tag(run_id, "mlflow.loggedArtifacts", theirs)
        log(explanation(), run_id, store)
        after = MlflowClient().get_run(run_id).data.tags["mlflow.loggedArtifacts"]
        assert after == theirs


def test_artifacts_of_an_interrupted_log_are_not_overwritten(store, run_id):
    """Like after the end of a process between the artifacts and the tags."""
    client, record = MlflowClient(), explanation()
    client.log_text(run_id, "{}", "mlflow_interpret/explanation.json")
    assert log(record, run_id, store).folder == "mlflow_interpret-2"
    assert client.list_artifacts(run_id, "mlflow_interpret")[0].file_size == 2
    assert [logged.number for logged, _ in mlflow_store.explanations(run_id, store)] == [2]
    assert mlflow_store.load(run_id, None, store).id == record.id
    assert [status["explanation_id"] for status in mlflow_store.records(run_id, store)] == [
        record.id
    ]


def test_the_count_of_another_process_is_not_decreased(store, run_id, monkeypatch):
    original = MlflowClient.log_artifacts

    def other_first(self, *arguments):
        original(self, *arguments)
        monkeypatch.setattr(MlflowClient, "log_artifacts", original)
        log(later, run_id, store)

    first, later = explanation(), explanation(4)
    monkeypatch.setattr(MlflowClient, "log_artifacts", other_first)
    log(first, run_id, store)
    found = [(logged.number, held.id) for logged, held in mlflow_store.explanations(run_id, store)]
    assert found == [(1, first.id), (2, later.id)]


def test_a_server_that_does_not_overwrite_gets_a_record_for_each_status(
    limited, run_id, monkeypatch
):
    store = limited
    logged = log(explanation(), run_id, store, state="pending")
    original = MlflowClient.log_artifact

    def write_once(self, run_id, local_path, artifact_path=None):
        held = artifacts.list_files(self, self.get_run(run_id), artifact_path)
        if f"{artifact_path}/{Path(local_path).name}" in held:
            raise MlflowException("Resource Conflict: it already exists")
        return original(self, run_id, local_path, artifact_path)

    monkeypatch.setattr(MlflowClient, "log_artifact", write_once)
    for number in range(12):
        mlflow_store.update_status(logged, "failed", f"try {number}", {})
    assert mlflow_store.status_of(run_id, store)["reason"] == "try 11"


def test_the_limit_of_azure_ml_counts_the_users_tags(limited, run_id):
    store = limited
    with mlflow.start_run(run_id=run_id):
        mlflow.set_tags({f"mine {i}": i for i in range(47 - len(mlflow.get_run(run_id).data.tags))})
    for _ in range(2):
        log(explanation(), run_id, store)
    tags = mlflow.get_run(run_id).data.tags
    assert len(tags) == 49  # the upload sets one more, model_explanation
    assert (tags["mlflow_interpret.explanations"], tags["mlflow_interpret.status"]) == (
        "2",
        "complete",
    )
    assert layout.numbers(MlflowClient(), mlflow.get_run(run_id)) == [1, 2]


def test_a_run_without_room_for_a_tag_keeps_its_explanations(limited, run_id, monkeypatch):
    store = limited
    with mlflow.start_run(run_id=run_id):
        held = mlflow.get_run(run_id).data.tags
        mlflow.set_tags({f"mine {i}": i for i in range(50 - len(held))})
    records = [explanation(), explanation(4)]
    first, _ = (log(record, run_id, store, state="pending") for record in records)
    assert set(first.status["tags"]["left_out"]) >= {
        "mlflow_interpret.explanations",
        "mlflow_interpret.status",
    }
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_tag", lambda *_: pytest.fail("it would be refused"))
        mlflow_store.update_status(first, "complete", None, {})
    mlflow_store.log_skipped(run_id, store, "no prediction", {})
    mlflow_store.note_skipped(run_id, store, "no prediction")
    assert len(mlflow.get_run(run_id).data.tags) == 50
    found = [record.id for _, record in mlflow_store.explanations(run_id, store)]
    assert found == [record.id for record in records]
    assert mlflow_store.load(run_id, None, store).id == records[1].id
    assert mlflow_store.status_of(run_id, store, 1)["status"] == "complete"
    assert mlflow_store.runs_with_explanations("test", store) == [run_id]
    named = [Named(mlflow.get_run(run_id), "full")]
    (importances,), reasons = load_importances(named, store, nothing)
    assert (len(importances.values), reasons) == (4, {})


def test_the_number_of_store_calls_does_not_depend_on_features(store, monkeypatch):
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    calls = []

    def counted(name, original):
        def call(self, *args, **kwargs):
            calls.append(name)
            return original(self, *args, **kwargs)

        return call

    for name in ("get_run", "log_batch", "log_metric", "log_param", "set_tag", "delete_tag"):
        monkeypatch.setattr(SqlAlchemyStore, name, counted(name, getattr(SqlAlchemyStore, name)))
    counts = []
    for n_features in (5, 500):
        with mlflow.start_run() as run:
            calls.clear()
            log(explanation(n_features), run.info.run_id, store)
            counts.append(sorted(calls))
    assert counts[0] == counts[1]
    assert counts[0].count("log_batch") == 1
    assert "log_metric" not in counts[0]
