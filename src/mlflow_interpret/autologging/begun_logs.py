"""Notes of explanations and skipped fits that are being logged, for a process that is killed.

A note names the destination and, once it is written, the folder of the explanation.
``mlflow-interpret flush`` takes the notes of processes that have ended.

    logging/<process>/<explanation or skipped fit>.json
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from mlflow_interpret.autologging import kept
from mlflow_interpret.core import explanation_io, json_files
from mlflow_interpret.core.errors import MlflowInterpretError, one_line
from mlflow_interpret.runtime import process_folders
from mlflow_interpret.runtime.exit_hooks import call_at_exit
from mlflow_interpret.runtime.process_folders import OwnFolder
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.spool_entry import Entry

_logger = logging.getLogger("mlflow_interpret")


def directory() -> Path:
    """Return the folder of all processes' notes."""
    return spool.directory() / "logging"


@contextmanager
def noted(subject_id: str, entry: Entry) -> Iterator[Note]:
    """Write a note, which is deleted at the end of the block.

    Args:
        subject_id: The explanation, or the id of a skipped fit.
        entry: The destination.
    """
    note = Note(subject_id)
    note.write(entry)
    try:
        yield note
    finally:
        note.delete()


class Note:
    """A note; a read-only spool has none.

    Args:
        subject_id: The explanation, or the id of a skipped fit.
    """

    def __init__(self, subject_id: str) -> None:
        self._name = f"{subject_id}.json"
        self._path: Path | None = None

    def write(self, entry: Entry, folder: Path | None = None) -> None:
        """Write the note, or write it again.

        Args:
            entry: The destination.
            folder: The folder of the explanation, None before it is written.
        """
        content = {"folder": folder and str(folder), "entry": entry.to_json()}
        try:
            path = _folder.path() / self._name
            incomplete = path.with_suffix(".new")
            json_files.write_json(incomplete, content)
            incomplete.chmod(0o600)
            incomplete.replace(path)
        except OSError:
            _logger.debug("The spool is not writable", exc_info=True)
        else:
            self._path = path

    def delete(self) -> None:
        """Delete the note."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


def abandoned() -> list[Path]:
    """Return the notes of processes that have ended."""
    return process_folders.abandoned_files(directory())


def entry_of(note: Path) -> Entry:
    """Return the destination of the explanation of a note.

    Raises:
        MlflowInterpretError: It cannot be read.
    """
    try:
        return Entry.from_json(json.loads(note.read_text(encoding="utf-8"))["entry"])
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise MlflowInterpretError(f"{note} cannot be read: {one_line(error)}") from error


def recover(note: Path, tracking_uri: str) -> bool:
    """Keep the explanation or the skipped fit of a note in the spool.

    An explanation that was lost, because it was not written yet, becomes a skipped fit. If all
    stores have it, only its run is ended.

    Args:
        note: The note.
        tracking_uri: The tracking URI, with credentials.

    Returns:
        Whether anything is kept.

    Raises:
        Exception: The store does not answer, or the disk is full; the note is still there.
    """
    entry, place = entry_of(note), json.loads(note.read_text(encoding="utf-8"))["folder"]
    folder = None if place is None else Path(place)
    is_kept = True
    if entry.skipped is not None:
        spool.keep_skipped(entry.skipped.fit_id, entry)
    elif folder is None:
        is_kept = _keep_lost(entry, tracking_uri)
    elif _is_own(folder) and _is_complete(folder):
        spool.keep_folder(folder, note.stem, entry)
    else:
        is_kept = False
        if entry.new_run is not None and entry.run_id is not None:
            mlflow_store.check_reachable(tracking_uri)
            mlflow_store.end_new_run(tracking_uri, entry.run_id)
    note.unlink()
    return is_kept


def _keep_lost(entry: Entry, tracking_uri: str) -> bool:
    """Keep a skipped fit in place of a lost explanation, unless its run was not created."""
    if entry.run_id is None and entry.new_run is not None:
        mlflow_store.check_reachable(tracking_uri)
        run_id = kept.find_run(entry.new_run, tracking_uri)
        if run_id is None:
            return False
        entry = replace(entry, run_id=run_id)
    kept.skip_pending(entry, "its process ended before the explanation was logged; fit it again")
    return True


def end_idle() -> None:
    """Release the folder of this process if no explanation is being logged."""
    _folder.close_if_empty()


def _is_own(folder: Path) -> bool:
    """Return whether a folder exists and is this user's."""
    if not folder.is_dir():
        return False
    return not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()


def _is_complete(folder: Path) -> bool:
    """Return whether a folder holds an explanation; it is deleted when all stores have it."""
    try:
        explanation_io.read(folder)
    except Exception:
        _logger.debug("%s holds no explanation", folder, exc_info=True)
        return False
    return True


_folder = OwnFolder(directory)

call_at_exit(_folder.close)
