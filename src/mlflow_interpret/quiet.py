"""Keep the process as the user left it while explaining."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Warning filters and numpy's global generator belong to the process and not to a thread: two
# threads that change and restore them in turn would leave them changed. So one explains at a time.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Hold all warnings back, and other threads' explanations.

    Warnings are recorded and dropped rather than filtered: importing interpret-community puts
    filters of its own in front.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def own_chance() -> Iterator[None]:
    """Draw from a fresh seed of ``random`` and leave the user's stream as it was.

    MLflow draws the names of new runs from the global generator.
    """
    state = random.getstate()
    random.seed()
    try:
        yield
    finally:
        random.setstate(state)
