"""Pending fits: snapshots of models and rows that wait to be explained, in the user's spool.

    pending/<process>/lock                 held while the process lives
    pending/<process>/<job>/entry.json     the destination of the explanation
    pending/<process>/<job>/snapshot.pkl   the model and the rows that explaining needs

A snapshot is a pickle that this process writes for its own worker. After a crash, only
``mlflow-interpret flush`` of the same user reads it.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle

from mlflow_interpret.core import json_files
from mlflow_interpret.core.errors import MlflowInterpretError
from mlflow_interpret.runtime import process_folders, temporary_folders
from mlflow_interpret.runtime.process_folders import ProcessFolder
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.spool_entry import Entry

_ENTRY = "entry.json"
_SNAPSHOT = "snapshot.pkl"


@dataclass(frozen=True)
class PendingFit:
    """A fit that waits for its explanation.

    Attributes:
        folder: Its folder, which only this user can read.
        snapshot: The pickle; outside of the spool where no row may be kept there.
    """

    folder: Path
    snapshot: Path

    def drop(self) -> None:
        """Delete the folder and the snapshot."""
        shutil.rmtree(self.snapshot.parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class PendingFolder(ProcessFolder):
    """The folder of this process's pending fits.

    Raises:
        OSError: It cannot be created.
    """

    def __init__(self) -> None:
        super().__init__(directory())

    def put(self, content: Any, entry: Entry) -> PendingFit:
        """Write a snapshot of ``content`` as it is now.

        Raises:
            Exception: It cannot be pickled or written; nothing is left on disk then.
        """
        folder = self.folder / str(uuid.uuid4())
        folder.mkdir(mode=0o700)
        # Rows that must not outlive this process go into a private temporary folder.
        private = folder if entry.log_data else temporary_folders.create()
        pending = PendingFit(folder, private / _SNAPSHOT)
        try:
            _write_pickle(content, pending.snapshot)
            json_files.write_json(folder / _ENTRY, entry.to_json())
            (folder / _ENTRY).chmod(0o600)
        except BaseException:
            pending.drop()
            raise
        return pending


def directory() -> Path:
    """Return the folder of all processes' pending fits."""
    return spool.directory() / "pending"


def abandoned() -> list[PendingFit]:
    """Return the pending fits of processes that have ended, oldest first."""
    fits: list[PendingFit] = []
    for folder in process_folders.abandoned(directory()):
        entries = sorted(folder.glob(f"*/{_ENTRY}"), key=lambda path: path.stat().st_mtime)
        fits += [PendingFit(path.parent, path.with_name(_SNAPSHOT)) for path in entries]
    return fits


def check_private(path: Path) -> None:
    """Check that only this user can have written a snapshot.

    Raises:
        MlflowInterpretError: Another user can write it.
    """
    if not hasattr(os, "getuid"):  # Windows: other users have no access to the user's folders
        return
    for place in (path.parent, path):
        status = place.lstat()
        open_to_others = stat.S_IMODE(status.st_mode) & 0o077
        if status.st_uid != os.getuid() or open_to_others or stat.S_ISLNK(status.st_mode):
            raise MlflowInterpretError(f"{place} is open to other users, so it is not read")


def _write_pickle(content: Any, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        cloudpickle.dump(content, file)


_BINARY = getattr(os, "O_BINARY", 0)  # Windows
