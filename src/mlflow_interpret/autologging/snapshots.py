"""What waits to be explained: a model and rows of this user's, in a private folder of the spool.

    pending/<process>/lock                 held as long as the process lives
    pending/<process>/<job>/entry.json     where the explanation belongs
    pending/<process>/<job>/snapshot.pkl   the model and the rows that explaining it takes
    pending/<process>/<job>/record/        the explanation, once it is computed
    pending/<process>/<job>/drawn/         its figures

A snapshot is a pickle that this process wrote for its own child. It is read back by nobody else but
``mlflow-interpret flush`` of the same user, after a crash.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from filelock import FileLock

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import MlflowInterpretError, one_line
from mlflow_interpret.stores import spool

_ENTRY = "entry.json"
_LOCK = "lock"
_SNAPSHOT = "snapshot.pkl"


@dataclass(frozen=True)
class Entry:
    """Whose explanation is pending.

    Attributes:
        model: The class of the fitted model.
        kept: Where the explanation belongs.
        log_data: Rows of data may be kept.
    """

    model: str
    kept: spool.Entry
    log_data: bool


@dataclass(frozen=True)
class Pending:
    """A fit that waits for its explanation.

    Attributes:
        folder: Its folder, for this user only.
        snapshot: The pickle, elsewhere where no row may stay in the spool.
    """

    folder: Path
    snapshot: Path

    @property
    def record(self) -> Path:
        """Where the explanation is written, beside the snapshot."""
        return self.snapshot.with_name("record")

    @property
    def drawn(self) -> Path:
        """Where its figures are drawn."""
        return self.snapshot.with_name("drawn")

    def drop(self) -> None:
        """Forget it, and its snapshot."""
        shutil.rmtree(self.snapshot.parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Room:
    """The folder of this process' pending fits.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self) -> None:
        self.folder = _private(directory()) / str(uuid.uuid4())
        self.folder.mkdir(mode=0o700)
        self._lock = _lock(self.folder)
        self._lock.acquire(blocking=False)

    def put(self, content: Any, entry: Entry) -> Pending:
        """Write a snapshot of ``content``, as it is now.

        Raises:
            Exception: It cannot be pickled, or not be written; nothing is left then.
        """
        folder = self.folder / str(uuid.uuid4())
        folder.mkdir(mode=0o700)
        # A folder that only this user can enter, too, but nothing that outlives the process' child.
        place = folder if entry.log_data else Path(tempfile.mkdtemp(prefix="mlflow-interpret-"))
        pending = Pending(folder, place / _SNAPSHOT)
        try:
            _dump(content, pending.snapshot)
            explanation_io.write_json(folder / _ENTRY, asdict(entry))
        except BaseException:
            pending.drop()
            raise
        return pending

    def close(self) -> None:
        """Give the folder up; it goes where nothing is pending in it."""
        self._lock.release()
        with suppress(OSError):
            (self.folder / _LOCK).unlink(missing_ok=True)
            self.folder.rmdir()


def directory() -> Path:
    """The folder of all processes' pending fits."""
    return spool.directory() / "pending"


def abandoned() -> list[Pending]:
    """What processes that are gone have left, oldest first."""
    left: list[Pending] = []
    for room in directory().glob("*/"):
        lock = _lock(room)
        try:
            lock.acquire(blocking=False)
        except Exception:  # noqa: S112 - its process lives
            continue
        entries = sorted(room.glob(f"*/{_ENTRY}"), key=lambda path: path.stat().st_mtime)
        left += [Pending(path.parent, path.with_name(_SNAPSHOT)) for path in entries]
        lock.release()
        if not entries:
            shutil.rmtree(room, ignore_errors=True)
    return left


def entry_of(pending: Pending) -> Entry:
    """The entry of a pending fit.

    Raises:
        MlflowInterpretError: It cannot be read.
    """
    path = pending.folder / _ENTRY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Entry(content["model"], spool.Entry(**content["kept"]), content["log_data"])
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise MlflowInterpretError(f"{path} cannot be read: {one_line(error)}") from error


def check_own(path: Path) -> None:
    """See that nobody but this user can have written a snapshot.

    Raises:
        MlflowInterpretError: Somebody else can.
    """
    if not hasattr(os, "getuid"):  # Windows: the user's own folders are closed to others
        return
    for place in (path.parent, path):
        found = place.lstat()
        others = stat.S_IMODE(found.st_mode) & 0o077
        if found.st_uid != os.getuid() or others or stat.S_ISLNK(found.st_mode):
            raise MlflowInterpretError(f"{place} is open to other users, so it is not read")


def _dump(content: Any, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        cloudpickle.dump(content, file)


_BINARY = getattr(os, "O_BINARY", 0)  # Windows


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _lock(room: Path) -> Any:
    # Taken in one thread and given up in another.
    return FileLock(room / _LOCK, mode=0o600, thread_local=False)
