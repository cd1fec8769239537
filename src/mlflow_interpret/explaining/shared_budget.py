"""The time budget that the fits of a process share, so that tuning loops stay fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from mlflow_interpret.explaining.time_budget import Clock, TooSlowError
from mlflow_interpret.runtime.forks import ForkSafeLock

SHARE = 0.1
"""Share of the elapsed time that explaining may take."""
SHORTEST_BUDGET = 2.0
"""Seconds; explaining then adds at most a fifth to 20 fits of a second: (2 + 0.1 * 20) / 20."""
_SLOWEST = 3.0  # seconds that a model gets which is too slow for that budget
LONGEST_BUDGET = 60.0  # seconds
_SMALLEST = 0.1  # seconds, in which trees and linear models are explained on some rows
_CARRIED_OVER = 0.5  # seconds; an explanation leaves no more than these to the next ones
_GROWTH = 5

_Result = TypeVar("_Result")


def own_budget(fit_seconds: float) -> float:
    """Return the budget in seconds of a fit that shares it with no other fit."""
    return min(max(SHARE * fit_seconds, SHORTEST_BUDGET), LONGEST_BUDGET)


class SharedBudget:
    """A budget for all fits of a process.

    The first fit gets its own budget. Each explanation uses up a part, and time brings it back:
    explaining takes a tenth of the time of a loop, and a fit after a pause gets its own budget
    again.

    Args:
        clock: Measures the time.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = ForkSafeLock()
        self._seconds = SHORTEST_BUDGET
        self._updated = clock()

    def run(self, explain: Callable[[float], _Result], own: float) -> _Result:
        """Explain a model within the remaining budget.

        A model that is too slow for it gets more, up to its own budget or 3 seconds.

        Args:
            explain: Explains the model within a number of seconds.
            own: The fit's own budget, in seconds.

        Raises:
            TooSlowError: That is too short, too.
        """
        seconds, longest = self._remaining(own), max(own, _SLOWEST)
        started = self._clock()
        try:
            while seconds < longest:
                try:
                    return explain(seconds)
                except TooSlowError:
                    seconds = min(_GROWTH * seconds, longest)
            return explain(longest)
        finally:
            self._spend(min(self._clock() - started, seconds))  # imports do not count

    def _remaining(self, own: float) -> float:
        with self._lock:
            now = self._clock()
            self._seconds = min(self._seconds + SHARE * (now - self._updated), own)
            self._updated = now
            return max(_SMALLEST, self._seconds)

    def _spend(self, seconds: float) -> None:
        with self._lock:
            self._seconds = min(self._seconds - seconds, _CARRIED_OVER)
