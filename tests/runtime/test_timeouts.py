"""Calls with a time-out."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from mlflow_interpret.runtime.timeouts import TimedCall, call_with_timeout


def test_a_call_returns_the_result_or_raises_the_exception():
    assert call_with_timeout(30.0, lambda: 7) == 7
    assert call_with_timeout(30.0, lambda: None) is None
    with pytest.raises(KeyError, match="gone"):
        call_with_timeout(30.0, lambda: {}["gone"])


def test_a_call_that_hangs_raises_after_the_timeout():
    go_on = threading.Event()
    with pytest.raises(TimeoutError, match=r"within 0\.05 seconds"):
        call_with_timeout(0.05, lambda: go_on.wait(60))
    go_on.set()


def test_the_function_is_called_by_result():
    calls = []
    timed = TimedCall(lambda: calls.append(1))
    assert calls == []
    timed.result(30.0)
    assert calls == [1]


AT_EXIT = """
import atexit
from mlflow_interpret.runtime.timeouts import TimedCall, call_with_timeout
early = TimedCall(lambda: "early")
atexit.register(lambda: print(early.result(30.0), call_with_timeout(30.0, lambda: "late")))
"""


def test_functions_are_called_while_the_interpreter_exits():
    done = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True)
    assert done.stdout.split() == ["early", "late"], done.stderr
