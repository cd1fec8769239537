"""Work beside the training: a queue whose thread hands one job after the other to a worker."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mlflow_interpret.runtime.progress import wait
from mlflow_interpret.runtime.worker_process import NICENESS, Child, Worker

_logger = logging.getLogger("mlflow_interpret")

_END_SECONDS = 10.0
"""The longest wait for an idle worker to end."""


@dataclass(frozen=True, eq=False)
class Job:
    """A piece of work.

    Attributes:
        run: Does the work; its argument is the worker to ask.
        silent: Show no progress while waiting for it.
        size: Bytes on disk.
    """

    run: Callable[[Worker], None]
    silent: bool = False
    size: int = 0


class WorkQueue:
    """The jobs of one kind of this process, and the thread that handles them in turn.

    The thread and the worker process start with the first job and end when they are idle.

    Args:
        name: The name of the thread.
        module: The module of the worker process.
        idle_seconds: The time after which the idle worker is ended, to free its memory.
        prepare: Called by the thread before the worker starts. Meanwhile the jobs wait, and other
            threads can take them.
    """

    def __init__(
        self,
        name: str,
        module: str,
        idle_seconds: float,
        prepare: Callable[[Worker], None] = lambda _: None,
    ) -> None:
        self._name, self._module = name, module
        self._idle_seconds = idle_seconds
        self._prepare = prepare
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._thread: threading.Thread | None = None
        self._is_needed = True
        self.worker = Child(module, NICENESS)

    def put(self, job: Job) -> None:
        """Queue a job."""
        with self._changed:
            self._waiting.append(job)
            self._is_needed = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def pending(self) -> tuple[Job, ...]:
        """Return the jobs that are not finished."""
        with self._changed:
            return (*self._running, *self._waiting)

    def is_silent(self) -> bool:
        """Return whether all pending jobs are silent."""
        return all(job.silent for job in self.pending())

    def run_next(self, worker: Worker | None = None) -> bool:
        """Handle the next job in the current thread; return whether there was one.

        Args:
            worker: The worker to ask. Default: that of the queue.
        """
        with self._changed:
            if not self._waiting:
                return False
            worker = worker or self.worker
            job = self._waiting.popleft()
            self._running.append(job)
        try:
            job.run(worker)
        except Exception:
            _logger.debug("A job in the background failed", exc_info=True)
        finally:
            with self._changed:
                self._running.remove(job)
                self._changed.notify_all()
        return True

    def wait(
        self,
        timeout: float | None,
        *,
        description: str,
        unit: str,
        helper: Worker | None = None,
    ) -> int:
        """Wait until no job is pending or the time is up.

        Args:
            timeout: Seconds to wait, None for no limit.
            description: The text before the progress bar.
            unit: The unit of the jobs.
            helper: A worker for the current thread, which handles jobs, too.

        Returns:
            The number of pending jobs.
        """

        def pause(seconds: float) -> None:
            if helper is not None and self.run_next(helper):
                return
            with self._changed:
                self._changed.wait_for(lambda: not self._waiting and not self._running, seconds)

        self.worker.hurry()
        try:
            return wait(
                lambda: len(self.pending()),
                pause,
                timeout,
                description=description,
                unit=unit,
                silent=self.is_silent(),
            )
        finally:
            self.worker.give_way()

    def end_idle(self) -> None:
        """End the thread and the worker if no job is pending; the next job starts others."""
        with self._changed:
            if self._waiting or self._running:
                return
            self._is_needed = False
            thread = self._thread
            # A job that is queued now gets another worker.
            worker, self.worker = self.worker, Child(self._module, NICENESS)
            self._changed.notify_all()
        worker.kill()  # it may be starting, which takes long on a busy machine
        if thread is not None and thread is not threading.current_thread():
            thread.join(_END_SECONDS)
        worker.end()

    def _work(self) -> None:
        def is_called() -> bool:
            return bool(self._waiting) or not self._is_needed

        while True:
            with self._changed:
                self._changed.wait_for(is_called, self._idle_seconds)
                if not self._waiting:
                    self._thread = None
                    worker, self.worker = self.worker, Child(self._module, NICENESS)
                    break
            if not self.worker.is_running:
                try:
                    self._prepare(self.worker)
                except Exception:
                    _logger.debug("The worker could not be prepared", exc_info=True)
            self.run_next()
        worker.end()
