"""Child processes of our own: started with what this one knows, and ended whatever they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path


def start(module: str, folder: Path) -> subprocess.Popen[str]:
    """Run a module of this package in a process of its own.

    Its standard streams are pipes. It is no fork, so nothing of this process' memory, threads and
    locks is in it, and no script of the user's is run again.

    Args:
        module: The module's full name.
        folder: Its working directory, which should be empty: Python looks for modules there.
    """
    return subprocess.Popen(  # noqa: S603 - this Python, a module of ours
        [sys.executable, "-m", module],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        # Ctrl-C in the terminal is the training's, not the child's.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
    )


def end(child: subprocess.Popen[str]) -> None:
    """End a child and whatever it has started, and do not wait for what cannot be ended."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    with suppress(subprocess.TimeoutExpired):
        child.communicate(timeout=5)


def _environment() -> dict[str, str]:
    # The child runs elsewhere: relative entries of the path would not be found there.
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
