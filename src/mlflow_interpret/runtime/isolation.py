"""Keep the process as the user left it while a model is explained."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow_interpret.runtime.forks import ForkSafeLock, call_after_fork
from mlflow_interpret.runtime.scopes import Scope
from mlflow_interpret.runtime.thread_warnings import ignore_warnings

# Both generators belong to the process. The locks are held while computing only, for draws or one
# row of a kernel explanation.
_PYTHON_RANDOM = ForkSafeLock()
_NUMPY_RANDOM = ForkSafeLock()
_LONGEST_WAIT = 600.0  # seconds; a model may wait for a thread that waits for the lock


_numpy_states: dict[int, Any] = {}
"""The user's state of numpy's generator, by the thread that has seeded it."""


_isolation = Scope("isolation", in_thread=ignore_warnings)


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Suppress the warnings of the current thread and of threads that it starts inside.

    Warnings of all other threads pass with the user's filters. No lock is held. scikit-learn sets
    the caller's filters in its worker threads, for the whole process unless these threads have
    filters of their own.
    """
    with _isolation.entered():
        yield


def is_isolated() -> bool:
    """Whether the current thread, or the code that started it, is in `suppress_warnings`."""
    return _isolation.is_active()


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
        _numpy_states[threading.get_ident()] = state
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
            _numpy_states.pop(threading.get_ident(), None)
    finally:
        if locked:
            _NUMPY_RANDOM.release()


def _restore_numpy_after_fork() -> None:
    """Restore the state that another thread of the parent would have restored."""
    own = _numpy_states.pop(threading.get_ident(), None)
    states = list(_numpy_states.values())
    _numpy_states.clear()
    if own is not None:
        _numpy_states[threading.get_ident()] = own
    elif states:
        import numpy as np

        np.random.set_state(states[0])  # noqa: NPY002


# Python itself gives `random` a new seed in a forked process.
call_after_fork(_restore_numpy_after_fork)
