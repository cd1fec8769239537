"""Worker processes that serve several requests, one after the other.

A worker that uploads imports a whole SDK, which takes 6 to 10 seconds, so it is kept for the next
request for some time.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mlflow_interpret.runtime.worker_process import Child, ProcessDiedError


@dataclass
class _Worker:
    process: Child
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    expiry: threading.Timer | None = None


class WorkerPool:
    """Worker processes of one module, started when there is no idle one.

    Args:
        module: The full name of the module that they run. It answers each line of JSON with one
            line of JSON that has a key ``ok``.
        idle_seconds: The time after which an idle worker is ended.
    """

    def __init__(self, module: str, idle_seconds: float) -> None:
        self._module = module
        self._idle_seconds = idle_seconds
        self._idle: list[_Worker] = []
        self._guard = threading.Lock()

    def ask(self, request: dict[str, Any], deadline: float) -> dict[str, Any]:
        """Send a request to a worker and return its answer.

        A worker that answers without ``ok`` may be left in a state of its own, so it is ended.

        Args:
            request: The request.
            deadline: The time, as of ``time.monotonic()``, at which the worker is killed.

        Raises:
            TimeoutError: There was no answer before the deadline.
            ProcessDiedError: The worker ended without an answer.
        """
        worker = self._take()
        killer = threading.Timer(max(0.1, deadline - time.monotonic()), worker.process.kill)
        killer.daemon = True
        with suppress(RuntimeError):  # while the interpreter exits, the worker has to end itself
            killer.start()
        try:
            answer = worker.process.ask(request)
        except ProcessDiedError:
            if time.monotonic() >= deadline:
                raise TimeoutError from None
            raise
        finally:
            killer.cancel()
        if answer.get("ok"):
            self._give_back(worker)
        else:
            worker.process.kill()
            worker.process.end()
        return answer

    def end_idle(self) -> None:
        """End the workers that serve no request."""
        with self._guard:
            workers, self._idle = self._idle, []
        for worker in workers:
            _end(worker)

    def disown(self) -> None:
        """Leave the workers to the parent process, in a process that was forked."""
        for worker in self._idle:
            worker.process.disown()
        self._idle, self._guard = [], threading.Lock()

    def _take(self) -> _Worker:
        """Return an idle worker with the environment of this process, or a new one."""
        with self._guard:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and worker.environment == dict(os.environ):
            _cancel_expiry(worker)
            return worker
        if worker is not None:
            _end(worker)
        return _Worker(Child(self._module))

    def _give_back(self, worker: _Worker) -> None:
        worker.expiry = threading.Timer(self._idle_seconds, self._expire, (worker,))
        worker.expiry.daemon = True
        with self._guard:
            self._idle.append(worker)
        try:
            worker.expiry.start()
        except RuntimeError:  # the interpreter exits
            self._expire(worker)

    def _expire(self, worker: _Worker) -> None:
        with self._guard:
            if worker not in self._idle:  # it serves a request
                return
            self._idle = [other for other in self._idle if other is not worker]
        worker.process.end()


def _cancel_expiry(worker: _Worker) -> None:
    if worker.expiry is not None:
        worker.expiry.cancel()
        worker.expiry = None


def _end(worker: _Worker) -> None:
    _cancel_expiry(worker)
    worker.process.end()
