"""Fits share a budget that grows back with time."""

from __future__ import annotations

import pytest

from mlflow_interpret.explaining.shared_budget import SharedBudget, own_budget
from mlflow_interpret.explaining.time_budget import TooSlowError


class Process:
    """Fits and explanations on a clock of their own."""

    def __init__(self):
        self.now = 100.0
        self.shared = SharedBudget(lambda: self.now)

    def explain(self, cost, fit_seconds=1.0, needs=0.0):
        """A fit and its explanation, which costs up to a number of seconds; returns its budgets."""
        self.now += fit_seconds
        tried = []

        def explain(seconds):
            tried.append(round(seconds, 6))
            if seconds < needs:
                raise TooSlowError("too slow")
            self.now += min(cost, seconds)

        self.shared.run(explain, own_budget(fit_seconds))
        return tried


def test_the_first_fit_has_its_own_budget():
    assert Process().explain(0.2) == [2.0]
    assert Process().explain(0.2, fit_seconds=200.0) == [20.0]


def test_a_loop_spends_a_tenth_of_its_time_on_slow_explanations():
    process = Process()
    budgets = [process.explain(cost=60.0)[0] for _ in range(20)]
    # After the first, a tenth of the second and of the explanation before.
    assert budgets[:4] == [2.0, 0.3, 0.13, 0.113]
    assert budgets[-1] == pytest.approx(1 / 9)
    assert process.now - 120 == pytest.approx(4.32, abs=0.01)


def test_cheap_explanations_are_not_cut():
    process = Process()
    budgets = [process.explain(0.05)[0] for _ in range(100)]
    assert min(budgets) > 0.499


def test_a_pause_brings_the_own_budget_back():
    process = Process()
    process.explain(60.0)
    process.now += 1000
    assert process.explain(0.2) == [2.0]


def test_fits_that_take_long_keep_their_own_budgets():
    process = Process()
    assert [process.explain(60.0, fit_seconds=100.0) for _ in range(3)] == [[10.0]] * 3
    assert process.explain(60.0, fit_seconds=10_000.0) == [60.0]


def test_a_model_that_is_too_slow_for_its_part_gets_more():
    process = Process()
    process.explain(60.0)
    process.explain(60.0)
    assert process.explain(60.0, needs=0.4) == [0.13, 0.65]
    assert process.explain(60.0, needs=2.8) == [0.1, 0.5, 2.5, 3.0]
    with pytest.raises(TooSlowError):
        process.explain(60.0, needs=6.0)
