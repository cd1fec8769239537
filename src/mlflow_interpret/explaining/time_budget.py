"""The seconds that explaining may take, and what a call of a model costs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray

clock: Callable[[], float] = time.monotonic
"""Seconds since some moment; tests put a clock of their own here."""

_LONGEST_CALL = 0.05
"""Of the budget: so long one call of the model may take."""
_GROWTH = 4
_OVERDUE = 1.2
"""Of the budget: after so much of it no further call of the model is made."""
_SHARE = 0.7
"""Of the time that is left, for a model's calls."""
_STRETCH = 1.2
"""So far beyond the time that is left the smallest answer may go."""


def now() -> float:
    """What `clock` says."""
    return clock()


class TooSlowError(CannotExplainError):
    """Not even the smallest answer can be had within the budget."""


class OutOfTimeError(Exception):
    """The budget is spent, in the middle of a block of rows."""


class Budget:
    """A number of seconds from now on; it goes on elsewhere with what is left when it is pickled.

    Args:
        seconds: None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = math.inf if seconds is None else now() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; negative when it is overspent, infinite without a limit."""
        return self._end - now()

    def __getstate__(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "left": self.left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.seconds = state["seconds"]
        self._end = now() + state["left"]

    def keep(self, share: float) -> None:
        """See that at least this share of it is left, whatever came before."""
        if self.seconds is not None:
            self._end = max(self._end, now() + share * self.seconds)

    def too_short(self, name: str, seconds: float) -> TooSlowError:
        """Says that the smallest answer about a model takes so many seconds more."""
        return TooSlowError(
            f"a time_budget of {self.seconds:.3g} s is too short for {name}: the smallest "
            f"explanation takes some {max(seconds, 0.0):.3g} s more than the "
            f"{max(self.left, 0.0):.3g} s that are left. Give a longer one, or fewer columns"
        )

    def check(self) -> None:
        """See that a model may be called once more.

        Raises:
            OutOfTimeError: The budget is overspent.
        """
        if self.seconds is not None and self.left < (1.0 - _OVERDUE) * self.seconds:
            raise OutOfTimeError


class Metered:
    """HttpClient a model with so many rows at once that no call is long against the budget.

    A call's cost is unknown at first. It starts with one row, and grows while it stays short.

    Args:
        budget: The budget. Without a limit each call gets all rows that it is given.
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
    def left(self) -> float:
        """Seconds that are left of the budget."""
        return self._budget.left

    @property
    def seconds_per_row(self) -> float:
        """What a row costs in a large call, by the largest call so far."""
        return self._seconds / max(self._largest, 1)

    @property
    def chunk(self) -> int:
        """How many rows the next call may have."""
        if self._largest == 0:
            return 1
        longest = _LONGEST_CALL * (self._budget.seconds or math.inf)
        fitting = longest / max(self.seconds_per_row, 1e-12)
        return max(1, int(min(fitting, _GROWTH * self._largest)))

    def outputs(
        self,
        output: Callable[[slice], FloatArray],
        n_rows: int,
        share: float | None = None,
        at_least: int = 0,
    ) -> FloatArray:
        """The outputs for all rows, ``output`` being called with one slice of them after another.

        Args:
            output: Gives the outputs of the rows in a slice.
            n_rows: How many rows there are.
            share: Of the time that is left; after it no further rows are asked for.
            at_least: So many rows all the same.

        Raises:
            OutOfTimeError: The budget is spent before the last.
        """
        if not self.is_limited:
            return output(slice(0, n_rows))
        found: list[FloatArray] = []
        start = 0
        enough = -math.inf if share is None else (1.0 - share) * self._budget.left
        while start < n_rows and (start < at_least or self._budget.left > enough):
            self._budget.check()
            stop = min(n_rows, start + self.chunk)
            found.append(self._timed(output, slice(start, stop)))
            start = stop
        return np.concatenate(found)

    def affordable(self, name: str, fewest: int) -> int:
        """How many rows the model can be asked for in most of the time that is left.

        Args:
            name: The model.
            fewest: So many make the smallest answer.

        Raises:
            TooSlowError: Not even these.
        """
        if fewest * self.seconds_per_row > _STRETCH * self._budget.left:
            raise self.too_slow(name, fewest)
        fitting = _SHARE * self._budget.left / max(self.seconds_per_row, 1e-9)
        return max(fewest, int(fitting))

    def too_slow(self, name: str, fewest: int) -> TooSlowError:
        """Says that the model cannot be asked for so many rows."""
        return self._budget.too_short(name, fewest * self.seconds_per_row - self._budget.left)

    def _timed(self, output: Callable[[slice], FloatArray], some: slice) -> FloatArray:
        began = now()
        found = output(some)
        size = some.stop - some.start
        if size >= self._largest:
            self._largest, self._seconds = size, now() - began
        return found
