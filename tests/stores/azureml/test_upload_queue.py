"""The child process: bounded, in a folder of its own, and heard of once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import mlflow_interpret
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores.azureml import upload_queue
from mlflow_interpret.stores.azureml.targets import Target

RECORD = Explanation(
    method="shap_tree",
    task="regression",
    model_class=None,
    features=("a", "b"),
    global_values=np.array([1.0, 2.0]),
)
TARGET = Target("workspace", "run-1", token="t0ken-t0ken")


@pytest.fixture
def child(monkeypatch, tmp_path):
    """Puts a program of the test's in the place of the one that calls ExplanationClient."""

    def replace(code):
        script = tmp_path / "child.py"
        script.write_text(textwrap.dedent(code))
        original = upload_queue.subprocess.Popen
        monkeypatch.setattr(
            upload_queue.subprocess,
            "Popen",
            lambda command, **options: original([sys.executable, str(script)], **options),
        )

    return replace


def upload(timeout=60.0):
    results = []
    done = threading.Event()

    def finished(result):
        results.append(result)
        done.set()

    upload_queue.start(
        RECORD, lambda: TARGET, upload_queue.UploadOptions("c", 0, 7, timeout), finished
    )
    assert mlflow_interpret.flush()
    assert done.is_set()
    (result,) = results
    return result


def test_the_child_gets_the_explanation_the_target_and_a_folder_of_its_own(child, tmp_path):
    child(f"""
        import json, os, sys
        request = json.load(sys.stdin)
        assert request["target"]["token"] == "t0ken-t0ken"
        assert (request["comment"], request["points"]) == ("c", 7)
        assert os.path.exists(os.path.join(request["folder"], "explanation.json"))
        assert "t0ken" not in str(os.environ) + str(sys.argv)
        open("stray", "w").close()
        open({str(tmp_path / "where")!r}, "w").write(os.getcwd())
        print(json.dumps({{"ok": True}}))
    """)
    result = upload()
    assert result.ok, result.reason
    where = Path((tmp_path / "where").read_text())
    assert not where.exists()
    assert list(Path.cwd().iterdir()) == []


def test_a_reason_comes_back_without_secrets(child):
    child("""
        import json, sys
        sys.stdin.read()
        print("noise")
        print(json.dumps({"ok": False, "reason": "refused t0ken-t0ken"}))
    """)
    result = upload()
    assert not result.ok
    assert result.reason == "refused ***"


def test_a_child_that_hangs_is_ended(child, tmp_path):
    child(f"""
        import os, sys, time
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        time.sleep(600)
    """)
    result = upload(timeout=3.0)
    assert not result.ok
    assert "within" in result.reason
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_child_that_dies_says_its_last_line(child):
    child("""
        import sys
        print("Segmentation fault")
        sys.exit(7)
    """)
    result = upload()
    assert result.reason == "the upload process ended with exit code 7: Segmentation fault"


def test_an_explanation_that_cannot_be_written_is_a_failed_upload(monkeypatch):
    def refuse(*_):
        raise OSError("no space left")

    monkeypatch.setattr(upload_queue.storage, "write", refuse)
    assert "no space left" in upload().reason


def test_flush_gives_up_when_told_to(child):
    child("import time; time.sleep(1)")
    upload_queue.start(
        RECORD, lambda: TARGET, upload_queue.UploadOptions(None, 0, None, 30.0), lambda result: None
    )
    assert mlflow_interpret.flush(timeout=0.01) is False
    assert mlflow_interpret.flush() is True


AT_EXIT = """
import atexit, sys
{first}
import numpy as np
from mlflow_interpret.azureml import uploads
from mlflow_interpret.stores.azureml.targets import Target
from mlflow_interpret.core.explanation import Explanation

record = Explanation("shap_tree", "regression", None, ("a",), np.ones(1))
upload_queue._run_child = lambda request, *_: {{"ok": True, "explanation_id": "there"}}

def late():
    find = lambda: Target("job", "run-1")
    upload_queue.start(record, find, upload_queue.UploadOptions(None, 0, None, 30.0), lambda result: print(result.ok))

{last}
"""


@pytest.mark.parametrize(
    "order", [("atexit.register(lambda: late())", ""), ("", "atexit.register(late)")]
)
def test_an_upload_that_starts_when_the_process_ends_is_made(order):
    """As one of a model that was explained in the background, whoever's exit comes first."""
    code = AT_EXIT.format(first=order[0], last=order[1])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True"], done.stderr


def test_when_the_process_ends_all_uploads_together_get_the_time_of_one(child, monkeypatch):
    child("import time; time.sleep(600)")
    monkeypatch.setattr(upload_queue._Closing, "end", float("inf"))
    monkeypatch.setattr(upload_queue._Closing, "over", False)
    results = []
    for _ in range(4):
        upload_queue.start(
            RECORD, lambda: TARGET, upload_queue.UploadOptions(None, 0, None, 2.0), results.append
        )
    upload_queue._close()
    assert len(results) == 4
    assert not any(result.ok for result in results)
    assert sum("its turn" in result.reason for result in results) >= 2  # no child was started
