"""Contract of the hook that Python's own thread pools use."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from concurrent.futures import ThreadPoolExecutor
from mlflow_interpret.runtime.exit_hooks import call_at_exit

pool = ThreadPoolExecutor(1)
pool.submit(str)  # starts its thread
call_at_exit(lambda: print(pool.submit(lambda: "uploaded").result()))
"""


def test_open_thread_pools_take_work_at_the_end_of_the_process():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.split() == ["uploaded"], done.stderr


def test_python_has_the_hook():
    import threading

    assert callable(threading._register_atexit)
