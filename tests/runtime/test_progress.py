"""Progress bars: on terminals and in notebooks, after two seconds."""

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

NEVER = 3600.0  # seconds, far more than the work takes
# Three reports: at once, after the delay, at the end. The delay is shortened.
WORK = """
import sys, time
from mlflow_interpret.runtime import progress
progress.DELAY = {delay}
with progress.progress("Explaining", unit="rows", silent={silent}) as report:
    for done in (0, 40, 80, 100):
        report(done, 100)
        time.sleep(0.15)
print("threads", *sorted(t.name for t in __import__("threading").enumerate()))
"""


# A wait for two uploads; each logs a line at its end.
WAITING = """
import time
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime import progress
from mlflow_interpret.runtime.messages import show_messages, warn

progress.DELAY, progress.POLL_SECONDS = {delay}, 0.15  # tqdm draws ten times a second
show_messages()
counts = [2, 2, 2, 2, 1, 1, 0]  # of the uploads that run
counted = []

def count_left():
    counted.append(counts[len(counted)])
    if counted[-1] < max(counted[-2:]):
        warn(Options(silent={silent}), "finished")
    return counted[-1]

progress.wait(
    count_left, time.sleep, None, description="Uploading", unit="files", silent={silent}
)
"""


def run_on_terminal(delay=0.1, silent=False):
    """The text that a child process writes to a terminal, and its standard output."""
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


def test_a_terminal_shows_long_work():
    shown, output = run_on_terminal()
    assert "Explaining" in shown
    assert "80/100" in shown
    assert shown.rstrip(" ").endswith("\r")  # the bar is wiped out at the end
    assert "threads MainThread\n" in output


def test_short_work_shows_nothing():
    shown, _ = run_on_terminal(delay=NEVER)
    assert shown == ""


def test_a_terminal_shows_a_wait_and_whole_lines_beside_it():
    shown, _ = on_terminal(WAITING.format(delay=0.1, silent=False))
    assert "Uploading" in shown
    assert "1/2" in shown
    assert shown.count("0/2") > 1  # the elapsed time is updated while nothing finishes
    assert shown.count("WARNING mlflow_interpret: finished\r\n") == 2
    for line in shown.split("WARNING")[:-1]:  # up to the time, which stands before it
        assert not line.rpartition("\r")[2].rstrip().strip("0123456789/: ")


def test_a_silent_wait_shows_nothing():
    shown, _ = on_terminal(WAITING.format(delay=0.1, silent=True))
    assert shown == ""


def test_a_line_that_is_logged_before_the_delay_shows_no_bar():
    shown, _ = on_terminal(WAITING.format(delay=NEVER, silent=False))
    assert "Uploading" not in shown
    assert shown.count("finished") == 2


def test_a_wait_returns_the_number_that_is_left(monkeypatch):
    left = [3]

    def pause(seconds):
        assert 0 < seconds <= 10
        left[0] -= 1

    assert module.wait(lambda: left[0], pause, None, description="Waiting", unit="models") == 0
    left[0] = 3
    monkeypatch.setattr(module, "POLL_SECONDS", 10.0)
    assert module.wait(lambda: 3, lambda _: time.sleep(0.02), 0.01, description="", unit="") == 3
    assert module.wait(lambda: 3, pytest.fail, 0, description="Waiting", unit="models") == 3


def test_silent_shows_nothing():
    shown, _ = run_on_terminal(silent=True)
    assert shown == ""


def test_a_log_file_gets_no_bar():
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


def test_a_notebook_shows_a_bar(monkeypatch):
    stream = pretend(monkeypatch, io.StringIO())
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("ipykernel.zmqshell"))
    with progress("Comparing", unit="runs") as report:
        report(3, 10)
    assert "Comparing" in stream.getvalue()


# A kernel without ipywidgets, as tqdm recognizes it.
KERNEL = """
import sys, types, warnings
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
sys.modules["ipywidgets"] = None
shell = types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = lambda: shell
warnings.simplefilter("always")
"""


@pytest.mark.parametrize(
    ("statement", "warns"), [("", True), ("from mlflow_interpret import explain", False)]
)
def test_a_notebook_without_widgets_shows_no_warning_of_tqdm(statement, warns):
    code = f"{KERNEL}{statement}\nimport tqdm.auto"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("IProgress not found" in child.stderr) == warns


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_missing_standard_error_is_not_an_error(monkeypatch, stream):
    if stream is not None:
        stream.close()
    pretend(monkeypatch, stream)
    with progress("Comparing") as report:
        report(1, 2)


def test_a_terminal_that_closes_is_not_an_error(monkeypatch):
    terminal = pretend(monkeypatch, Terminal())
    with progress("Comparing") as report:
        report(1, 3)
        terminal.close()
        report(2, 3)


def test_reports_may_be_out_of_order_and_the_total_late(monkeypatch):
    terminal = pretend(monkeypatch, Terminal())
    with progress("Explaining", unit="rows") as report:
        for done, total in ((5, None), (10, 20), (8, 20), (20, 20)):  # the 8 is another thread's
            time.sleep(0.11)  # tqdm draws ten times a second
            report(done, total)
    shown = terminal.getvalue()
    assert "5 rows" in shown
    assert "20/20" in shown


def test_the_total_is_never_below_the_finished_items(monkeypatch, recwarn):
    terminal = pretend(monkeypatch, Terminal())
    with progress("Explaining", unit="rows") as report:
        for done in (5, 20, 30):
            time.sleep(0.11)
            report(done, 10)
    assert "30/30" in terminal.getvalue()
    assert len(recwarn) == 0


def test_an_error_closes_the_bar(monkeypatch):
    terminal = pretend(monkeypatch, Terminal())
    with pytest.raises(KeyboardInterrupt), progress("Explaining") as report:
        report(1, 2)
        raise KeyboardInterrupt
    assert terminal.getvalue().rstrip(" ").endswith("\r")
