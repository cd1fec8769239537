"""Keep the process as the user left it while a model is explained."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlflow_interpret.runtime.thread_warnings import SharedChange, Undo, ignore_warnings

# Both generators belong to the process. The locks are held while computing only, for draws or one
# row of a kernel explanation.
_PYTHON_RANDOM = threading.RLock()
_NUMPY_RANDOM = threading.RLock()
_LONGEST_WAIT = 600.0  # seconds; a model may wait for a thread that waits for the lock


class _Block:
    """A block of `suppress_warnings`, which also covers threads that are started inside."""

    is_open = True


class _Thread(threading.local):
    block: _Block | None = None


_thread = _Thread()


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Suppress the warnings of the current thread and of threads that it starts inside.

    Warnings of all other threads pass with the user's filters. No lock is held.
    """
    block = _Block()
    with _inheritance.applied(), _entered(block):
        try:
            yield
        finally:
            block.is_open = False


def is_isolated() -> bool:
    """Whether the current thread, or the thread that started it, is in `suppress_warnings`."""
    return _thread.block is not None and _thread.block.is_open


@contextmanager
def _entered(block: _Block) -> Iterator[None]:
    outer, _thread.block = _thread.block, block
    try:
        with ignore_warnings(lambda: block.is_open):
            yield
    finally:
        _thread.block = outer


def _let_threads_inherit() -> Undo:
    """Let threads inherit the block of the thread that starts them.

    scikit-learn sets the caller's filters in its worker threads, for the whole process unless these
    threads have filters of their own.
    """
    original = threading.Thread.start
    ours = _starter(original)
    setattr(threading.Thread, "start", ours)  # noqa: B010

    def undo() -> None:
        if threading.Thread.start is ours:
            setattr(threading.Thread, "start", original)  # noqa: B010

    return undo


def _starter(original: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    def start(thread: threading.Thread) -> None:
        block = _thread.block
        if block is not None and block.is_open:
            run = thread.run

            def run_in_block() -> None:
                del thread.run  # a reference cycle
                with _entered(block):
                    run()

            setattr(thread, "run", run_in_block)  # noqa: B010
        original(thread)

    return start


_inheritance = SharedChange(_let_threads_inherit)


@contextmanager
def preserve_random_state() -> Iterator[None]:
    """Give `random` a fresh seed, and restore the user's random state afterwards."""
    with _PYTHON_RANDOM:
        state = random.getstate()
        random.seed()
        try:
            yield
        finally:
            random.setstate(state)


@contextmanager
def seeded_numpy(seed: int | list[int]) -> Iterator[None]:
    """Seed numpy's global generator, and restore the user's random state afterwards.

    Args:
        seed: As for ``numpy.random.seed``.
    """
    import numpy as np

    locked = _NUMPY_RANDOM.acquire(timeout=_LONGEST_WAIT)
    try:
        state = np.random.get_state()  # noqa: NPY002 - shap draws from no other generator
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
    finally:
        if locked:
            _NUMPY_RANDOM.release()
