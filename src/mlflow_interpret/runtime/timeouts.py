"""Calls with a time-out, for functions that may hang."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TimedCall(Generic[T]):
    """A call in a daemon thread.

    The thread starts at once and waits for `result`: from Python 3.12 on, no thread starts while
    the interpreter exits.

    Args:
        call: The function.

    Raises:
        RuntimeError: The interpreter exits.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._start = threading.Event()
        self._outcomes: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()
        threading.Thread(target=self._run, name="mlflow-interpret-timed", daemon=True).start()

    def result(self, seconds: float) -> T:
        """Call the function; return its result, or raise its exception.

        Args:
            seconds: The time-out. The thread of a call that takes longer is abandoned.

        Raises:
            TimeoutError: The call takes longer.
        """
        self._start.set()
        try:
            value, error = self._outcomes.get(timeout=max(0.0, seconds))
        except queue.Empty:
            raise TimeoutError(f"no response within {seconds:.3g} seconds") from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # None is a T, too

    def _run(self) -> None:
        self._start.wait()
        try:
            self._outcomes.put((self._call(), None))
        except BaseException as error:
            self._outcomes.put((None, error))


def call_with_timeout(seconds: float, call: Callable[[], T]) -> T:
    """Call a function with a time-out; return its result, or raise its exception.

    While the interpreter exits, there is no time-out.

    Args:
        seconds: The time-out.
        call: The function.

    Raises:
        TimeoutError: The call takes longer.
    """
    try:
        timed = TimedCall(call)
    except RuntimeError:
        return call()
    return timed.result(seconds)
