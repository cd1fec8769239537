"""Keep the process as the user left it while explaining."""

from __future__ import annotations

import importlib
import random
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Warning filters and numpy's global generator belong to the process and not to a thread: two
# threads that change and restore them in turn would leave them changed. So one explains at a time.
_ONE_AT_A_TIME = threading.RLock()
_PATIENCE = 120.0  # seconds: a model that predicts with threads that fit would wait for itself


class BusyError(Exception):
    """Another thread explains, and does not come to an end."""


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Hold all warnings back, and other threads' explanations.

    Warnings are recorded and dropped rather than filtered: importing interpret-community puts
    filters of its own in front.
    """
    if not _ONE_AT_A_TIME.acquire(timeout=_PATIENCE):
        raise BusyError(f"another thread was still explaining after {_PATIENCE:.0f} seconds")
    try:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("ignore")
            _import_apart("interpret_community")
            yield
    finally:
        _ONE_AT_A_TIME.release()


def _import_apart(name: str) -> None:
    """Import a package for the first time in a thread of its own.

    shap keeps the errors of imports that failed, and these keep every frame of the stack: the
    user's model and data would live as long as the process.
    """
    if name not in sys.modules:
        thread = threading.Thread(target=_import, args=(name,))
        thread.start()
        thread.join()


def _import(name: str) -> None:
    with suppress(Exception):  # who needs it imports it again, and hears why it cannot be
        importlib.import_module(name)


@contextmanager
def preserve_random_state() -> Iterator[None]:
    """Draw from a fresh seed of ``random`` and leave the user's stream as it was.

    MLflow draws the names of new runs from the global generator.
    """
    state = random.getstate()
    random.seed()
    try:
        yield
    finally:
        random.setstate(state)
