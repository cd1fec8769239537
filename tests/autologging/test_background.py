"""Explaining in the background: the model as fitted, in the right run, never lost."""

from __future__ import annotations

import gc
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref
from pathlib import Path

import mlflow
import numpy as np
import pytest
import sklearn
from click.testing import CliRunner
from mlflow import MlflowClient
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from mlflow_interpret.autologging import background, snapshots
from mlflow_interpret.cli import main
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool

X, y = load_iris(return_X_y=True, as_frame=True)
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals or modes")


@pytest.fixture(autouse=True)
def _nothing_pending(_isolated):
    yield
    assert mlflow_interpret.flush(60)
    background._queue._folder = None  # the next test has another spool


def tree(**parameters):
    return DecisionTreeClassifier(max_depth=3, random_state=0, **parameters)


def all_runs():
    return mlflow.search_runs(output_format="list", search_all_experiments=True)


def status(run_id, store):
    return mlflow_store.status_of(run_id, store)


def warnings_in(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_the_explanation_equals_that_of_the_foreground(store):
    expected = mlflow_interpret.explain(tree().fit(X, y), X, (X, y))
    mlflow_interpret.autolog(background=True)
    tree().fit(X, y)
    assert mlflow_interpret.flush()
    (run,) = all_runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    assert run.data.tags["mlflow.autologging"] == "mlflow_interpret"
    assert run.info.run_name
    found = mlflow_interpret.load_explanation(run.info.run_id)
    np.testing.assert_array_equal(found.local_importance_values, expected.local_importance_values)
    assert status(run.info.run_id, store)["rows"]["source"] == "training rows"
    names = {
        file.path for file in MlflowClient().list_artifacts(run.info.run_id, "mlflow_interpret")
    }
    assert "mlflow_interpret/global_importances.png" in names


def test_the_model_is_explained_as_it_was_fitted(store):
    rows, labels = load_diabetes(return_X_y=True)
    model = RandomForestRegressor(5, max_depth=3, random_state=0)
    expected = mlflow_interpret.explain(model.fit(rows.copy(), labels), rows.copy())
    mlflow_interpret.autolog(background=True)
    changing = rows.copy()
    model.fit(changing, labels)
    changing[:] = 0.0
    model.estimators_.clear()
    mlflow_interpret.autolog(disable=True)
    model.fit(changing, labels)
    assert mlflow_interpret.flush()
    (run,) = all_runs()
    found = mlflow_interpret.load_explanation(run.info.run_id)
    np.testing.assert_array_equal(found.global_importance_values, expected.global_importance_values)


def test_the_run_of_the_fit_is_used_after_mlflows_settings_changed(store, tmp_path):
    mlflow_interpret.autolog(background=True, extra_tags={"team": "pricing"})
    with mlflow.start_run() as ended:
        tree().fit(X, y)
    tree().fit(X, y)  # a run is made, in the experiment and store of now
    experiment = mlflow.get_experiment_by_name("test").experiment_id
    mlflow.create_experiment("another")
    mlflow.set_experiment("another")
    with mlflow.start_run() as later:
        assert mlflow_interpret.flush()
        assert mlflow.active_run().info.run_id == later.info.run_id
    runs = {run.info.run_id: run for run in all_runs()}
    assert len(runs) == 3
    assert runs[ended.info.run_id].data.metrics
    assert runs[ended.info.run_id].info.status == "FINISHED"
    assert not runs.pop(later.info.run_id).data.metrics
    del runs[ended.info.run_id]
    (made,) = runs.values()
    assert made.info.experiment_id == experiment
    assert made.data.tags["team"] == "pricing"
    assert made.data.tags["mlflow.source.name"]
    assert made.data.metrics


def test_the_store_of_the_fit_is_used(store, _migrated, tmp_path):  # noqa: PT019
    mlflow_interpret.autolog(background=True)
    with mlflow.start_run() as run:
        tree().fit(X, y)
    other = tmp_path / "other.db"
    shutil.copy(_migrated, other)
    mlflow.set_tracking_uri(f"sqlite:///{other}")
    assert mlflow_interpret.flush()
    assert MlflowClient(store).get_run(run.info.run_id).data.metrics
    mlflow.set_tracking_uri(store)


def test_with_mlflows_own_autologging(store):
    mlflow.sklearn.autolog(log_models=False, silent=True)
    mlflow_interpret.autolog(background=True)
    tree().fit(X, y)
    assert mlflow_interpret.flush()
    (run,) = all_runs()
    assert run.data.tags["mlflow.autologging"] == "sklearn"
    assert "importance/petal length _cm_" in run.data.metrics


def test_fit_sends_no_request(monkeypatch):
    askers = []
    connect = socket.socket.connect

    def noted(self, address):
        askers.append(threading.current_thread().name)
        return connect(self, address)

    mlflow.set_tracking_uri("http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr(socket.socket, "connect", noted)
    mlflow_interpret.autolog(background=True, silent=True)
    tree().fit(X, y)
    KMeans(2, n_init=1).fit(X)
    mlflow_interpret.autolog(background=True, silent=True, features=["too", "few"])
    tree().fit(X, y)
    assert mlflow_interpret.flush()
    assert set(askers) == {"mlflow-interpret-background"}
    entries = [spool.entry_of(folder) for folder in spool.folders()]
    assert [entry.skipped is None for entry in entries] == [True, False]  # features=["too", "few"]
    mlflow.set_tracking_uri(None)


def test_models_that_cannot_be_explained_are_skipped_with_a_reason(store, caplog):
    mlflow_interpret.autolog(background=True, features=["too", "few"])
    with mlflow.start_run() as run:
        tree().fit(X, y)
    mlflow_interpret.autolog(background=True)
    with mlflow.start_run() as constant:
        DecisionTreeClassifier().fit(X, np.zeros(len(X)))
    with mlflow.start_run() as clusters:
        KMeans(2, n_init=1).fit(X)
    assert mlflow_interpret.flush()
    assert "features has 2 names" in status(run.info.run_id, store)["reason"]
    assert "one class" in status(constant.info.run_id, store)["reason"]
    tags = MlflowClient().get_run(clusters.info.run_id).data.tags
    assert "clusterer" in tags["mlflow_interpret.reason"]
    assert len(warnings_in(caplog)) == 2


def test_options_are_respected(store, caplog):
    mlflow_interpret.autolog(
        background=True, exclusive=True, silent=True, log_data=False, log_figures=False, comment="c"
    )
    with mlflow.start_run() as users:
        tree().fit(X, y)
    tree().fit(X, y)
    assert mlflow_interpret.flush()
    (run,) = [run for run in all_runs() if run.info.run_id != users.info.run_id]
    assert not MlflowClient().get_run(users.info.run_id).data.metrics
    found = mlflow_store.load(run.info.run_id, None, store)
    assert found.local_values is None
    assert found.evaluation_rows is None
    names = {
        file.path for file in MlflowClient().list_artifacts(run.info.run_id, "mlflow_interpret")
    }
    assert not any(name.endswith((".parquet", ".png")) for name in names)
    assert status(run.info.run_id, store)["comment"] == "c"
    assert caplog.records == []


def test_scikit_learns_settings_are_those_of_the_training(store):
    def named(rows):
        return rows[["petal length (cm)", "petal width (cm)"]]

    with sklearn.config_context(transform_output="pandas"):
        mlflow_interpret.autolog(background=True)
        steps = (StandardScaler(), FunctionTransformer(named), tree())
        make_pipeline(*steps).fit(X, y)
    assert mlflow_interpret.flush()
    (run,) = all_runs()
    assert run.data.metrics["importance/petal length _cm_"] > 0


def test_pending_fits_are_on_disk_and_not_in_memory(store):
    mlflow_interpret.autolog(background=True, silent=True)
    models = []
    with mlflow.start_run() as run:
        for depth in range(1, 21):
            model = DecisionTreeClassifier(max_depth=depth).fit(X, y)
            models.append(weakref.ref(model))
            del model
    gc.collect()
    assert not any(model() is not None for model in models)
    assert mlflow_interpret.flush()
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert tags["mlflow_interpret.explanations"] == "20"
    assert not list(snapshots.directory().iterdir())
    for number in (1, 20):
        assert status_number(run, store, number)["status"] == "complete"


def status_number(run, store, number):
    return mlflow_store.status_of(run.info.run_id, store, number)


def test_snapshots_are_private(store, monkeypatch, tmp_path):
    if sys.platform == "win32":
        pytest.skip("modes mean nothing there")
    seen = {}

    def look(self, request):
        snapshot = Path(request["snapshot"])
        paths = snapshot, snapshot.parent, snapshot.with_name("entry.json")
        seen["modes"] = [path.stat().st_mode & 0o777 for path in paths]
        snapshots.check_private(snapshot)
        snapshot.chmod(0o644)
        with pytest.raises(mlflow_interpret.MlflowInterpretError, match="open to other users"):
            snapshots.check_private(snapshot)
        return {"ok": False, "reason": "looked", "traceback": ""}

    monkeypatch.setattr("mlflow_interpret.runtime.worker_process.Child.ask", look)
    mlflow_interpret.autolog(background=True, silent=True)
    tree().fit(X, y)
    assert mlflow_interpret.flush()
    assert seen["modes"] == [0o600, 0o700, 0o600]


def test_no_row_is_in_the_spool_without_log_data(store, monkeypatch):
    where = []

    def look(self, request):
        where.append(Path(request["snapshot"]))
        return {"ok": False, "reason": "looked", "traceback": ""}

    monkeypatch.setattr("mlflow_interpret.runtime.worker_process.Child.ask", look)
    mlflow_interpret.autolog(background=True, silent=True, log_data=False)
    tree().fit(X, y)
    assert mlflow_interpret.flush()
    (snapshot,) = where
    assert spool.directory() not in snapshot.parents
    assert not snapshot.parent.exists()


class Unpicklable(LinearRegression):
    def __getstate__(self):
        raise TypeError("it holds a connection")


def test_a_model_that_cannot_be_pickled_is_explained_at_once(store, caplog):
    caplog.set_level(logging.INFO)
    rows, labels = load_diabetes(return_X_y=True, as_frame=True)
    mlflow_interpret.autolog(background=True)
    Unpicklable().fit(rows, labels)
    (run,) = all_runs()
    assert run.data.metrics
    notes = [r.getMessage() for r in caplog.records if "explained now" in r.getMessage()]
    assert len(notes) == 1
    assert "it holds a connection" in notes[0]
    assert list(snapshots.directory().glob("*/*/*")) == []


def test_a_fit_beyond_the_limit_is_explained_at_once(store, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(background, "MAX_PENDING", 0)
    mlflow_interpret.autolog(background=True)
    tree().fit(X, y)
    (run,) = all_runs()
    assert run.data.metrics
    assert "0 fits are pending already" in caplog.text


class Interrupted(LinearRegression):
    def __getstate__(self):
        raise KeyboardInterrupt


def test_ctrl_c_in_the_snapshot_keeps_the_model_and_no_files(store, caplog):
    mlflow_interpret.autolog(background=True)
    model = Interrupted().fit(X, y)
    assert model.coef_.shape == (4,)
    assert "interrupted" in caplog.text
    assert list(snapshots.directory().glob("*/*/*")) == []


def test_the_state_of_the_process_is_unchanged(store):
    mlflow_interpret.autolog(background=True, silent=True)
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), list(warnings.filters)
    tree().fit(X, y)
    assert mlflow_interpret.flush()
    assert (random.getstate(), np.random.get_state()[1].tolist(), list(warnings.filters)) == before
    assert list(Path.cwd().iterdir()) == []


SLOW = """
    import os, sys, time
    import numpy as np
    from sklearn.linear_model import LinearRegression

    class Slow(LinearRegression):
        def predict(self, X):
            {before}
            return super().predict(X) * X[:, 0]
"""
HANGS = "time.sleep(600)"


def slow_model(before):
    """A model that runs a statement before it predicts, pickled by value like a script's classes."""
    namespace = {"__name__": "__main__"}
    exec(textwrap.dedent(SLOW).format(before=before), namespace)
    return namespace["Slow"]()


def test_flush_respects_its_timeout(store, tmp_path):
    may_end = tmp_path / "may end"
    mlflow_interpret.autolog(background=True)
    model = slow_model(f"while not os.path.exists({str(may_end)!r}): time.sleep(0.01)")
    model.fit(X.to_numpy(), y)
    assert not mlflow_interpret.flush(0.0)
    may_end.touch()
    assert mlflow_interpret.flush(120)
    assert len(all_runs()) == 1


@posix
def test_a_worker_that_dies_is_one_warning_and_is_replaced(store, caplog):
    mlflow_interpret.autolog(background=True)
    with mlflow.start_run() as lost:
        slow_model(HANGS).fit(X.to_numpy(), y)
    with mlflow.start_run() as kept:
        tree().fit(X, y)
    child = background._queue.worker
    deadline = time.monotonic() + 60
    while child._process is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(child._process.pid, signal.SIGKILL)
    assert mlflow_interpret.flush(120)
    record = status(lost.info.run_id, store)
    assert record["status"] == "skipped"
    assert "ended with exit code -9" in record["reason"]
    assert MlflowClient().get_run(kept.info.run_id).data.metrics
    (warning,) = warnings_in(caplog)
    assert "ended with exit code -9" in warning


SCRIPT = """
    import os, signal, sys, tempfile, time
    import mlflow, mlflow_interpret
    from sklearn.datasets import load_iris

    mlflow_interpret.autolog(background=True, **{options})
    X, y = load_iris(return_X_y=True)
    with mlflow.start_run() as run:
        Slow().fit(X, y)
    print(run.info.run_id, flush=True)
    {end}
"""


def script(store, end, before="pass", **options):
    """Run a script that fits, with no guard around its main part, and ends in some way."""
    code = textwrap.dedent(SLOW).format(before=before)
    code += textwrap.dedent(SCRIPT).format(end=end, options=options)
    Path("training.py").write_text(code)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
    source = str(Path(mlflow_interpret.__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "training.py"],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    Path("training.py").unlink()
    return done, done.stdout.split()[0]


def test_the_end_of_the_process_waits(store):
    done, run_id = script(store, "pass")
    assert done.returncode == 0, done.stderr
    assert MlflowClient().get_run(run_id).data.tags["mlflow_interpret.status"] == "complete"
    assert "Explained Slow" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(snapshots.directory().glob("*")) == []
    assert list(Path.cwd().iterdir()) == []


@posix
def test_flush_explains_pending_fits_of_a_killed_process(store):
    done, run_id = script(store, "os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    assert "mlflow_interpret.status" not in MlflowClient().get_run(run_id).data.tags
    explanation_id = spool.entry_of(snapshots.abandoned()[0].folder).explanation_id
    listed = CliRunner().invoke(main, ["flush", "--list"])
    assert f"run {run_id}" in listed.output
    assert "Slow, not explained yet" in listed.output
    flushed = CliRunner().invoke(main, ["flush"])
    assert flushed.exit_code == 0, flushed.output
    assert f"logged to run {run_id}" in flushed.output
    loaded = mlflow_store.load(run_id, None, store)
    assert (loaded.id, loaded.features) == (explanation_id, ("x0", "x1", "x2", "x3"))
    assert "Nothing is kept" in CliRunner().invoke(main, ["flush"]).output


@posix
@pytest.mark.exhaustive
def test_flush_reports_pending_fits_without_rows(store, tmp_path):
    mine = tmp_path / "temporary"
    mine.mkdir()
    begun = f"{tmp_path}/begun"  # made by the worker
    end = f"""
while not os.path.exists({begun!r}):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(mine))
        done, run_id = script(
            store,
            textwrap.dedent(end).replace("\n    ", "\n"),
            f"open({begun!r}, 'w').close(); {HANGS}",
            log_data=False,
        )
    assert done.returncode == -signal.SIGKILL
    flushed = CliRunner().invoke(main, ["flush"])
    assert flushed.exit_code == 1
    assert "log_data=False" in flushed.output
    assert status(run_id, store)["status"] == "skipped"
    deadline = time.monotonic() + 60
    while list(mine.rglob("snapshot.pkl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(mine.rglob("snapshot.pkl")) == []


@posix
@pytest.mark.exhaustive
def test_a_forked_process_has_its_own_queue(store):
    end = """
if os.fork() == 0:
        Slow().fit(X, y)
        os._exit(0 if mlflow_interpret.flush(120) else 1)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0"""
    done, _ = script(store, textwrap.dedent(end).replace("\n    ", "\n"))
    assert done.returncode == 0, done.stderr
    assert len([run for run in all_runs() if run.data.metrics]) == 2
