"""Locks that are free in forked processes.

A fork copies the memory of a process and one of its threads. A lock that another thread held stays
locked in the child for ever.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from weakref import WeakSet


class ForkSafeLock:
    """A reentrant lock, which is free in a forked process unless the forking thread holds it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def acquire(self, timeout: float = -1) -> bool:
        """Acquire the lock; return whether it was acquired.

        Args:
            timeout: Seconds to wait, -1 for no limit.
        """
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        """Release the lock."""
        with suppress(RuntimeError):  # acquired before the fork, by the thread that forked
            self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def renew(self) -> None:
        """Free the lock, in a forked process."""
        self._lock = threading.RLock()


def call_after_fork(function: Callable[[], None]) -> None:
    """Call a function in each process that is forked from this one; Windows has no such processes.

    Args:
        function: It is called after all `ForkSafeLock` are free.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def _renew_locks() -> None:
    for lock in list(_locks):
        lock.renew()


_locks: WeakSet[ForkSafeLock] = WeakSet()
call_after_fork(_renew_locks)
