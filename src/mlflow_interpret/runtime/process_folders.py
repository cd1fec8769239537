"""Folders that belong to one process, and those of processes that have ended.

A folder holds a file ``lock``, which is locked while its process lives.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from mlflow_interpret.runtime.forks import ForkSafeLock, call_after_fork

_LOCK = "lock"


class ProcessFolder:
    """A new folder of this process, which only this user can read.

    Args:
        directory: The folder of all processes' folders; it is created.

    Raises:
        OSError: It cannot be created.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = directory / str(uuid.uuid4())
        self.folder.mkdir(mode=0o700)
        self._lock = _lock_of(self.folder)
        self._lock.acquire(blocking=False)

    def close(self) -> None:
        """Release the folder; it is deleted if it is empty."""
        self._lock.release()
        with suppress(OSError):
            (self.folder / _LOCK).unlink(missing_ok=True)
            self.folder.rmdir()

    def close_if_empty(self) -> bool:
        """Release the folder unless it holds anything; return whether it did."""
        if {path.name for path in self.folder.glob("*")} > {_LOCK}:
            return False
        self.close()
        return True


class OwnFolder:
    """The folder of this process, created when it is needed; a forked process gets another.

    Args:
        directory: Returns the folder of all processes' folders.
    """

    def __init__(self, directory: Callable[[], Path]) -> None:
        self._directory = directory
        self._guard = ForkSafeLock()
        self._folder: ProcessFolder | None = None
        self._inherited: ProcessFolder | None = None
        call_after_fork(self._leave_to_parent)

    def path(self) -> Path:
        """Return the folder.

        Raises:
            OSError: It cannot be created.
        """
        with self._guard:
            directory, folder = self._directory(), self._folder
            if folder is None or folder.folder.parent != directory or not folder.folder.is_dir():
                folder = self._folder = ProcessFolder(directory)
            return folder.folder

    def close_if_empty(self) -> None:
        """Release the folder unless it holds anything."""
        with self._guard:
            if self._folder is not None and self._folder.close_if_empty():
                self._folder = None

    def close(self) -> None:
        """Release the folder; what it holds stays."""
        if self._folder is not None:
            self._folder.close()

    def _leave_to_parent(self) -> None:
        self._inherited = self._folder  # closing its lock would release it for the parent, too
        self._folder = None


def abandoned(directory: Path) -> Iterator[Path]:
    """Yield the folders of processes that have ended; a folder that is left empty is deleted."""
    for folder in directory.glob("*/"):
        lock = _lock_of(folder)
        try:
            lock.acquire(blocking=False)
        except Exception:  # noqa: S112 - its process lives
            continue
        yield folder
        lock.release()
        if {path.name for path in folder.iterdir()} <= {_LOCK}:
            shutil.rmtree(folder, ignore_errors=True)


def abandoned_files(directory: Path) -> list[Path]:
    """Return the JSON files in the folders of processes that have ended."""
    return [path for folder in abandoned(directory) for path in sorted(folder.glob("*.json"))]


def _lock_of(folder: Path) -> Any:
    # Acquired in one thread and released in another.
    return FileLock(folder / _LOCK, mode=0o600, thread_local=False)
