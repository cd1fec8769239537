"""HttpClient that hang are left behind; others are as if made directly."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from mlflow_interpret.runtime.timeouts import TimedCall, call_with_timeout


def test_what_is_returned_and_raised_comes_through():
    assert call_with_timeout(30.0, lambda: 7) == 7
    assert call_with_timeout(30.0, lambda: None) is None
    with pytest.raises(KeyError, match="gone"):
        call_with_timeout(30.0, lambda: {}["gone"])


def test_what_hangs_is_left_behind():
    go_on = threading.Event()
    with pytest.raises(TimeoutError, match=r"within 0\.05 seconds"):
        call_with_timeout(0.05, lambda: go_on.wait(60))
    go_on.set()


def test_a_call_is_not_made_before_it_is_asked_for():
    made = []
    bounded = TimedCall(lambda: made.append(1))
    assert made == []
    bounded.result(30.0)
    assert made == [1]


AT_EXIT = """
import atexit
from mlflow_interpret.runtime.timeouts import TimedCall, call_with_timeout
early = TimedCall(lambda: "early")
atexit.register(lambda: print(early.result(30.0), call_with_timeout(30.0, lambda: "late")))
"""


def test_calls_are_made_in_a_process_that_is_ending():
    done = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True)
    assert done.stdout.split() == ["early", "late"], done.stderr
