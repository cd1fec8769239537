"""Contract of the hook that Python's own thread pools use."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from concurrent.futures import ThreadPoolExecutor
from mlflow_interpret.runtime.exit_hooks import call_at_exit

def upload():
    with ThreadPoolExecutor(1) as pool:
        print(pool.submit(lambda: "uploaded").result())

call_at_exit(upload)
"""


def test_thread_pools_can_be_used_at_the_end_of_the_process():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.split() == ["uploaded"], done.stderr


def test_python_has_the_hook():
    import threading

    assert callable(threading._register_atexit)
