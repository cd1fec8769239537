"""Child processes that run a module of this package."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlflow_interpret.runtime import worker_process


def test_a_child_has_the_path_of_this_process_and_another_working_directory(tmp_path, monkeypatch):
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
def test_processes_that_a_child_started_end_with_it(tmp_path, monkeypatch):
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
    deadline = time.monotonic() + 60
    while _is_alive(inner) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(inner)


def test_a_child_that_is_killed_while_it_starts_does_not_answer(tmp_path, monkeypatch):
    (tmp_path / "hanging.py").write_text("import time; time.sleep(600)")
    monkeypatch.syspath_prepend(tmp_path)
    child = worker_process.Child("hanging")
    child.kill()
    with pytest.raises(worker_process.ProcessDiedError):
        child.ask({})


def _is_alive(pid):
    if Path("/proc/self/stat").exists():  # minimal systems have no ps
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state != "Z"
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip() not in {"", "Z", "Zs"}


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="Linux' autogroups are not there"
)
def test_the_session_of_a_child_gives_way_until_someone_waits_for_it(tmp_path, monkeypatch):
    (tmp_path / "asking.py").write_text(
        "import sys\n"
        "for _ in sys.stdin:\n"
        "    group = open('/proc/self/autogroup').read().split()\n"
        "    print(int(group[-1]), flush=True)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    child = worker_process.Child("asking", niceness=10)
    niceness = [child.ask({})]
    child.hurry()
    niceness.append(child.ask({}))
    child.give_way()
    niceness.append(child.ask({}))
    child.end()
    assert niceness == [10, 0, 10]
