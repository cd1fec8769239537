"""The MLflow run first, then Azure ML; a failed upload changes the status and nothing else."""

from __future__ import annotations

import logging
import threading

import mlflow
import pytest
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from mlflow_interpret import interpret_community
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores import delivery
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.azureml import targets, upload_queue
from mlflow_interpret.stores.azureml.workspace import AzureRun, AzureWorkspace

RUN = AzureRun(AzureWorkspace("s", "g", "n", "t0ken", "https://host"), "exp", "run-1")

X, y = load_iris(return_X_y=True, as_frame=True)


@pytest.fixture
def record():
    return interpret_community.to_record(
        mlflow_interpret.explain(DecisionTreeClassifier().fit(X, y), X)
    )


@pytest.fixture
def in_azure(monkeypatch):
    monkeypatch.setattr(targets, "is_upload_requested", lambda option, uri: option is not False)
    monkeypatch.setattr(targets, "find_run", lambda *_: RUN)


def ends_with(monkeypatch, result):
    """An upload that ends at once; yields the run as it was before the upload."""
    seen = {}

    def start(folder, find, upload_options, done, order_key):
        seen.update(vars(upload_options))
        seen["status"] = mlflow.last_active_run().data.tags.get("mlflow_interpret.status")
        done(result)

    monkeypatch.setattr(upload_queue, "start", start)
    return seen


def deliver(record, store, **options):
    with mlflow.start_run() as run:
        pass
    delivery.deliver_explanation(record, run.info.run_id, store, Options(**options))
    return run.info.run_id


def test_an_upload_starts_after_the_run_holds_the_explanation(record, store, in_azure, monkeypatch):
    seen = ends_with(monkeypatch, upload_queue.UploadResult(True, None, 1.5, "asset"))
    run_id = deliver(
        record, store, comment="c", upload_timeout=7, random_state=3, visualization_points=9
    )
    assert seen == {
        "status": "pending",
        "comment": "c",
        "timeout": 7,
        "random_state": 3,
        "points": 9,
        "silent": False,
    }
    status = mlflow_store.status_of(run_id, store)
    assert status["status"] == "complete"
    assert status["azureml"] == {
        "state": "uploaded",
        "explanation_id": "asset",
        "visualization_points": 9,
        "seconds": 1.5,
        "reason": None,
        "tagged": True,
    }


def test_an_upload_without_room_for_its_tag_succeeds(record, store, in_azure, monkeypatch, caplog):
    ends_with(monkeypatch, upload_queue.UploadResult(True, None, 1.5, "asset", tagged=False))
    status = mlflow_store.status_of(deliver(record, store), store)
    assert (status["status"], status["azureml"]["state"]) == ("complete", "uploaded")
    assert status["azureml"]["tagged"] is False
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_a_failed_upload_is_a_status_and_one_warning(record, store, in_azure, monkeypatch, caplog):
    ends_with(monkeypatch, upload_queue.UploadResult(False, "refused", 1.5))
    run_id = deliver(record, store)
    assert mlflow_store.status_of(run_id, store)["reason"] == "refused"
    assert mlflow.get_run(run_id).data.tags["mlflow_interpret.status"] == "failed"
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert run_id in warning
    assert "refused" in warning
    assert f"mlflow-interpret push {run_id}" in warning
    assert mlflow_store.load(run_id, None, store).id == record.id


def test_the_remedy_names_the_workspace(record, store, monkeypatch, caplog):
    ends_with(monkeypatch, upload_queue.UploadResult(False, "refused", 1.5))
    scope = (
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    )
    run_id = deliver(record, store, azureml=scope)
    assert f"mlflow-interpret push {run_id} --to {scope}" in caplog.text


def test_silent_is_silent(record, store, in_azure, monkeypatch, caplog):
    ends_with(monkeypatch, upload_queue.UploadResult(False, "refused", 1.5))
    deliver(record, store, silent=True)
    assert [r for r in caplog.records if r.name.startswith("mlflow_interpret")] == []


def test_a_run_that_is_not_found_is_a_failed_upload(record, store, in_azure, monkeypatch):
    def missing(*_):
        raise AzureMLError("no such run")

    monkeypatch.setattr(targets, "find_run", missing)
    run_id = deliver(record, store)
    assert mlflow_interpret.flush()
    assert mlflow_store.status_of(run_id, store)["reason"] == "no such run"


def test_an_azure_that_hangs_does_not_hold_up_the_training(record, store, in_azure, monkeypatch):
    asked, answer = threading.Event(), threading.Event()

    def hang(*_):
        asked.set()
        answer.wait(60)

    monkeypatch.setattr(targets, "find_run", hang)
    run_id = deliver(record, store, upload_timeout=0.5)  # comes back before there is an answer
    assert asked.wait(30)
    assert mlflow_interpret.flush()
    assert not answer.is_set()
    assert "within 0.5 seconds" in mlflow_store.status_of(run_id, store)["reason"]
    answer.set()


def test_false_never_uploads(record, store, in_azure, monkeypatch):
    monkeypatch.setattr(upload_queue, "start", pytest.fail)
    run_id = deliver(record, store, azureml=False)
    assert mlflow_store.status_of(run_id, store)["status"] == "complete"


@pytest.mark.parametrize("silent", [True, False])
def test_a_figure_that_fails_is_one_warning_and_an_entry_in_the_status(
    record, store, monkeypatch, caplog, silent
):
    def broken(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr("mlflow_interpret.report.figures.beeswarm", broken)
    caplog.set_level(logging.WARNING, "mlflow_interpret")
    run_id = deliver(record, store, azureml=False, silent=silent)
    assert mlflow_store.status_of(run_id, store)["not_drawn"] == {"beeswarm.png": "no font"}
    assert mlflow_store.load(run_id, None, store).features == record.features
    messages = [message for message in caplog.messages if "could not be drawn" in message]
    assert len(messages) == (0 if silent else 1)
    assert all(run_id in message and "no font" in message for message in messages)
