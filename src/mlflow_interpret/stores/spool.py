"""The spool: explanations that could not be logged, kept on this machine until they can."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from mlflow_interpret.core import explanation_io, json_files
from mlflow_interpret.core.errors import MlflowInterpretError, one_line
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import METRICS, Options
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores import base


class ClaimedError(MlflowInterpretError):
    """Another process logs the explanation."""


VARIABLE = "MLFLOW_INTERPRET_SPOOL"
_ENTRY = "entry.json"

# The options that logging an explanation needs, with their keys in the file.
_KEYS = {
    "comment": "comment",
    "top_k": "top_k",
    "metrics": "metrics",
    "log_description": "description",
    "log_figures": "figures",
    "baseline": "baseline",
    "log_report": "report",
    "visualization_points": "visualization_points",
}

# Further keys of the file that are attributes of an entry.
_OTHERS = ("model", "log_data", "created", "explanation_id")

# Version 0.1.0 does not read these, so defaults are left out.
_SINCE_0_2 = {"metrics": METRICS, "log_description": True}


@dataclass(frozen=True)
class NewRun:
    """A run that is created for an explanation without a run, and ended when it is logged.

    Attributes:
        experiment_id: The experiment in the store of the entry, None for MLflow's current one.
        name: The name, None for one that MLflow chooses.
        tags: The tags.
        started: The start of the training, in seconds since 1970.
        last_run_id: A run that may be the one of the fit, if an autologger made it since then; the
            server could not be asked. No run is created if it is.
    """

    experiment_id: str | None
    name: str | None
    tags: Mapping[str, str]
    started: float
    last_run_id: str | None = None


@dataclass(frozen=True)
class Entry:
    """The destination of an explanation in the spool, or of a fit that waits for its explanation.

    Attributes:
        tracking_uri: The tracking URI, without credentials.
        run_id: The run, None for a run that is still to be created.
        options: The options that logging needs, by name; JSON values without credentials.
        model: The class of the fitted model, for a fit that waits.
        log_data: Rows of data may be kept, for a fit that waits.
        new_run: The run that this package creates, or has created as ``run_id`` and ends.
        created: The time of the explanation's record, ISO 8601; None before the first attempt.
        explanation_id: The id that the explanation will have, for a fit that waits.
    """

    tracking_uri: str
    run_id: str | None
    options: Mapping[str, Any]
    model: str | None = None
    log_data: bool = True
    new_run: NewRun | None = None
    created: str | None = None
    explanation_id: str | None = None

    @classmethod
    def of(
        cls, options: Options, tracking_uri: str, run_id: str | None, model: str | None = None
    ) -> Entry:
        """Return the entry of an explanation that is to be logged later as it would be now."""
        values = {name: getattr(options, name) for name in _KEYS}
        for name, default in _SINCE_0_2.items():
            if values[name] == default:
                del values[name]
        values |= {name: store.option_value(options) for name, store in _stores_by_option().items()}
        uri = without_credentials(tracking_uri)
        return cls(uri, run_id, values, model, options.log_data if model else True)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Entry:
        """Return the entry of a file's content.

        Raises:
            KeyError: There is no tracking URI or run, or an unknown key.
        """
        if "kept" in content:  # the format of pending fits before version 0.2
            content = {
                **content["kept"],
                "model": content["model"],
                "log_data": content["log_data"],
            }
        values = dict(content)
        uri, run_id = values.pop("tracking_uri"), values.pop("run_id")
        new_run = values.pop("new_run", None)
        others = {key: values.pop(key) for key in _OTHERS if key in values}
        names = _option_names()
        return cls(
            uri,
            run_id,
            {names[key]: value for key, value in values.items()},
            new_run=None if new_run is None else NewRun(**new_run),
            **others,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        keys = {name: key for key, name in _option_names().items()}
        content: dict[str, Any] = {"tracking_uri": self.tracking_uri, "run_id": self.run_id}
        content |= {keys[name]: value for name, value in self.options.items()}
        if self.model is not None:
            content |= {"model": self.model, "log_data": self.log_data}
        if self.new_run is not None:
            content["new_run"] = asdict(self.new_run)
        later = {"created": self.created, "explanation_id": self.explanation_id}
        content |= {key: value for key, value in later.items() if value is not None}
        return content

    def to_options(self) -> Options:
        """Return the options for logging."""
        return Options(**self.options)


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


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes from logging an explanation during a block.

    Raises:
        ClaimedError: Another process logs it, or has logged it meanwhile.
    """
    path = folder.with_name(f"{folder.name}.lock")
    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(blocking=False)
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


def _stores_by_option() -> dict[str, base.Store]:
    return {store.option: store for store in base.stores() if store.option is not None}


def _option_names() -> dict[str, str]:
    """Return the names of options by their keys in the file."""
    return {key: name for name, key in _KEYS.items()} | {name: name for name in _stores_by_option()}
