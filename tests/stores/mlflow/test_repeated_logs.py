"""A log that fails at any step, or is repeated, leaves the run as one log without failures does."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from logged_explanations import explanation, log
from mlflow_interpret.stores import base
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.mlflow import writer
from mlflow_interpret.stores.mlflow.numbers import RunNumbers

STEPS = ["get_run", "log_artifact", "log_artifacts", "log_batch", "delete_tag"]
VIEWS = {"is_raw": True, "engineered": explanation(5, is_engineered=True)}


class LostError(Exception):
    """A request without an answer."""


@pytest.fixture
def new_run(store):
    def new_run():
        with mlflow.start_run() as run:
            mlflow.set_tag("mlflow_interpret.reason", "of an earlier fit")
        return run.info.run_id

    return new_run


@pytest.fixture(params=[True, False], ids=["overwrites", "write once"])
def overwrites(request, monkeypatch):
    """A store that refuses to overwrite artifacts, or one that does not."""
    if request.param:
        yield
        return
    original = MlflowClient.log_artifact

    def write_once(self, run_id, local_path, artifact_path=None):
        name = f"{artifact_path}/{Path(local_path).name}"
        if name in files(run_id):
            raise MlflowException(f"Resource Conflict: {name} exists")
        original(self, run_id, local_path, artifact_path)

    def all_once(self, run_id, local_dir, artifact_path=None):
        for path in sorted(Path(local_dir).rglob("*.*")):
            part = path.parent.relative_to(local_dir).as_posix()
            folder = artifact_path if part == "." else f"{artifact_path}/{part}"
            write_once(self, run_id, str(path), folder)

    monkeypatch.setattr(MlflowClient, "log_artifact", write_once)
    monkeypatch.setattr(MlflowClient, "log_artifacts", all_once)

    @base.register_store
    class WriteOnce(base.Store):
        name = title = "write once"
        scheme = "sqlite"
        limits = base.StoreLimits(overwrites=False)

        def accepts(self, options, tracking_uri):
            return False

        def put(self, explanation, folder, run):
            raise AssertionError("it accepts no explanation")

    yield
    base.unregister_store("write once")


def files(run_id):
    root = Path(mlflow.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def state_of(run_id, store):
    """All that a log leaves in a run, without times and ids of the run."""
    client, run = MlflowClient(store), mlflow.get_run(run_id)
    history = {name: len(client.get_metric_history(run_id, name)) for name in run.data.metrics}
    ours = {key: tag for key, tag in run.data.tags.items() if "interpret" in f"{key}{tag}"}
    ours = {key: tag.replace(run_id, "RUN") for key, tag in ours.items()}
    status = mlflow_store.status_of(run_id, store)
    status = {key: value for key, value in status.items() if key not in {"created", "run_id"}}
    return files(run_id), dict(run.data.metrics), history, ours, status


def fail(monkeypatch, step, count, *, is_done):
    """Let the ``count``-th call of a step of MLflow's client fail, before or after it is done."""
    original, calls = getattr(MlflowClient, step), []

    def failing(self, *args, **kwargs):
        calls.append(step)
        if len(calls) != count:
            return original(self, *args, **kwargs)
        if is_done:
            original(self, *args, **kwargs)
        raise LostError

    monkeypatch.setattr(MlflowClient, step, failing)
    return calls


@pytest.mark.parametrize("is_same_process", [False, True], ids=["next process", "same process"])
def test_a_log_that_failed_is_completed_in_its_folder(
    store, new_run, overwrites, monkeypatch, is_same_process
):
    record = explanation(**VIEWS)
    clean = new_run()
    log(record, clean, store, report=False)
    expected = state_of(clean, store)
    assert set(expected[2].values()) == {1}
    for step in STEPS:
        run_id = new_run()
        for is_done in (False, True):
            with monkeypatch.context() as patch:
                calls = fail(patch, step, 1, is_done=is_done)
                with pytest.raises(LostError):
                    log(record, run_id, store, report=False)
            assert calls
            if not is_same_process:
                monkeypatch.setattr(writer, "_numbers", RunNumbers())
        assert log(record, run_id, store, report=False).number == 1
        assert state_of(run_id, store) == expected, step


def test_a_folder_that_was_cut_off_is_completed(store, new_run, overwrites, monkeypatch):
    record = explanation(**VIEWS)
    clean = new_run()
    log(record, clean, store, report=False)
    expected = state_of(clean, store)
    monkeypatch.setattr(writer, "_numbers", RunNumbers())
    for name in ("status.json", "local_importances.parquet", "engineered/explanation.json"):
        run_id = new_run()
        with monkeypatch.context() as patch:
            fail(patch, "log_batch", 1, is_done=False)
            with pytest.raises(LostError):
                log(record, run_id, store, report=False)
        root = Path(mlflow.get_run(run_id).info.artifact_uri.removeprefix("file://"))
        (root / "mlflow_interpret" / name).unlink()
        monkeypatch.setattr(writer, "_numbers", RunNumbers())
        log(record, run_id, store, report=False)
        assert state_of(run_id, store) == expected, name


def test_a_second_log_of_an_explanation_has_the_same_place(store, new_run):
    run_id, record = new_run(), explanation()
    first = log(record, run_id, store)
    other = log(explanation(4), run_id, store)
    before = state_of(run_id, store)
    again = log(record, run_id, store)
    assert (first.number, other.number, again.number) == (1, 2, 1)
    assert state_of(run_id, store) == before


@pytest.mark.parametrize("is_same_process", [True, False])
def test_explanations_without_tags_are_found_again(store, new_run, monkeypatch, is_same_process):
    run_id, records = new_run(), [explanation() for _ in range(7)]
    for record in records[:3]:
        log(record, run_id, store, report=False)
    mlflow_store.log_skipped(run_id, store, "no prediction", {})
    for record in records[3:]:
        log(record, run_id, store, report=False)
    if not is_same_process:
        monkeypatch.setattr(writer, "_numbers", RunNumbers())
    places = [log(record, run_id, store, report=False).number for record in records]
    assert places == [1, 2, 3, 5, 6, 7, 8]
    assert log(explanation(), run_id, store).number == 9


def test_a_log_that_failed_does_not_take_the_place_of_another(store, new_run, monkeypatch):
    run_id, failed, logged = new_run(), explanation(), explanation(4)
    with monkeypatch.context() as patch:
        fail(patch, "log_artifacts", 1, is_done=False)
        with pytest.raises(LostError):
            log(failed, run_id, store)
    assert log(logged, run_id, store).number == 2
    assert log(failed, run_id, store).number == 1
    held = [(place.number, held.id) for place, held in mlflow_store.explanations(run_id, store)]
    assert held == [(1, failed.id), (2, logged.id)]


def test_an_artifact_store_that_does_not_answer_is_no_empty_folder(store, new_run, monkeypatch):
    run_id = new_run()

    def silent(*_):
        raise MlflowException("API request failed") from OSError("connection reset")

    monkeypatch.setattr("mlflow_interpret.stores.mlflow.mlflow_internals.list_artifacts", silent)
    with pytest.raises(MlflowException, match="API request failed"):
        log(explanation(), run_id, store)
    assert files(run_id) == set()


def test_metrics_of_a_repeated_log_do_not_count_as_those_of_another(store, new_run):
    run_id, record = new_run(), explanation(20, n_classes=2)
    log(record, run_id, store, top_k=20)
    log(record, run_id, store, top_k=20)
    metrics = mlflow.get_run(run_id).data.metrics
    assert sum(name.startswith("importance/") for name in metrics) == 20
    assert np.isfinite(list(metrics.values())).all()
    assert mlflow_store.status_of(run_id, store)["metrics"]["left_out"] == 0
