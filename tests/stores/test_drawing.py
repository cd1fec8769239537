"""Figures and reports: drawn after fit has returned, and never lost."""

from __future__ import annotations

import logging
import os
import sys
import threading

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from mlflow_interpret.cli import main
from mlflow_interpret.runtime.process_folders import OwnFolder
from mlflow_interpret.stores import drawing
from mlflow_interpret.stores import mlflow as mlflow_store

X, y = load_iris(return_X_y=True, as_frame=True)
DRAWN = {"global_importances.png", "beeswarm.png", "per_class_importances.png", "report.html"}


@pytest.fixture
def queue(monkeypatch):
    """The queue of a process of its own, whose worker never starts."""
    folder = OwnFolder(drawing.directory)
    queue = drawing.DrawingQueue(folder, start_seconds=threading.TIMEOUT_MAX)
    monkeypatch.setattr(drawing, "_queue", queue)
    yield queue
    queue.close()


def fitted_run(**options):
    mlflow_interpret.autolog(**options)
    with mlflow.start_run() as run:
        DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
    return run.info.run_id


def drawn(run_id, folder="mlflow_interpret"):
    names = (file.path for file in MlflowClient().list_artifacts(run_id, folder))
    return DRAWN & {name.rpartition("/")[2] for name in names}


def status(run_id, store):
    return mlflow_store.status_of(run_id, store)


def warnings_in(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def end_process(queue):
    """Let the queue look like that of a process that was killed."""
    queue._folder.close()
    queue._waiting.clear()


def test_fit_returns_before_the_drawings_and_flush_finishes_them(store, queue):
    run_id = fitted_run()
    assert drawn(run_id) == set()
    assert status(run_id, store)["drawings"] == {"state": "pending"}
    assert status(run_id, store)["status"] == "complete"
    assert mlflow.get_run(run_id).data.metrics
    assert mlflow_interpret.load_explanation(run_id).get_feature_importance_dict()
    assert mlflow_interpret.flush(timeout=0) is False
    MlflowClient().log_metric(run_id, "score after fit", 0.875)
    assert mlflow_interpret.flush() is True
    assert drawn(run_id) == DRAWN
    record = status(run_id, store)
    assert record["drawings"] == {"state": "complete"}
    assert record["status"] == "complete"
    report = mlflow.artifacts.load_text(f"runs:/{run_id}/mlflow_interpret/report.html")
    assert "score after fit" in report
    assert drawing.abandoned() == []
    assert list(drawing.directory().rglob("*.json")) == []


def test_switching_autolog_off_finishes_the_drawings(store, queue):
    run_id = fitted_run(log_report=False)
    mlflow_interpret.autolog(disable=True)
    assert drawn(run_id) == DRAWN - {"report.html"}


def test_nothing_is_pending_without_figures_and_report(store, queue):
    run_id = fitted_run(log_figures=False, log_report=False)
    assert queue.pending() == ()
    assert "drawings" not in status(run_id, store)


def test_an_explanation_beyond_the_limit_is_drawn_at_once(store, queue, monkeypatch):
    monkeypatch.setattr(drawing, "MAX_PENDING", 0)
    run_id = fitted_run()
    assert drawn(run_id) == DRAWN


def test_a_figure_that_fails_is_one_warning_and_an_entry_in_the_status(
    store, queue, monkeypatch, caplog
):
    def broken(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr("mlflow_interpret.report.figures.beeswarm", broken)
    run_id = fitted_run()
    assert mlflow_interpret.flush()
    (warning,) = [text for text in warnings_in(caplog) if run_id in text]
    assert "beeswarm.png: no font" in warning
    assert drawn(run_id) == DRAWN - {"beeswarm.png"}
    expected = {"state": "failed", "not_drawn": {"beeswarm.png": "no font"}}
    assert status(run_id, store)["drawings"] == expected
    assert status(run_id, store)["status"] == "complete"


def test_a_store_that_fails_is_one_warning_and_the_drawings_can_be_flushed(
    store, queue, monkeypatch, caplog
):
    run_id = fitted_run()
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", lambda *_: 1 / 0)
        assert mlflow_interpret.flush()
    (warning,) = [text for text in warnings_in(caplog) if run_id in text]
    assert "mlflow-interpret flush" in warning
    assert status(run_id, store)["drawings"] == {"state": "pending"}
    # Another process flushes, while this one lives.
    assert CliRunner().invoke(main, ["flush"]).exit_code == 0
    assert drawn(run_id) == DRAWN


def test_a_status_that_could_not_be_written_is_completed_by_flush(store, queue, monkeypatch):
    run_id = fitted_run()
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", lambda *_: 1 / 0)
        assert mlflow_interpret.flush()
    assert drawn(run_id) == DRAWN
    assert status(run_id, store)["drawings"] == {"state": "pending"}
    assert CliRunner().invoke(main, ["flush"]).exit_code == 0
    assert status(run_id, store)["drawings"] == {"state": "complete"}
    assert drawing.abandoned() == []


def test_a_run_that_is_gone_is_one_warning(store, queue, monkeypatch, caplog):
    run_id = fitted_run()
    mlflow.set_tracking_uri(store)
    monkeypatch.setattr(MlflowClient, "get_run", _gone)
    assert mlflow_interpret.flush()
    (warning,) = [text for text in warnings_in(caplog) if run_id in text]
    assert "does not exist" in warning
    assert list(drawing.directory().rglob("*.json")) == []


def _gone(*_):
    raise mlflow.MlflowException("no such run", RESOURCE_DOES_NOT_EXIST)


def test_a_deleted_run_gets_its_drawings(store, queue, caplog):
    run_id = fitted_run()
    mlflow.delete_run(run_id)
    assert mlflow_interpret.flush()
    assert warnings_in(caplog) == []
    assert drawn(run_id) == DRAWN


def test_the_command_flush_draws_what_a_killed_process_left(store, queue):
    run_id = fitted_run(comment="kept")
    assert drawing.abandoned() == []  # its process lives
    end_process(queue)
    listed = CliRunner().invoke(main, ["flush", "--list"])
    assert f"run {run_id}  {store}  not drawn yet" in listed.output
    result = CliRunner().invoke(main, ["flush"])
    assert result.exit_code == 0, result.output
    assert f"drawn in run {run_id}" in result.output
    assert drawn(run_id) == DRAWN
    record = status(run_id, store)
    assert (record["status"], record["drawings"]) == ("complete", {"state": "complete"})
    assert record["comment"] == "kept"
    assert "Nothing is kept" in CliRunner().invoke(main, ["flush"]).output


def test_the_command_flush_gives_up_drawings_of_a_run_that_is_gone(store, queue):
    pending = drawing.PendingDrawings(store, "0" * 32, 1, "id", drawing.Drawings(True, True, {}))
    note = queue.write_note(pending)
    if os.name != "nt":
        assert note.stat().st_mode & 0o777 == 0o600
    end_process(queue)
    result = CliRunner().invoke(main, ["flush"])
    assert "not drawn: Run" in result.output
    assert drawing.abandoned() == []


def test_a_read_only_spool_does_not_keep_the_drawings_away(store, queue, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_INTERPRET_SPOOL", str(tmp_path / "file"))
    run_id = fitted_run()
    assert mlflow_interpret.flush()
    assert drawn(run_id) == DRAWN


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_process_leaves_the_drawings_to_its_parent(store, queue):
    fitted_run(log_report=False)
    child = os.fork()
    if child == 0:
        os._exit(len(drawing._queue.pending()) or len(drawing.abandoned()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(queue.pending()) == 1


@pytest.mark.subprocess
def test_the_worker_process_draws_the_same(store, monkeypatch):
    """Also with the user's style of matplotlib."""
    import matplotlib as mpl

    with mpl.rc_context({"figure.facecolor": "beige"}):
        queue = drawing.DrawingQueue(drawing._folder, start_seconds=0)
        monkeypatch.setattr(drawing, "_queue", queue)
        in_worker = fitted_run()
        queue.wait(None, description="", unit="")  # without help
        assert queue.worker.is_running
        queue.close()
        monkeypatch.setattr(
            drawing, "_queue", drawing.DrawingQueue(drawing._folder, threading.TIMEOUT_MAX)
        )
        here = fitted_run()
        assert mlflow_interpret.flush()
    assert drawn(in_worker) == drawn(here) == DRAWN
    for name in DRAWN - {"report.html"}:
        images = [
            mlflow.artifacts.load_image(f"runs:/{run_id}/mlflow_interpret/{name}").tobytes()
            for run_id in (in_worker, here)
        ]
        assert images[0] == images[1]


def test_a_worker_that_dies_is_replaced(store, queue, tmp_path):
    from mlflow_interpret.runtime.worker_process import ProcessDiedError

    class Dying:
        def ask(self, request):
            raise ProcessDiedError("killed", "")

    run_id = fitted_run(log_report=False)
    assert queue.run_next(Dying())
    assert drawn(run_id) == DRAWN - {"report.html"}
