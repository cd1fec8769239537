"""Processes that are forked while another thread is at work."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks"),
]

# A thread holds all that a thread can hold, and the process is forked meanwhile.
PROGRAM = """
import os, random, sys, threading, warnings
import numpy as np
from mlflow_interpret.runtime import isolation, temporary_folders
from mlflow_interpret.runtime.forks import ForkSafeLock

lock, held, go = ForkSafeLock(), threading.Event(), threading.Event()
folders = []
module_class = type(warnings)
np.random.seed(7)
expected = np.random.RandomState(7).rand(3).tolist()

def work():
    with (
        lock, isolation.suppress_warnings(), isolation.preserve_random_state(),
        isolation.seeded_numpy(0), temporary_folders.temporary() as folder,
    ):
        folders.append(folder)
        held.set()
        go.wait()

thread = threading.Thread(target=work)
thread.start()
held.wait()
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
pid = os.fork()
if pid == 0:
    assert lock.acquire(timeout=20)
    lock.release()
    assert type(warnings) is module_class
    assert np.random.rand(3).tolist() == expected
    with isolation.suppress_warnings(), isolation.preserve_random_state():
        with isolation.seeded_numpy(0):
            pass
    sys.exit(0)  # with all exit functions
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert os.path.isdir(folders[0])
assert type(warnings) is not module_class
go.set()
thread.join()
assert type(warnings) is module_class
assert not os.path.exists(folders[0])
assert np.random.rand(3).tolist() == expected
"""


def run(program):
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_nothing_of_other_threads_is_left_in_a_forked_process():
    run(PROGRAM)


def test_a_lock_that_the_forking_thread_holds_is_released_without_an_error():
    run("""
import os
from mlflow_interpret.runtime.forks import ForkSafeLock
lock = ForkSafeLock()
with lock:
    pid = os.fork()
if pid == 0:
    os._exit(0 if lock.acquire(timeout=5) else 1)
assert os.waitpid(pid, 0)[1] == 0
""")
