"""Explanations that could not be logged are logged later as the fit would have logged them."""

from __future__ import annotations

import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from logged_explanations import explanation
from mlflow_interpret.autologging import begun_logs, kept, run_context
from mlflow_interpret.cli import main
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool

X, y = load_iris(return_X_y=True, as_frame=True)


each_fault = pytest.mark.parametrize(
    ("step", "is_done"),
    [
        ("create_run", True),
        ("create_run", False),
        ("log_artifacts", False),
        ("log_batch", True),
        ("set_terminated", False),
    ],
)


class LostError(Exception):
    """A request without an answer."""


@pytest.fixture(autouse=True)
def _new_process():
    kept._kept.clear()
    run_context._unfinished.clear()
    yield
    kept._kept.clear()
    run_context._unfinished.clear()


@pytest.fixture
def fail(monkeypatch):
    """A function that lets the next call of a method of MLflow's client fail."""

    def fail(name, *, is_done):
        original = getattr(MlflowClient, name)

        def failing(self, *args, **kwargs):
            monkeypatch.setattr(MlflowClient, name, original)
            if is_done:
                original(self, *args, **kwargs)
            raise LostError("connection lost")

        monkeypatch.setattr(MlflowClient, name, failing)

    return fail


def fit(**options):
    mlflow_interpret.autolog(log_figures=False, log_report=False, **options)
    DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)


def flush():
    """Run the command as another process does."""
    kept._kept.clear()
    done = CliRunner().invoke(main, ["flush"])
    assert done.exit_code == 0, done.output
    return done.output


def all_runs():
    return mlflow.search_runs(output_format="list")


def folders(run):
    paths = [entry.path for entry in MlflowClient().list_artifacts(run.info.run_id)]
    return [path for path in paths if path.startswith("mlflow_interpret")]


@each_fault
def test_flush_completes_the_run_that_autolog_creates(store, fail, step, is_done):
    fail(step, is_done=is_done)
    fit(extra_tags={"team": "a"})
    (waiting,) = spool.folders()
    created = spool.entry_of(waiting).created
    flush()
    (run,) = all_runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["team"] == "a"
    assert run.data.tags["mlflow.autologging"] == "mlflow_interpret"
    assert run.data.tags["mlflow_interpret.explanation_id"] == waiting.name
    assert folders(run) == ["mlflow_interpret"]
    assert (
        len(MlflowClient().get_metric_history(run.info.run_id, next(iter(run.data.metrics)))) == 1
    )
    if created is not None:
        assert mlflow_store.status_of(run.info.run_id, store)["created"] == created
    assert spool.folders() == []


def test_a_run_without_an_end_is_named_in_the_warning(store, fail, caplog):
    fail("set_terminated", is_done=False)
    fit()
    (run,) = all_runs()
    assert run.info.status == "RUNNING"
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert f"is in run {run.info.run_id}, which could not be ended: connection lost" in warning
    assert warning.endswith("end the run later with: mlflow-interpret flush")


def test_the_name_and_the_experiment_of_a_new_run_are_kept(store, fail):
    experiment = mlflow.set_experiment("of the fit").experiment_id
    fail("create_run", is_done=False)
    fit()
    new_run = spool.entry_of(*spool.folders()).new_run
    mlflow.set_experiment("another")
    flush()
    (run,) = mlflow.search_runs([experiment], output_format="list")
    assert run.info.run_name == new_run.name
    assert run.info.start_time == int(new_run.started * 1000)
    assert all_runs() == []


def test_the_next_fit_logs_what_its_process_has_kept(store, fail, caplog):
    fail("log_batch", is_done=True)
    with mlflow.start_run() as first:
        fit()
    assert len(spool.folders()) == 1
    with mlflow.start_run() as second:
        fit()
    assert spool.folders() == []
    for started in (first, second):
        run = mlflow.get_run(started.info.run_id)
        assert run.data.tags["mlflow_interpret.explanations"] == "1"
        assert folders(run) == ["mlflow_interpret"]
    assert f"is logged to run {first.info.run_id}" in caplog.text


def test_an_explanation_that_fails_again_waits_for_the_next_fit(store, fail):
    fail("log_batch", is_done=True)
    with mlflow.start_run():
        fit()
    original = kept.log_to_run

    def refuse(*_, **__):
        raise LostError

    with pytest.MonkeyPatch.context() as patch, mlflow.start_run():
        patch.setattr(kept, "log_to_run", refuse)
        fit()
    assert len(spool.folders()) == 1
    assert kept.log_to_run is original
    with mlflow.start_run():
        fit()
    assert spool.folders() == []


class Outer(RegressorMixin, BaseEstimator):
    """A model that MLflow does not know; it logs the fit of the inner one into a run of its own."""

    def fit(self, X, y):
        self.inner_ = LinearRegression().fit(X, y)
        return self

    def predict(self, X):
        return self.inner_.predict(X)


@pytest.mark.parametrize("n_failures", [1, 2])
@pytest.mark.filterwarnings("ignore")
def test_the_run_of_an_autologger_is_found_when_the_server_answers(store, monkeypatch, n_failures):
    original, calls = mlflow_store.get_run, []

    def get_run(*arguments):
        calls.append(1)
        if len(calls) <= n_failures:
            raise LostError
        return original(*arguments)

    mlflow.sklearn.autolog(log_models=False, silent=True)
    mlflow_interpret.autolog(log_figures=False, log_report=False, estimators=[Outer], max_rows=5)
    monkeypatch.setattr(mlflow_store, "get_run", get_run)
    Outer().fit(X, y)
    assert len(spool.folders()) == n_failures - 1
    if n_failures == 2:
        flush()
    (run,) = all_runs()
    assert run.data.params["fit_intercept"] == "True"
    assert folders(run) == ["mlflow_interpret"]
    assert run.info.status == "FINISHED"


def test_a_run_says_what_was_lost_on_a_full_disk(store, fail, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlflow_interpret.runtime.temporary_folders.create", full)
    monkeypatch.setattr(spool, "update", full)
    with mlflow.start_run() as run:
        fit()
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "No space left on device. Nor could it be kept" in warning
    assert "MLFLOW_INTERPRET_SPOOL" in warning
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert tags["mlflow_interpret.status"] == "skipped"
    assert "No space left on device" in tags["mlflow_interpret.reason"]
    assert list(spool.directory().iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
def test_fit_survives_a_disk_on_which_nothing_can_be_written(store, caplog):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    mlflow_interpret.autolog(log_figures=False, log_report=False)
    with mlflow.start_run() as run:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # bytes of a file
        try:
            model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert model.get_depth() == 2
        (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert "Nor could it be kept on this machine: [Errno 27] File too large" in warning
        assert not list(spool.directory().rglob("*.json"))
        fit()  # there is room again
    assert folders(run) == ["mlflow_interpret"]
    assert mlflow_store.status_of(run.info.run_id, store)["status"] == "complete"


def test_without_a_temporary_folder_the_explanation_is_kept(store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, mlflow.start_run() as run:
        patch.setattr("mlflow_interpret.runtime.temporary_folders.create", full)
        fit()
    flush()
    assert folders(run) == ["mlflow_interpret"]


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")


def killed_during(monkeypatch, step, function, **options):
    """Call a function in a forked process that ends at the call of a method of MLflow's client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:
        if step is not None:
            monkeypatch.setattr(MlflowClient, step, lambda *_, **__: os._exit(3))
        function(**options)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


@needs_fork
@pytest.mark.parametrize("step", ["log_batch", "set_terminated"])
def test_flush_completes_what_a_killed_process_was_logging(store, monkeypatch, step):
    killed_during(monkeypatch, step, fit, extra_tags={"team": "a"})
    (run,) = all_runs()
    assert run.info.status == "RUNNING"
    listed = CliRunner().invoke(main, ["flush", "--list"]).output
    assert f"run {run.info.run_id}  {store}  not logged completely" in listed
    flush()
    (run,) = all_runs()
    tags = run.data.tags
    assert (run.info.status, tags["team"]) == ("FINISHED", "a")
    assert (tags["mlflow_interpret.status"], tags["mlflow_interpret.explanations"]) == (
        "complete",
        "1",
    )
    assert run.data.metrics
    assert folders(run) == ["mlflow_interpret"]
    assert "Nothing is kept" in flush()


@needs_fork
def test_flush_completes_the_skipped_fit_of_a_killed_process(store, monkeypatch):
    killed_during(monkeypatch, "log_batch", skipped_fit)
    flush()
    (run,) = all_runs()
    tags = run.data.tags
    assert (run.info.status, tags["mlflow_interpret.status"]) == ("FINISHED", "skipped")
    assert folders(run) == ["mlflow_interpret"]
    assert "no prediction" in mlflow_store.status_of(run.info.run_id, store)["reason"]
    assert "Nothing is kept" in flush()


@needs_fork
def test_a_run_says_that_its_explanation_was_lost_with_its_process(store, monkeypatch):
    monkeypatch.setattr(
        "mlflow_interpret.autologging.computed.ComputedHere.write", lambda *_: os._exit(3)
    )
    killed_during(monkeypatch, None, fit)
    flush()
    (run,) = all_runs()
    tags = run.data.tags
    assert (run.info.status, tags["mlflow_interpret.status"]) == ("FINISHED", "skipped")
    assert folders(run) == ["mlflow_interpret"]
    reason = mlflow_store.status_of(run.info.run_id, store)["reason"]
    assert reason.startswith("its process ended before the explanation was logged")
    assert "Nothing is kept" in flush()


def test_a_log_leaves_no_note(store, fail):
    fail("log_batch", is_done=False)
    fit()
    fit()
    skipped_fit()
    assert mlflow_interpret.flush()
    assert not begun_logs.directory().exists() or not list(begun_logs.directory().iterdir())


def skipped_fit(**options):
    mlflow_interpret.autolog(max_rows=5, **options)
    Unexplainable().fit(X, y)


class Unexplainable(RegressorMixin, BaseEstimator):
    """A model that predicts nothing."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        raise ValueError("no prediction")


def test_the_reason_of_a_skipped_fit_is_kept_with_one_warning(store, fail, caplog):
    fail("log_batch", is_done=False)
    skipped_fit(extra_tags={"team": "a"})
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    (run,) = all_runs()
    assert warning.startswith("The fit of Unexplainable was not explained: ")
    assert f"The reason could not be logged to run {run.info.run_id}: connection lost" in warning
    assert warning.endswith("log it later with: mlflow-interpret flush")
    assert f"{spool.folders()[0].name}  logged to run {run.info.run_id}" in flush()
    (run,) = all_runs()
    tags = run.data.tags
    assert (run.info.status, tags["team"]) == ("FINISHED", "a")
    assert tags["mlflow_interpret.status"] == "skipped"
    assert "mlflow_interpret.explanation_id" not in tags
    assert folders(run) == ["mlflow_interpret"]
    assert "no prediction" in mlflow_store.status_of(run.info.run_id, store)["reason"]


def test_a_kept_skipped_fit_finds_its_record_among_others(store, fail):
    with mlflow.start_run() as run:
        fit()
        for number in range(6):  # the last of them have no tags
            if number == 4:
                fail("log_batch", is_done=True)
            skipped_fit()
            kept._kept.clear()
    (waiting,) = spool.folders()
    before = folders(run)
    flush()
    assert folders(run) == before
    client = MlflowClient()
    records = [mlflow_store.status_of(run.info.run_id, store, n) for n in range(1, 8)]
    assert [record.get("fit_id") == waiting.name for record in records].index(True) == 5
    assert client.get_run(run.info.run_id).data.tags["mlflow_interpret.explanations"] == "7"


@each_fault
def test_log_explanation_again_completes_its_run(store, fail, step, is_done):
    explained = mlflow_interpret.explain(DecisionTreeClassifier(max_depth=2).fit(X, y), X)
    options = {"log_figures": False, "log_report": False}
    fail(step, is_done=is_done)
    with pytest.raises(LostError):
        mlflow_interpret.log_explanation(explained, **options)
    run_id = mlflow_interpret.log_explanation(explained, **options)
    (run,) = all_runs()
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert folders(run) == ["mlflow_interpret"]
    assert mlflow_interpret.log_explanation(explained, **options) != run_id  # on purpose
    assert len(all_runs()) == 2


def test_two_processes_flush_at_the_same_time(store, monkeypatch):
    with mlflow.start_run() as run:
        pass
    entry = spool.Entry.of(Options(log_figures=False, log_report=False), store, run.info.run_id)
    spool.keep(explanation(), entry)
    is_logging, other_has_ended = threading.Event(), threading.Event()
    original = kept.log_to_run

    def log_slowly(*arguments, **options):
        is_logging.set()
        assert other_has_ended.wait(60)
        return original(*arguments, **options)

    monkeypatch.setattr(kept, "log_to_run", log_slowly)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kept.log_kept, spool.folders()[0], store)
        assert is_logging.wait(60)
        assert "left out: Another process is logging it." in flush()
        other_has_ended.set()
        assert first.result() == run.info.run_id
    assert folders(run) == ["mlflow_interpret"]
    assert "Nothing is kept" in flush()


def test_an_explanation_is_compared_with_its_baseline_once(store, monkeypatch):
    monkeypatch.setattr(
        "mlflow_interpret.autologging.baseline.baseline_details",
        lambda *_: pytest.fail("it is compared already"),
    )
    with mlflow.start_run() as run:
        pass
    record = explanation()
    compared = replace(
        record, details=replace(record.details, baseline=None, baseline_missing="no run")
    )
    options = Options(baseline="latest", log_figures=False, log_report=False)
    spool.keep(compared, spool.Entry.of(options, store, run.info.run_id))
    flush()
    assert mlflow_store.status_of(run.info.run_id, store)["baseline_missing"] == "no run"
