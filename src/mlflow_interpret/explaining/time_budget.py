"""The time budget of an explanation, and the measured cost of calls of a model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray

Clock = Callable[[], float]
"""Gives the seconds since some moment."""

_LONGEST_CALL = 0.05
"""Share of the budget that one call of the model may take."""
_GROWTH = 4
_OVERDUE = 1.2
"""Share of the budget after which the model is no longer called."""
_SHARE = 0.7
"""Share of the remaining time for calls of the model."""
_STRETCH = 1.2
"""Share of the remaining time that the smallest explanation may take."""


class TooSlowError(CannotExplainError):
    """Not even the smallest explanation fits into the budget."""


class OutOfTimeError(Exception):
    """The budget ran out within a batch of rows."""


class Budget:
    """A number of seconds, counted from the construction.

    A pickled budget continues in another process with the remaining time.

    Args:
        seconds: None for no limit.
        clock: Measures the time.
    """

    def __init__(self, seconds: float | None, clock: Clock = time.monotonic) -> None:
        self.seconds = seconds
        self.now = clock
        self._end = math.inf if seconds is None else clock() + seconds

    @property
    def remaining(self) -> float:
        """Remaining seconds; negative once the budget is overspent, infinite without a limit."""
        return self._end - self.now()

    def __getstate__(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "remaining": self.remaining}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # The clocks of two machines differ, so neither the clock nor the end is sent.
        self.seconds = state["seconds"]
        self.now = time.monotonic
        self._end = self.now() + state["remaining"]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Return a context whose duration does not count."""
        start = self.now()
        yield
        self._end += self.now() - start

    def reserve(self, share: float) -> None:
        """Extend the budget so that at least this share of it remains."""
        if self.seconds is not None:
            self._end = max(self._end, self.now() + share * self.seconds)

    def too_short(self, name: str, seconds: float) -> TooSlowError:
        """The error for a budget that lacks a number of seconds.

        Args:
            name: Name of the model.
            seconds: Seconds that the smallest explanation needs beyond the remaining time.
        """
        return TooSlowError(
            f"a time_budget of {self.seconds:.3g} s is too short for {name}: the smallest "
            f"explanation takes some {max(seconds, 0.0):.3g} s more than the remaining "
            f"{max(self.remaining, 0.0):.3g} s. Give a longer one, or fewer columns"
        )

    def check(self) -> None:
        """Check whether the model may be called once more.

        Raises:
            OutOfTimeError: The budget is overspent.
        """
        if self.seconds is not None and self.remaining < (1.0 - _OVERDUE) * self.seconds:
            raise OutOfTimeError


class Metered:
    """Calls a model with batches of rows whose calls are short relative to the budget.

    The cost of a call is unknown at first: the first call gets a single row, and the next ones get
    more as long as the calls are short.

    Args:
        budget: The budget. Without a limit, a call gets all rows.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._largest = 0
        self._seconds = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget."""
        return self._budget.seconds is not None

    @property
    def remaining(self) -> float:
        """Remaining seconds of the budget."""
        return self._budget.remaining

    @property
    def seconds_per_row(self) -> float:
        """Cost of a row, by the largest call so far."""
        return self._seconds / max(self._largest, 1)

    @property
    def batch_size(self) -> int:
        """Number of rows for the next call."""
        if self._largest == 0:
            return 1
        longest = _LONGEST_CALL * (self._budget.seconds or math.inf)
        affordable = longest / max(self.seconds_per_row, 1e-12)
        return max(1, int(min(affordable, _GROWTH * self._largest)))

    def outputs(
        self,
        output: Callable[[slice], FloatArray],
        n_rows: int,
        share: float | None = None,
        at_least: int = 0,
    ) -> FloatArray:
        """The outputs of the model for all rows, batch by batch.

        Args:
            output: Gives the outputs of the rows in a slice.
            n_rows: Number of rows.
            share: Share of the remaining time; once it is spent, the rest of the rows is left out.
            at_least: Number of rows that are not left out.

        Raises:
            OutOfTimeError: The budget ran out.
        """
        if not self.is_limited:
            return output(slice(0, n_rows))
        batches: list[FloatArray] = []
        start = 0
        end = -math.inf if share is None else (1.0 - share) * self._budget.remaining
        while start < n_rows and (start < at_least or self._budget.remaining > end):
            self._budget.check()
            stop = min(n_rows, start + self.batch_size)
            batches.append(self._timed(output, slice(start, stop)))
            start = stop
        return np.concatenate(batches)

    def affordable(self, name: str, fewest: int) -> int:
        """Number of rows that the model can predict in most of the remaining time.

        Args:
            name: Name of the model.
            fewest: Number of rows that the smallest explanation needs.

        Raises:
            TooSlowError: The time is too short for ``fewest`` rows.
        """
        if fewest * self.seconds_per_row > _STRETCH * self._budget.remaining:
            raise self.too_slow(name, fewest)
        affordable = _SHARE * self._budget.remaining / max(self.seconds_per_row, 1e-9)
        return max(fewest, int(affordable))

    def too_slow(self, name: str, fewest: int) -> TooSlowError:
        """The error for a model that cannot predict ``fewest`` rows in time."""
        return self._budget.too_short(name, fewest * self.seconds_per_row - self._budget.remaining)

    def _timed(self, output: Callable[[slice], FloatArray], rows: slice) -> FloatArray:
        start = self._budget.now()
        outputs = output(rows)
        size = rows.stop - rows.start
        if size >= self._largest:
            self._largest, self._seconds = size, self._budget.now() - start
        return outputs
