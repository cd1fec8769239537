"""Explain beside the training: fits queue up on disk, one child process explains them in turn."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - its hook at the exit has to be there before ours
import logging
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mlflow_interpret.autologging import outcomes, run_context, snapshots
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import CannotExplainError, one_line
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime import worker_process
from mlflow_interpret.runtime.progress import wait
from mlflow_interpret.stores import spool

_logger = logging.getLogger("mlflow_interpret")

EXIT_SECONDS = 300.0
"""So long the end of the process waits for what is pending; the rest stays in the spool."""

MOST_PENDING = 100
MOST_BYTES = 2_000_000_000
"""So much may be pending; what comes on top is explained at once."""

SPARE_BYTES = 1_000_000_000  # of the disk, which belongs to the training
_IDLE_SECONDS = 60.0  # a child that has nothing to do gives its memory back


class UnfitError(Exception):
    """A fit cannot be explained in the background; the message says why."""


@dataclass(frozen=True, eq=False)
class _Job:
    options: Options
    do: Callable[[worker_process.Child], None]
    pending: snapshots.Pending | None = None
    size: int = 0  # bytes


class _Queue:
    """The pending fits of this process, and the thread that sees to them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()  # the first is in work
        self._bytes = 0
        self._room: snapshots.Room | None = None
        self._thread: threading.Thread | None = None
        self.child = worker_process.Child("mlflow_interpret.autologging.background_worker")

    def snapshot(self, content: Any, entry: snapshots.Entry) -> snapshots.Pending:
        """Write what is to be explained.

        Raises:
            UnfitError: Too much is pending.
            Exception: It cannot be pickled or written.
        """
        with self._changed:
            if len(self._jobs) >= MOST_PENDING or self._bytes >= MOST_BYTES:
                raise UnfitError(f"{len(self._jobs)} fits are pending already")
            if self._room is None or not self._room.folder.is_dir():
                self._room = snapshots.Room()
        if shutil.disk_usage(self._room.folder).free < SPARE_BYTES:
            raise UnfitError(f"the disk of {self._room.folder} is nearly full")
        return self._room.put(content, entry)

    def put(self, job: _Job) -> None:
        """Have a job done when its turn comes."""
        with self._changed:
            self._bytes += job.size
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="mlflow-interpret-background", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def wait(self, timeout: float | None) -> int:
        """How many are still pending when all are done, or the time is up."""

        def pause(seconds: float) -> None:
            with self._changed:
                self._changed.wait_for(lambda: not self._jobs, seconds)

        return wait(
            lambda: len(self._jobs),
            pause,
            timeout,
            what="Explaining in the background",
            unit="models",
            silent=self.silent(),
        )

    def silent(self) -> bool:
        """Whether nothing is to be said of what is pending."""
        with self._changed:
            return all(job.options.silent for job in self._jobs)

    def close(self) -> None:
        """End the child and give up the folder, with what is pending in it."""
        self.child.end()
        if self._room is not None:
            self._room.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: bool(self._jobs), _IDLE_SECONDS):
                    self._thread = None
                    self.child.end()
                    return
                job = self._jobs[0]
            try:
                job.do(self.child)
            except Exception:
                _logger.debug("A job in the background failed", exc_info=True)
            if job.pending is not None:
                job.pending.drop()
            with self._changed:
                self._bytes -= job.size
                self._jobs.popleft()
                self._changed.notify_all()


def check(options: Options) -> None:
    """See that another process can explain what the options name.

    Raises:
        UnfitError: It cannot.
    """
    if "dask" in type(options.evaluation_examples).__module__.partition(".")[0]:
        raise UnfitError("a Dask DataFrame belongs to this process and its cluster")


def submit(options: Options, fit: outcomes.Fit, content: Any) -> None:
    """Have a fit explained while the training goes on.

    Args:
        options: The options.
        fit: The fit.
        content: The subject and the plan; what is pickled now is what is explained.

    Raises:
        UnfitError: It cannot be pickled or written, or too much is pending.
    """
    fit = replace(fit, beside=True)
    kept = outcomes.entry_of(options, fit, fit.place.run_id)
    entry = snapshots.Entry(fit.model, kept, options.log_data)
    try:
        snapshot = _queue.snapshot(content, entry)
        size = snapshot.snapshot.stat().st_size
    except UnfitError:
        raise
    except Exception as error:
        _logger.debug("The snapshot could not be made", exc_info=True)
        raise UnfitError(f"{type(error).__name__}: {one_line(error)}") from error
    _queue.put(_Job(options, partial(_explain, options, fit, snapshot), snapshot, size))


def skip(options: Options, fit: outcomes.Fit, reason: str) -> None:
    """As `outcomes.skip`, while the training goes on."""
    _queue.put(_Job(options, lambda _: outcomes.skip(options, _settled(fit), reason)))


def note(options: Options, fit: outcomes.Fit, reason: str) -> None:
    """As `outcomes.note`, while the training goes on."""
    _queue.put(_Job(options, lambda _: outcomes.note(options, _settled(fit), reason)))


def flush(timeout: float | None = None) -> bool:
    """Wait for the fits that are pending.

    Args:
        timeout: Seconds to wait at most, None for as long as it takes.

    Returns:
        Whether none is left.
    """
    return _queue.wait(timeout) == 0


def _settled(fit: outcomes.Fit) -> outcomes.Fit:
    return replace(fit, place=run_context.settled(fit.place), beside=True)


def _explain(
    options: Options, fit: outcomes.Fit, snapshot: snapshots.Pending, child: worker_process.Child
) -> None:
    fit = _settled(fit)
    try:
        explanation = _computed(child, snapshot, options.log_data, options.log_figures)
    except Exception as error:
        _logger.debug("Explaining in the background failed", exc_info=True)
        outcomes.skip(options, fit, one_line(error))
    else:
        outcomes.log(options, fit, explanation, snapshot.drawn if options.log_figures else None)


def _computed(
    child: worker_process.Child, snapshot: snapshots.Pending, log_data: bool, figures: bool
) -> Explanation:
    """The explanation that the child computes and writes into the snapshot's files.

    Raises:
        CannotExplainError: There is none.
    """
    request = {
        "snapshot": str(snapshot.snapshot),
        "record": str(snapshot.record),
        "drawn": str(snapshot.drawn),
        "log_data": log_data,
        "figures": figures,
        "cwd": str(Path.cwd()),
    }
    try:
        answer = child.ask(request)
    except worker_process.ProcessDiedError as error:
        said = f": {error.said}" if error.said and log_data else ""
        raise CannotExplainError(f"{error}{said}") from error
    if not answer["ok"]:
        _logger.debug("The model could not be explained\n%s", answer["traceback"])
        raise CannotExplainError(answer["reason"])
    return explanation_io.read(snapshot.record)


def recover(left: snapshots.Pending, entry: snapshots.Entry) -> None:
    """Explain what a process that is gone has left, and keep the explanation in the spool.

    Raises:
        CannotExplainError: It cannot be explained; the message says why.
        MlflowInterpretError: Others may have written it.
    """
    if not left.snapshot.is_file():
        raise CannotExplainError(
            "its process ended before it was explained, and with log_data=False its rows are kept "
            "nowhere; fit it again"
        )
    snapshots.check_own(left.snapshot)
    child = worker_process.Child("mlflow_interpret.autologging.background_worker")
    try:
        spool.keep(_computed(child, left, entry.log_data, figures=False), entry.kept)
    finally:
        child.end()
    left.drop()


def _at_exit() -> None:
    """Wait for what is pending, for a bounded time."""
    try:
        left = _queue.wait(EXIT_SECONDS)
    except KeyboardInterrupt:
        left = _queue.wait(0)
    if left and not _queue.silent():
        _logger.warning(
            "%s models are not explained yet. They are kept in %s, but for those of "
            "log_data=False; explain them with: mlflow-interpret flush",
            left,
            snapshots.directory(),
        )
    _queue.close()


def _start_anew() -> None:
    """A forked process has none of the threads, and no part in what is pending."""
    global _queue, _inherited  # noqa: PLW0603 - one process has one queue
    _inherited = _queue  # closing its lock would open it for the parent, too
    _queue = _Queue()
    _inherited.child.disown()


_queue = _Queue()
_inherited: _Queue | None = None

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
try:
    # Before the executors are closed, with which MLflow uploads artifacts.
    threading._register_atexit(_at_exit)  # type: ignore[attr-defined]
except Exception:  # it is no public function
    atexit.register(_at_exit)
