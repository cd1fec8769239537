"""The spool: explanations and skipped fits that could not be logged, kept until they can."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from mlflow_interpret.core import explanation_io, json_files
from mlflow_interpret.core.errors import MlflowInterpretError, one_line
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores.spool_entry import Entry


class ClaimedError(MlflowInterpretError):
    """Another process logs the explanation."""


VARIABLE = "MLFLOW_INTERPRET_SPOOL"
_ENTRY = "entry.json"
_UPDATE_SECONDS = 1.0  # for another thread that changes the same entry


def directory() -> Path:
    """Return the spool of this user, or the folder in ``MLFLOW_INTERPRET_SPOOL``.

    A user without a home folder that can be written, as in some containers, has it in the folder
    for temporary files.

    Raises:
        OSError: Another user has that folder.
    """
    path = os.environ.get(VARIABLE)
    if path:
        return Path(path)
    folder = platformdirs.user_data_path("mlflow-interpret") / "spool"
    return folder if _is_writable(folder) else _temporary_spool()


@contextmanager
def new_folder(explanation_id: str) -> Iterator[Path]:
    """Create the folder of an explanation, which only this user can read.

    The block ends with `update`: a folder without an entry is incomplete and never read. It is
    deleted if the block fails, as on a full disk.
    """
    place = directory()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = place / explanation_id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def keep(explanation: Explanation, entry: Entry) -> Path:
    """Write an explanation into the spool and return its folder."""
    with new_folder(explanation.id) as folder:
        explanation_io.write(explanation, folder)
        update(folder, entry)
    return folder


def keep_skipped(fit_id: str, entry: Entry) -> Path:
    """Write the entry of a skipped fit into the spool and return its folder."""
    with new_folder(fit_id) as folder:
        update(folder, entry)
    return folder


def keep_folder(written: Path, explanation_id: str, entry: Entry) -> Path:
    """Move the folder of an explanation into the spool and return its new path.

    Args:
        written: The folder, which only this user can read.
        explanation_id: The explanation.
        entry: The entry.
    """
    with new_folder(explanation_id) as folder:
        folder.rmdir()
        shutil.move(written, folder)
        update(folder, entry)
    return folder


def update(folder: Path, entry: Entry) -> None:
    """Write an entry atomically, and let only this user read the folder and its files."""
    incomplete = folder / f"{_ENTRY}.new"
    json_files.write_json(incomplete, entry.to_json())
    _make_private(folder)
    incomplete.replace(folder / _ENTRY)


def folders() -> list[Path]:
    """Return the folders of the kept explanations, oldest first."""
    entries = sorted(directory().glob(f"*/{_ENTRY}"), key=lambda path: path.stat().st_mtime)
    return [path.parent for path in entries]


def entry_of(folder: Path) -> Entry:
    """Read the entry of a folder.

    Raises:
        MlflowInterpretError: It cannot be read.
    """
    path = folder / _ENTRY
    try:
        return Entry.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise MlflowInterpretError(f"{path} cannot be read: {one_line(error)}") from error


def load(folder: Path) -> Explanation:
    """Read the explanation of a folder."""
    return explanation_io.read(folder)


def add_model(folder: Path, model_id: str) -> None:
    """Add a logged model to an entry.

    Raises:
        ClaimedError: Another process logs the explanation, or it is logged.
    """
    with claimed(folder, _UPDATE_SECONDS):
        entry = entry_of(folder)
        if model_id not in entry.model_ids:
            update(folder, replace(entry, model_ids=(*entry.model_ids, model_id)))


@contextmanager
def claimed(folder: Path, timeout: float = 0.0) -> Iterator[None]:
    """Keep other processes from logging an explanation during a block.

    Args:
        folder: The folder of the explanation.
        timeout: Seconds to wait for another process.

    Raises:
        ClaimedError: Another process logs it, or has logged it meanwhile.
    """
    path = folder.with_name(f"{folder.name}.lock")
    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=timeout)
    except Timeout as error:
        raise ClaimedError("Another process is logging it.") from error
    try:
        if not (folder / _ENTRY).is_file():
            raise ClaimedError("Another process has logged it.")
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def drop(folder: Path) -> None:
    """Delete a kept explanation."""
    shutil.rmtree(folder)


def _is_writable(folder: Path) -> bool:
    if not folder.is_absolute():  # "~/...", of a user without a home folder
        return False
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(existing, os.W_OK)


def _temporary_spool() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"mlflow-interpret-spool-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    is_own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    if not is_own or not stat.S_ISDIR(status.st_mode) or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(f"{folder} is open to other users")
    return folder


def _make_private(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
