"""Progress is for people who wait: on a terminal or in a notebook, after two seconds, nowhere else."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import types

import pytest

from mlflow_interpret.runtime import progress as module
from mlflow_interpret.runtime.progress import progress

# Three reports: at once, after the delay, at the end. The delay is shortened, not waited for.
WORK = """
import sys, time
from mlflow_interpret import progress
progress.DELAY = {delay}
with progress.progress("Explaining", unit="rows", silent={silent}) as report:
    for done in (0, 40, 80, 100):
        report(done, 100)
        time.sleep(0.15)
print("threads", *sorted(t.name for t in __import__("threading").enumerate()))
print("loaded", "tqdm" in sys.modules)
"""


# Two uploads of half a second, one after the other, which are waited for.
UPLOADS = """
import sys, time
import numpy as np
from mlflow_interpret import progress
from mlflow_interpret.azureml import uploads
from mlflow_interpret.stores.azureml.targets import Target
from mlflow_interpret.runtime.messages import show_messages, warn
from mlflow_interpret.core.options import Options
from mlflow_interpret.core.explanation import Explanation

progress.DELAY = progress._PACE = 0.1
show_messages()
record = Explanation("shap_tree", "regression", None, ("a",), np.ones(1))
uploads._run_child = lambda *_: (time.sleep(0.5), {"ok": True, "explanation_id": "there"})[1]
upload_options = uploads.UploadOptions(None, 0, None, 30.0, SILENT)
for _ in range(2):
    uploads.start(
        record, lambda: Target("job", "run"), upload_options, lambda _: warn(Options(silent=SILENT), "told")
    )
WAIT
"""


def run_on_terminal(delay=0.1, silent=False):
    """What a child process writes to standard error where that is a terminal, and to its output."""
    return on_terminal(WORK.format(delay=delay, silent=silent))


def on_terminal(code):
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on Windows")
    ours, its = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=its)
    os.close(its)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # Linux: the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(ours)
    output = child.communicate(timeout=60)[0].decode()
    assert child.returncode == 0
    return shown.decode(), output


def test_a_terminal_shows_what_takes_longer():
    shown, output = run_on_terminal()
    assert "Explaining" in shown
    assert "80/100" in shown
    assert shown.rstrip(" ").endswith("\r")  # the bar is wiped out at the end
    assert "threads MainThread\n" in output


def test_nothing_is_shown_of_what_is_over_soon():
    shown, output = run_on_terminal(delay=2.0)
    assert shown == ""
    assert "loaded False" in output


@pytest.mark.parametrize("wait", ["assert uploads.flush()", ""], ids=["flush", "exit"])
def test_who_waits_for_uploads_sees_it_and_lines_beside_it_are_whole(wait):
    shown, _ = on_terminal(UPLOADS.replace("WAIT", wait).replace("SILENT", "False"))
    assert "Uploading to Azure ML" in shown
    assert "1/2" in shown
    assert shown.count("0/2") > 1  # the time goes on while nothing else does
    assert shown.count("WARNING mlflow_interpret: told\r\n") == 2
    for line in shown.split("WARNING")[:-1]:  # up to the time, which stands before it
        assert not line.rpartition("\r")[2].rstrip().strip("0123456789/: ")


def test_silent_uploads_are_waited_for_in_silence():
    shown, _ = on_terminal(UPLOADS.replace("WAIT", "").replace("SILENT", "True"))
    assert shown == ""


def test_what_is_waited_for_is_counted(monkeypatch):
    left = [3]

    def pause(seconds):
        assert 0 < seconds <= 10
        left[0] -= 1

    assert module.wait(lambda: left[0], pause, None, what="Waiting", unit="models") == 0
    left[0] = 3
    monkeypatch.setattr(module, "_PACE", 10.0)
    assert module.wait(lambda: 3, lambda _: time.sleep(0.02), 0.01, what="", unit="") == 3
    assert module.wait(lambda: 3, pytest.fail, 0, what="Waiting", unit="models") == 3


def test_silent_shows_nothing():
    shown, _ = run_on_terminal(silent=True)
    assert shown == ""


def test_a_log_that_is_no_terminal_stays_as_it_was():
    code = WORK.format(delay=0.0, silent=False)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b""


def test_the_delay_is_two_seconds():
    assert module.DELAY == 2.0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def pretend(monkeypatch, stream):
    # In the test, not in a fixture: pytest puts its own standard error back between the two.
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(module, "DELAY", 0.0)
    return stream


def test_a_notebook_shows_it_though_its_standard_error_is_no_terminal(monkeypatch):
    stream = pretend(monkeypatch, io.StringIO())
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("ipykernel.zmqshell"))
    with progress("Comparing", unit="runs") as report:
        report(3, 10)
    assert "Comparing" in stream.getvalue()


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_standard_error_nothing_happens(monkeypatch, stream):
    if stream is not None:
        stream.close()
    pretend(monkeypatch, stream)
    with progress("Comparing") as report:
        report(1, 2)


def test_a_terminal_that_goes_away_is_no_failure(monkeypatch):
    terminal = pretend(monkeypatch, Terminal())
    with progress("Comparing") as report:
        report(1, 3)
        terminal.close()
        report(2, 3)


def test_a_total_may_come_late_and_reports_out_of_order(monkeypatch):
    terminal = pretend(monkeypatch, Terminal())
    with progress("Explaining", unit="rows") as report:
        report(5, None)
        for done in (10, 8, 20):  # the 8 is another thread's
            time.sleep(0.11)  # tqdm draws ten times a second
            report(done, 20)
    shown = terminal.getvalue()
    assert "5 rows" in shown
    assert "20/20" in shown


def test_the_bar_is_closed_when_the_work_fails(monkeypatch):
    terminal = pretend(monkeypatch, Terminal())
    with pytest.raises(KeyboardInterrupt), progress("Explaining") as report:
        report(1, 2)
        raise KeyboardInterrupt
    assert terminal.getvalue().rstrip(" ").endswith("\r")
