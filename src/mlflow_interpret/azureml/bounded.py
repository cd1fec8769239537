"""A call that may hang, given up in time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """What a call returns, or raises, within some seconds.

    It runs in a thread that keeps no process alive: what hangs is left behind.

    Args:
        seconds: How long to wait.
        call: What is called.

    Raises:
        TimeoutError: It took longer.
    """
    answers: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, name="mlflow-interpret-bounded", daemon=True).start()
    try:
        value, error = answers.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.3g} seconds") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # what T is, None included
