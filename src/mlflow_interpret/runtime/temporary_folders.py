"""Temporary folders of this process, and the removal of those of killed processes."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_NAME = "mlflow-interpret"
_MIN_AGE = 86_400.0  # seconds; process ids of containers that share a folder are not comparable


def prefix() -> str:
    """Return the beginning of the names of this process's temporary folders."""
    return f"{_NAME}-{os.getpid()}-"


def create() -> Path:
    """Create a folder that only this user can open.

    The first call of a process also removes folders that killed processes left a day ago or more.
    """
    with suppress(OSError):
        _remove_abandoned_once()
    return Path(tempfile.mkdtemp(prefix=prefix()))


@contextmanager
def temporary() -> Iterator[str]:
    """Create a folder that only this user can open, for the time of a block.

    `tempfile.TemporaryDirectory` is not used: at the end of a forked process, it deletes the
    folders that other threads of the parent were using when the process was forked.
    """
    folder = create()
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(place: Path, min_age: float = _MIN_AGE) -> None:
    """Remove this user's folders of processes that have ended.

    Args:
        place: The folder for temporary folders.
        min_age: Seconds since the last change of a folder; younger ones stay.
    """
    if os.name != "posix":  # on Windows, `os.kill` would end the process
        return
    latest = time.time() - min_age
    for folder in place.glob(f"{_NAME}-*-*"):
        pid = folder.name.split("-")[2]
        with suppress(OSError):
            status = folder.lstat()
            is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if is_own and status.st_mtime < latest and pid.isdecimal() and not _is_alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


@cache
def _remove_abandoned_once() -> None:
    remove_abandoned(Path(tempfile.gettempdir()))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # a process of another user, or no process id
        return True
    return True
