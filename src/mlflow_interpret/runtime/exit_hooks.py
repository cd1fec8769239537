"""Functions that are called at the end of the process, while thread pools are still open."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - its own hook must be registered before ours
import threading
from collections.abc import Callable


def call_at_exit(function: Callable[[], object]) -> None:
    """Call a function at the end of the process, before thread pools are shut down.

    MLflow uploads artifacts with a thread pool; functions of `atexit` are called too late for it.
    From Python 3.12 on, no new thread can be started then.
    """
    try:
        threading._register_atexit(function)  # type: ignore[attr-defined]
    except Exception:  # not a public function
        atexit.register(function)
