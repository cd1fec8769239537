"""Figures and reports, drawn by a worker process beside the training.

Drawing takes several times as long as explaining a small model. The run holds the explanation
already when it is drawn: a file in the spool says which drawings are pending, so that
``mlflow-interpret flush`` finishes those of a process that was killed.

    drawings/<process>/<explanation>.json
    drawings/failed/<explanation>.json        of a process that may live, if the store failed
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlflow_interpret.core import explanation_io, json_files
from mlflow_interpret.core.errors import MlflowInterpretError, RunNotFoundError, one_line
from mlflow_interpret.core.options import Options
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.runtime import process_folders, temporary_folders
from mlflow_interpret.runtime.exit_hooks import call_at_exit
from mlflow_interpret.runtime.forks import call_after_fork
from mlflow_interpret.runtime.messages import warn
from mlflow_interpret.runtime.process_folders import OwnFolder
from mlflow_interpret.runtime.work_queue import Job, WorkQueue
from mlflow_interpret.runtime.worker_process import ProcessDiedError, Worker
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.base import Receipt
from mlflow_interpret.stores.record import Drawings, Record

_logger = logging.getLogger("mlflow_interpret")

NAME = "drawings"
"""The key of the drawings in the status record."""

MAX_PENDING = 50
"""The most pending drawings; an explanation beyond them is drawn at once."""

EXIT_SECONDS = 300.0
"""The longest wait for drawings at the end of the process."""

_START_SECONDS = 1.0
"""The wait before a worker starts, which takes longer than the drawings of a script that ends."""

_IDLE_SECONDS = 30.0
_WORKER = "mlflow_interpret.stores.drawing_worker"


@dataclass(frozen=True)
class PendingDrawings:
    """Drawings that the run lacks.

    Attributes:
        tracking_uri: The tracking URI, without credentials.
        run_id: The run.
        number: The number of the explanation in the run.
        explanation_id: The explanation.
        drawings: The figures and the report to draw.
    """

    tracking_uri: str
    run_id: str
    number: int
    explanation_id: str
    drawings: Drawings


class _Here:
    """Draws in this process."""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        from mlflow_interpret.stores import drawing_worker

        return drawing_worker.answer(request)


class DrawingQueue(WorkQueue):
    """The pending drawings of this process.

    Args:
        folder: The folder of this process for the files of pending drawings.
        start_seconds: The time between the first drawing and the start of the worker.
    """

    def __init__(self, folder: OwnFolder, start_seconds: float = _START_SECONDS) -> None:
        super().__init__("mlflow-interpret-drawing", _WORKER, _IDLE_SECONDS, self._start_worker)
        self._folder = folder
        self._start_seconds = start_seconds

    def write_note(self, pending: PendingDrawings) -> Path | None:
        """Write pending drawings into the spool; return the file, None if it is not writable."""
        try:
            path = self._folder.path() / f"{pending.explanation_id}.json"
            json_files.write_json(path, asdict(pending))
            path.chmod(0o600)
        except OSError:
            _logger.debug("The spool is not writable", exc_info=True)
            return None
        return path

    def finish(self, timeout: float | None) -> int:
        """Draw in this thread, too, until nothing is pending or the time is up.

        Returns:
            The number of pending drawings.
        """
        return self.wait(timeout, description="Drawing", unit="explanations", helper=_Here())

    def end_idle(self) -> None:
        """End the idle worker, and release the folder unless drawings are pending."""
        super().end_idle()
        self._folder.close_if_empty()

    def close(self) -> None:
        """End the worker and release the folder; the files of pending drawings stay in it."""
        self.worker.kill()
        self.worker.end()
        self._folder.close()

    def _start_worker(self, worker: Worker) -> None:
        with self._changed:
            is_taken = self._changed.wait_for(lambda: not self._waiting, self._start_seconds)
        if not is_taken:
            worker.ask({})


def has_room() -> bool:
    """Return whether drawings can wait for the worker."""
    return len(_queue.pending()) < MAX_PENDING


def submit(
    record: Record,
    drawings: Drawings,
    logged: mlflow_store.Logged,
    options: Options,
    finish: Callable[[Receipt], bool],
) -> None:
    """Draw the figures and the report of an explanation that the run holds, beside the training.

    Args:
        record: The explanation; its folder has to exist until ``finish`` is called.
        drawings: The figures and the report to draw.
        logged: The explanation in its run.
        options: The options.
        finish: Takes the receipt and returns whether the run has it; called once, in any thread.
    """
    uri = without_credentials(logged.tracking_uri)
    explanation_id = record.explanation.id
    pending = PendingDrawings(uri, logged.run_id, logged.number, explanation_id, drawings)
    note = _queue.write_note(pending)
    run = partial(_complete, record.folder, drawings, logged, options, note, finish)
    _queue.put(Job(run, options.silent))


def flush(timeout: float | None = None) -> bool:
    """Finish the pending drawings.

    Args:
        timeout: Seconds to wait, None for no limit.

    Returns:
        Whether none is pending.
    """
    return _queue.finish(timeout) == 0


def end_idle_worker() -> None:
    """End the worker if nothing is pending."""
    _queue.end_idle()


def warn_not_drawn(run_id: str, not_drawn: Mapping[str, str], options: Options) -> None:
    """Warn of files that could not be drawn."""
    if not_drawn:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in not_drawn.items())
        warn(
            options,
            f"Some files of the explanation in run {run_id} could not be drawn; its numbers are "
            "there. Draw again with mlflow_interpret.ExplanationDisplay.from_run(...). Reasons: "
            f"{reasons}",
        )


def directory() -> Path:
    """Return the folder of all processes' pending drawings."""
    return spool.directory() / NAME


def abandoned() -> list[Path]:
    """Return the files of the pending drawings of processes that have ended."""
    return process_folders.abandoned_files(directory())


def read_note(path: Path) -> PendingDrawings:
    """Read a file of pending drawings.

    Raises:
        MlflowInterpretError: It cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return PendingDrawings(**{**content, "drawings": Drawings(**content["drawings"])})
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise MlflowInterpretError(f"{path} cannot be read: {one_line(error)}") from error


def recover(pending: PendingDrawings, tracking_uri: str) -> dict[str, str]:
    """Draw what a process left undrawn, from the explanation in the run.

    Args:
        pending: The drawings.
        tracking_uri: The tracking URI.

    Returns:
        The reasons for files that could not be drawn.

    Raises:
        RunNotFoundError: The run does not exist.
        ExplanationNotFoundError: The run does not hold the explanation.
    """
    status = mlflow_store.status_of(pending.run_id, tracking_uri, pending.number)
    if (status.get(NAME) or {}).get("state") != "pending":
        return {}
    explanation = mlflow_store.load(pending.run_id, pending.explanation_id, tracking_uri)
    logged = mlflow_store.Logged(tracking_uri, pending.run_id, pending.number, status)
    folder = temporary_folders.create()
    try:
        explanation_io.write(explanation, folder)
        not_drawn = _draw_and_log(folder, pending.drawings, logged, _Here())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    entry = {NAME: _entry(not_drawn)}
    mlflow_store.update_status(logged, status["status"], status.get("reason"), entry)
    return not_drawn


def _complete(
    folder: Path,
    drawings: Drawings,
    logged: mlflow_store.Logged,
    options: Options,
    note: Path | None,
    finish: Callable[[Receipt], bool],
    worker: Worker,
) -> None:
    entry, is_left = {}, False
    try:
        not_drawn = _draw_and_log(folder, drawings, logged, worker)
        warn_not_drawn(logged.run_id, not_drawn, options)
        entry = _entry(not_drawn)
    except Exception as error:
        _logger.debug("Drawing failed", exc_info=True)
        remedy = "Log them later with: mlflow-interpret flush"
        if note is None or isinstance(error, RunNotFoundError):
            remedy = "Draw them with mlflow_interpret.ExplanationDisplay"
        else:
            is_left = True
        warn(
            options,
            f"The figures and the report of run {logged.run_id} could not be logged: "
            f"{one_line(error).rstrip('.')}. {remedy}",
        )
    is_noted = finish(Receipt("complete", entry=entry))
    if note is not None and (is_left or not is_noted):
        _set_aside(note)
    elif note is not None:
        note.unlink(missing_ok=True)


def _set_aside(note: Path) -> None:
    """Let ``mlflow-interpret flush`` find pending drawings while this process lives."""
    with suppress(OSError):
        folder = directory() / "failed"
        folder.mkdir(mode=0o700, exist_ok=True)
        note.replace(folder / note.name)


def _draw_and_log(
    folder: Path, drawings: Drawings, logged: mlflow_store.Logged, worker: Worker
) -> dict[str, str]:
    """Draw into a temporary folder and upload it; return the reasons for missing files."""
    target = temporary_folders.create()
    request = {"folder": str(folder), "target": str(target), **asdict(drawings)}
    if drawings.report:  # metrics that were logged since the fit are in the report, too
        metrics = mlflow_store.read_model_metrics(logged.run_id, logged.tracking_uri)
        request["run_facts"] = {**drawings.run_facts, "metrics": metrics}
    try:
        try:
            answer = worker.ask(request | {"style": _user_style()})
        except ProcessDiedError:
            _logger.debug("The worker that draws ended", exc_info=True)
            answer = _Here().ask(request)
        if not answer["ok"]:
            raise MlflowInterpretError(answer["reason"])
        mlflow_store.add_files(logged, target)
    finally:
        shutil.rmtree(target, ignore_errors=True)
    not_drawn: dict[str, str] = answer["not_drawn"]
    return not_drawn


def _entry(not_drawn: Mapping[str, str]) -> dict[str, Any]:
    if not not_drawn:
        return {"state": "complete"}
    return {"state": "failed", "not_drawn": dict(not_drawn)}


def _user_style() -> dict[str, Any]:
    """Return the settings of matplotlib that the user has changed, as for a Japanese font."""
    mpl = sys.modules.get("matplotlib")
    if mpl is None:
        return {}
    return {
        name: value
        for name, value in dict(mpl.rcParams).items()
        if isinstance(value, str | float | int | bool | list)
        and value != mpl.rcParamsDefault.get(name)
        and not name.startswith("backend")
    }


def _at_exit() -> None:
    """Finish the drawings, for a limited time."""
    try:
        count = _queue.finish(EXIT_SECONDS)
    except KeyboardInterrupt:
        count = len(_queue.pending())
    if count and not _queue.is_silent():
        _logger.warning(
            "The figures and reports of %s explanations are not drawn yet; their numbers are "
            "logged. Draw them with: mlflow-interpret flush",
            count,
        )
    _queue.close()


def _reset_after_fork() -> None:
    """Give a forked process an empty queue: it has no thread and no share in the drawings."""
    global _queue, _inherited  # noqa: PLW0603 - one process has one queue
    _inherited = _queue  # its jobs are the parent's
    _queue = DrawingQueue(_folder)
    _inherited.worker.disown()


_folder = OwnFolder(directory)
_queue = DrawingQueue(_folder)
_inherited: DrawingQueue | None = None

call_after_fork(_reset_after_fork)
call_at_exit(_at_exit)
