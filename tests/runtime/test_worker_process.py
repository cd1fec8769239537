"""Child processes of our own."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mlflow_interpret.runtime import worker_process


def test_a_child_knows_this_process_path_and_runs_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "echoing.py").write_text(
        "import os, sys; print(sys.stdin.readline().strip(), os.getcwd())"
    )
    monkeypatch.syspath_prepend(tmp_path / "path")
    (tmp_path / "elsewhere").mkdir()
    child = worker_process.start("echoing", tmp_path / "elsewhere")
    answer, errors = child.communicate("grüß\n", timeout=60)
    assert answer.split() == ["grüß", str(tmp_path / "elsewhere")], errors


@pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups to end there")
def test_what_a_child_started_ends_with_it(tmp_path, monkeypatch):
    (tmp_path / "starting.py").write_text(
        "import subprocess, sys, time\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(inner.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    child = worker_process.start("starting", tmp_path)
    inner = int(child.stdout.readline())
    worker_process.end(child)
    assert child.returncode != 0
    deadline = time.monotonic() + 10
    while _lives(inner) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(inner)


def _lives(pid):
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip() not in {"", "Z", "Zs"}
