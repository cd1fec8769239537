"""Explain in the background: fits wait on disk, one worker process explains them in turn."""

from __future__ import annotations

import logging
import shutil
import uuid
from dataclasses import replace
from functools import partial
from typing import Any

from mlflow_interpret.autologging import outcomes, run_context, snapshots
from mlflow_interpret.autologging.worker_explanation import WORKER, WorkerExplanation
from mlflow_interpret.core.errors import CannotExplainError, one_line
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime import temporary_folders, worker_process
from mlflow_interpret.runtime.exit_hooks import call_at_exit
from mlflow_interpret.runtime.forks import ForkSafeLock, call_after_fork
from mlflow_interpret.runtime.work_queue import Job, WorkQueue
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.spool_entry import Entry

_logger = logging.getLogger("mlflow_interpret")

EXIT_SECONDS = 300.0
"""The longest wait for pending fits at the end of the process; the rest stays in the spool."""

MAX_PENDING = 100
MAX_BYTES = 2_000_000_000
"""Limits of pending fits; a fit beyond them is explained at once."""

MIN_FREE_BYTES = 1_000_000_000  # of the disk, which belongs to the training
_IDLE_SECONDS = 60.0  # after which an idle worker is ended, to free its memory


class NotQueuedError(Exception):
    """A fit cannot be explained in the background; the message says why."""


class _Queue(WorkQueue):
    """The pending fits of this process."""

    def __init__(self) -> None:
        super().__init__("mlflow-interpret-background", WORKER, _IDLE_SECONDS)
        self._guard = ForkSafeLock()
        self._folder: snapshots.PendingFolder | None = None

    def snapshot(self, content: Any, entry: Entry) -> snapshots.PendingFit:
        """Write a snapshot of a fit.

        Raises:
            NotQueuedError: Too much is pending.
            Exception: It cannot be pickled or written.
        """
        jobs = self.pending()
        if len(jobs) >= MAX_PENDING or sum(job.size for job in jobs) >= MAX_BYTES:
            raise NotQueuedError(f"{len(jobs)} fits are pending already")
        with self._guard:
            if self._folder is None or not self._folder.folder.is_dir():
                self._folder = snapshots.PendingFolder()
            folder = self._folder
        if shutil.disk_usage(folder.folder).free < MIN_FREE_BYTES:
            raise NotQueuedError(f"the disk of {folder.folder} is nearly full")
        return folder.put(content, entry)

    def wait_for_fits(self, timeout: float | None) -> int:
        """Wait for the pending fits; return their number."""
        return self.wait(timeout, description="Explaining in the background", unit="models")

    def end_idle(self) -> None:
        """End the idle worker, and release the folder unless fits are pending."""
        super().end_idle()
        with self._guard:
            if self._folder is not None and self._folder.close_if_empty():
                self._folder = None

    def close(self) -> None:
        """End the worker and release the folder; pending fits stay in it."""
        self.worker.kill()  # to end by itself takes it a second
        self.worker.end()
        if self._folder is not None:
            self._folder.close()


def check(options: Options) -> None:
    """Check that another process can explain the rows of the options.

    Raises:
        NotQueuedError: It cannot.
    """
    if "dask" in type(options.evaluation_examples).__module__.partition(".")[0]:
        raise NotQueuedError("a Dask DataFrame belongs to this process and its cluster")


def submit(options: Options, fit: outcomes.Fit, content: Any) -> None:
    """Queue a fit, to be explained while the training continues.

    Args:
        options: The options.
        fit: The fit.
        content: The inputs and the plan; they are pickled now.

    Raises:
        NotQueuedError: It cannot be pickled or written, or too many fits are pending.
    """
    fit = replace(fit, is_background=True)
    explanation_id = str(uuid.uuid4())
    entry = Entry.of(options, fit.context.tracking_uri, fit.context.run_id, fit.model)
    new_run = fit.run(options, explanation_id).new_run(all_tags=False)
    entry = replace(entry, explanation_id=explanation_id, new_run=new_run)
    try:
        pending = _queue.snapshot(content, entry)
        size = pending.snapshot.stat().st_size
    except NotQueuedError:
        raise
    except Exception as error:
        _logger.debug("The snapshot could not be written", exc_info=True)
        raise NotQueuedError(f"{type(error).__name__}: {one_line(error)}") from error
    if fit.link is not None:
        fit.link.add_waiting(fit.context.tracking_uri, pending.folder)
    explain = partial(_explain, options, fit, pending, explanation_id)
    _queue.put(Job(explain, options.silent, size))


def skip(options: Options, fit: outcomes.Fit, reason: str) -> None:
    """Queue `outcomes.skip`."""
    _queue.put(Job(lambda _: outcomes.skip(options, _with_run(fit), reason), options.silent))


def note(options: Options, fit: outcomes.Fit, reason: str) -> None:
    """Queue `outcomes.note`."""
    _queue.put(Job(lambda _: outcomes.note(options, _with_run(fit), reason), options.silent))


def flush(timeout: float | None = None) -> bool:
    """Wait for the pending fits.

    Args:
        timeout: Seconds to wait, None for no limit.

    Returns:
        Whether no fit is pending.
    """
    return _queue.wait_for_fits(timeout) == 0


def end_idle_worker() -> None:
    """End the worker if nothing is pending."""
    _queue.end_idle()


def _with_run(fit: outcomes.Fit) -> outcomes.Fit:
    return replace(fit, context=run_context.with_autologged_run(fit.context), is_background=True)


def _explain(
    options: Options,
    fit: outcomes.Fit,
    pending: snapshots.PendingFit,
    explanation_id: str,
    worker: worker_process.Worker,
) -> None:
    fit = _with_run(fit)
    computed = WorkerExplanation(
        worker,
        pending,
        explanation_id,
        log_data=options.log_data,
        compared=options.baseline is not None,
    )
    try:
        computed.explain()
    except Exception as error:
        _logger.debug("Explaining in the background failed", exc_info=True)
        outcomes.skip(options, fit, one_line(error))
    else:
        outcomes.log_computed(options, fit, computed)
    finally:
        pending.drop()


def recover(pending: snapshots.PendingFit, entry: Entry) -> None:
    """Explain the pending fit of a process that has ended, and keep the explanation in the spool.

    Raises:
        CannotExplainError: It cannot be explained; the message says why.
        MlflowInterpretError: Another user may have written it.
    """
    if not pending.snapshot.is_file():
        raise CannotExplainError(
            "its process ended before it was explained, and with log_data=False no rows are kept; "
            "fit it again"
        )
    snapshots.check_private(pending.snapshot)
    worker = worker_process.Child(WORKER)
    explanation_id = entry.explanation_id or str(uuid.uuid4())
    computed = WorkerExplanation(
        worker, pending, explanation_id, log_data=entry.log_data, compared=False
    )
    folder = temporary_folders.create()
    data_only = Options(log_figures=False, log_report=False)  # drawn when it is logged
    try:
        computed.explain()
        record = computed.write(folder, data_only, None, {})
        entry = replace(entry, model=None, explanation_id=None)
        spool.keep_folder(folder, record.explanation.id, entry)
    finally:
        worker.end()
        shutil.rmtree(folder, ignore_errors=True)
    pending.drop()


def _at_exit() -> None:
    """Wait for the pending fits, for a limited time."""
    try:
        count = _queue.wait_for_fits(EXIT_SECONDS)
    except KeyboardInterrupt:
        count = _queue.wait_for_fits(0)
    if count and not _queue.is_silent():
        _logger.warning(
            "%s models are not explained yet. They are kept in %s, except those of "
            "log_data=False; explain them with: mlflow-interpret flush",
            count,
            snapshots.directory(),
        )
    _queue.close()


def _reset_after_fork() -> None:
    """Give a forked process an empty queue: it has no thread and no share in the pending fits."""
    global _queue, _inherited  # noqa: PLW0603 - one process has one queue
    _inherited = _queue  # closing its lock would release it for the parent, too
    _queue = _Queue()
    _inherited.worker.disown()


_queue = _Queue()
_inherited: _Queue | None = None

call_after_fork(_reset_after_fork)
call_at_exit(_at_exit)
