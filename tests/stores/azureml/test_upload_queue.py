"""Uploads beside the training: bounded in time, in a folder of their own, each with one result."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import mlflow_interpret
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.runtime import worker_process
from mlflow_interpret.stores.azureml import upload_queue
from mlflow_interpret.stores.azureml.worker_pool import WorkerPool
from mlflow_interpret.stores.azureml.workspace import AzureRun, AzureWorkspace

RUN = AzureRun(AzureWorkspace("s", "group", "space", "t0ken-t0ken", "https://host"), "exp", "run-1")
READ = """
import json, os, sys, time
def requests():
    for line in sys.stdin:
        yield json.loads(line)
def answer(**fields):
    print(json.dumps(fields), flush=True)
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)
"""


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """Replaces the program of the worker processes; returns the list of the started processes."""
    processes = []

    def replace(code):
        script = tmp_path / "worker.py"
        script.write_text(READ + textwrap.dedent(code))
        original = worker_process.subprocess.Popen

        def start(command, **options):
            processes.append(original([sys.executable, str(script)], **options))
            return processes[-1]

        monkeypatch.setattr(worker_process.subprocess, "Popen", start)
        return processes

    monkeypatch.setattr(upload_queue, "_state", upload_queue._State())
    monkeypatch.setattr(upload_queue, "_workers", WorkerPool("unused", idle_seconds=60.0))
    yield replace
    upload_queue._workers.end_idle()


@pytest.fixture
def upload(tmp_path):
    def run(timeout=60.0, find_run=lambda: RUN):
        results = []
        done = threading.Event()

        def finished(result):
            results.append(result)
            done.set()

        options = upload_queue.UploadOptions("c", 0, 7, timeout)
        upload_queue.start(tmp_path, find_run, options, finished)
        assert upload_queue.flush()
        assert done.is_set()
        (result,) = results
        return result

    return run


def test_the_worker_gets_the_run_and_a_work_folder_but_no_token_in_its_environment(
    worker, upload, tmp_path
):
    worker(f"""
        for request in requests():
            assert request["run"]["workspace"]["token"] == "t0ken-t0ken"
            assert (request["comment"], request["points"]) == ("c", 7)
            assert request["folder"] == {str(tmp_path)!r}
            assert "t0ken" not in str(os.environ) + str(sys.argv)
            open(os.path.join(request["work"], "stray"), "w").close()
            open({str(tmp_path / "where")!r}, "w").write(request["work"])
            answer(ok=True, explanation_id="there", tagged=True)
    """)
    result = upload()
    assert result.ok, result.reason
    assert result.explanation_id == "there"
    assert not Path((tmp_path / "where").read_text()).exists()
    assert list(Path.cwd().iterdir()) == []


def test_one_worker_serves_several_uploads(worker, upload):
    processes = worker("""
        for request in requests():
            answer(ok=True, explanation_id=str(os.getpid()))
    """)
    pids = {upload().explanation_id for _ in range(3)}
    assert pids == {str(process.pid) for process in processes}
    assert len(processes) == 1


def test_a_worker_that_failed_or_has_another_environment_is_replaced(worker, upload, monkeypatch):
    processes = worker("""
        for request in requests():
            answer(ok=bool(os.environ.get("ACCEPT")), reason="refused")
    """)
    assert upload().reason == "refused"
    monkeypatch.setenv("ACCEPT", "1")
    assert upload().ok
    monkeypatch.setenv("ACCEPT", "2")
    assert upload().ok
    assert len(processes) == 3
    assert [process.poll() is None for process in processes] == [False, False, True]


def test_an_idle_worker_is_ended(worker, upload, monkeypatch):
    monkeypatch.setattr(upload_queue, "_workers", WorkerPool("unused", idle_seconds=0.05))
    processes = worker("""
        for request in requests():
            answer(ok=True)
    """)
    assert upload().ok
    assert processes[0].wait(30) is not None


def test_a_reason_has_no_secrets(worker, upload):
    worker("""
        for request in requests():
            print("noise", file=sys.stderr)
            answer(ok=False, reason="refused t0ken-t0ken")
    """)
    result = upload()
    assert not result.ok
    assert result.reason == "refused ***"


def test_a_worker_that_hangs_is_killed(worker, upload):
    processes = worker("time.sleep(600)")
    result = upload(timeout=3.0)
    assert not result.ok
    assert "within 3 seconds" in result.reason
    assert processes[0].poll() is not None


def test_the_last_line_of_a_worker_that_died_is_part_of_the_reason(worker, upload):
    worker("""
        print("Segmentation fault", file=sys.stderr)
        sys.exit(7)
    """)
    result = upload()
    assert result.reason == "the upload process ended with exit code 7: Segmentation fault"


def test_a_run_that_is_not_found_is_a_failed_upload(upload):
    def find_run():
        raise AzureMLError("no such run")

    assert upload(find_run=find_run).reason == "no such run"


def test_flush_returns_after_its_timeout(worker, tmp_path):
    may_end = tmp_path / "may end"
    worker(f"""
        for request in requests():
            wait_for({str(may_end)!r})
            answer(ok=True)
    """)
    options = upload_queue.UploadOptions(None, 0, None, 60.0)
    upload_queue.start(tmp_path, lambda: RUN, options, lambda result: None)
    assert upload_queue.flush(timeout=0.01) is False
    may_end.touch()
    assert upload_queue.flush() is True


def test_uploads_to_two_runs_run_at_the_same_time(worker, tmp_path):
    started = {"run 1": "run 2", "run 2": "run 1"}
    worker(f"""
        for request in requests():
            folder, other = {str(tmp_path)!r}, {started!r}[request["comment"]]
            open(os.path.join(folder, request["comment"]), "w").close()
            wait_for(os.path.join(folder, other))
            answer(ok=True)
    """)
    results = []
    for run in started:
        options = upload_queue.UploadOptions(run, 0, None, 60.0)
        upload_queue.start(tmp_path, lambda: RUN, options, results.append, run)
    assert upload_queue.flush()
    assert [result.ok for result in results] == [True, True]


def test_uploads_to_one_run_keep_their_order(worker, tmp_path):
    may_end = tmp_path / "may end"
    worker(f"""
        for request in requests():
            if request["comment"] == "first":
                wait_for({str(may_end)!r})
            answer(ok=True, explanation_id=request["comment"])
    """)
    results = []
    for comment in ("first", "second", "third"):
        options = upload_queue.UploadOptions(comment, 0, None, 60.0)
        upload_queue.start(tmp_path, lambda: RUN, options, results.append, "run")
    assert upload_queue.flush(timeout=0.1) is False
    assert results == []  # the others wait for the first
    may_end.touch()
    assert upload_queue.flush()
    assert [result.explanation_id for result in results] == ["first", "second", "third"]
    assert upload_queue._state.ended == {}


AT_EXIT = """
import atexit
from pathlib import Path
{before}
from mlflow_interpret.stores.azureml import upload_queue
from mlflow_interpret.stores.azureml.workspace import AzureRun, AzureWorkspace

run = AzureRun(AzureWorkspace("s", "g", "n", "t", "https://host"), "exp", "run-1")
upload_queue._ask_worker = lambda request, deadline: {{"ok": True, "explanation_id": "there"}}

def late():
    options = upload_queue.UploadOptions(None, 0, None, 30.0)
    upload_queue.start(Path(), lambda: run, options, lambda result: print(result.ok))

{after}
"""


@pytest.mark.parametrize(
    ("before", "after"), [("atexit.register(lambda: late())", ""), ("", "atexit.register(late)")]
)
def test_an_upload_that_starts_while_the_process_exits_is_finished(before, after):
    """Like that of a model explained in the background, in either order of the exit functions."""
    code = AT_EXIT.format(before=before, after=after)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout.split() == ["True"], process.stderr


FOLDERS_AT_EXIT = """
from mlflow_interpret.stores.azureml import upload_queue  # before the first temporary folder
import os, tempfile, time
from pathlib import Path
from mlflow_interpret.stores.azureml.workspace import AzureRun, AzureWorkspace

def ask_worker(request, deadline):
    time.sleep(1)  # the process exits meanwhile
    return {"ok": os.path.isdir(request["work"]) and os.path.isdir(folder.name)}

folder = tempfile.TemporaryDirectory()
run = AzureRun(AzureWorkspace("s", "g", "n", "t", "https://host"), "exp", "run-1")
upload_queue._ask_worker = ask_worker
options = upload_queue.UploadOptions(None, 0, None, 30.0)
upload_queue.start(Path(), lambda: run, options, lambda result: print(result.ok))
"""


def test_temporary_folders_exist_until_the_last_upload_ends():
    process = subprocess.run(
        [sys.executable, "-c", FOLDERS_AT_EXIT], capture_output=True, text=True
    )
    assert process.stdout.split() == ["True"], process.stderr


def test_while_the_process_exits_all_uploads_together_get_the_time_of_one(worker, tmp_path):
    worker("time.sleep(600)")
    results = []
    options = upload_queue.UploadOptions(None, 0, None, 2.0)
    for number in range(4):
        upload_queue.start(tmp_path, lambda: RUN, options, results.append, str(number))
    upload_queue._finish_at_exit()
    assert len(results) == 4
    assert not any(result.ok for result in results)
    # Two uploads have to wait for the others, and so for the end of the process.
    reasons = [result.reason for result in results]
    assert sum("the process ended before the upload" in reason for reason in reasons) >= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_waits_for_no_upload_of_its_parent(worker, tmp_path):
    may_end = tmp_path / "may end"
    worker(f"""
        for request in requests():
            wait_for({str(may_end)!r})
            answer(ok=True)
    """)
    options = upload_queue.UploadOptions(None, 0, None, 60.0)
    upload_queue.start(tmp_path, lambda: RUN, options, lambda result: None)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if upload_queue.flush(0.0) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    may_end.touch()
    assert mlflow_interpret.flush()
