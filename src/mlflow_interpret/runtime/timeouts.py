"""HttpClient that may hang, given up in time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TimedCall(Generic[T]):
    """A call that is made in a thread of its own, which keeps no process alive.

    The thread starts at once and waits: from Python 3.12 on, a process that is ending starts none.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        """Get ready.

        Args:
            call: What will be called.

        Raises:
            RuntimeError: The process is ending.
        """
        self._call = call
        self._begin = threading.Event()
        self._answers: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()
        threading.Thread(target=self._run, name="mlflow-interpret-bounded", daemon=True).start()

    def result(self, seconds: float) -> T:
        """Make the call and return what it returns, or raise what it raises.

        Args:
            seconds: How long to wait. What takes longer is left behind.

        Raises:
            TimeoutError: It took longer.
        """
        self._begin.set()
        try:
            value, error = self._answers.get(timeout=max(0.0, seconds))
        except queue.Empty:
            raise TimeoutError(f"no answer within {seconds:.3g} seconds") from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # what T is, None included

    def _run(self) -> None:
        self._begin.wait()
        try:
            self._answers.put((self._call(), None))
        except BaseException as error:
            self._answers.put((None, error))


def call_with_timeout(seconds: float, call: Callable[[], T]) -> T:
    """What a call returns, or raises, within some seconds.

    In a process that is ending it is not bounded: whoever calls then is.

    Args:
        seconds: How long to wait.
        call: What is called.

    Raises:
        TimeoutError: It took longer.
    """
    try:
        bounded = TimedCall(call)
    except RuntimeError:
        return call()
    return bounded.result(seconds)
