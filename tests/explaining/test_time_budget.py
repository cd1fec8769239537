"""A budget of seconds, by a clock that the tests move."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mlflow_interpret.explaining.time_budget import Budget, Metered, OutOfTimeError, TooSlowError


def costly(clock, per_row, per_call=0.0):
    """An output that takes its time, and the sizes of its calls."""
    sizes = []

    def output(some):
        n = some.stop - some.start
        sizes.append(n)
        clock.now += per_call + per_row * n
        return np.arange(some.start, some.stop, dtype=float)[:, None]

    return output, sizes


def test_without_a_limit_all_rows_are_one_call(clock):
    output, sizes = costly(clock, 10.0)
    assert np.array_equal(Metered(Budget(None)).outputs(output, 50)[:, 0], np.arange(50))
    assert sizes == [50]
    assert Budget(None).left == float("inf")


def test_calls_begin_with_one_row_and_stay_short(clock):
    output, sizes = costly(clock, 0.01)
    found = Metered(Budget(10.0)).outputs(output, 500)
    assert np.array_equal(found[:, 0], np.arange(500))
    assert sizes[0] == 1
    assert max(sizes) * 0.01 <= 0.5 + 1e-9
    assert max(sizes) > 20


def test_calls_grow_where_a_call_costs_the_same_whatever_its_size(clock):
    output, sizes = costly(clock, 0.0, per_call=0.05)
    Metered(Budget(10.0)).outputs(output, 10_000)
    assert len(sizes) < 20


def test_no_call_is_made_when_the_budget_is_overspent(clock):
    output, sizes = costly(clock, 1.0)
    with pytest.raises(OutOfTimeError):
        Metered(Budget(5.0)).outputs(output, 100)
    assert 5 <= sum(sizes) <= 8


def test_a_share_ends_early_but_not_before_the_fewest_rows(clock):
    output, _ = costly(clock, 0.1)
    assert 10 <= len(Metered(Budget(10.0)).outputs(output, 100, share=0.1)) < 20
    output, _ = costly(clock, 1.0)
    assert len(Metered(Budget(10.0)).outputs(output, 100, share=0.1, at_least=4)) >= 4


def test_what_is_affordable_follows_from_the_cost(clock):
    output, _ = costly(clock, 0.01)
    budget = Budget(10.0)
    meter = Metered(budget)
    meter.outputs(output, 100)
    assert meter.seconds_per_row == pytest.approx(0.01)
    assert 300 < meter.affordable("Model", 2) < budget.left / 0.01
    with pytest.raises(TooSlowError, match=r"time_budget of 10 s is too short for Model: .* more"):
        meter.affordable("Model", 5_000)


def test_elsewhere_a_budget_goes_on_with_what_is_left(clock):
    budget = Budget(10.0)
    clock.now += 4.0
    sent = pickle.dumps(budget)
    clock.now = -77.0  # each machine has a clock of its own
    again = pickle.loads(sent)
    assert again.left == pytest.approx(6.0)
    assert again.seconds == 10.0


def test_some_of_a_budget_can_be_kept_whatever_came_before(clock):
    budget = Budget(10.0)
    budget.keep(0.3)
    assert budget.left == pytest.approx(10.0)
    clock.now += 9.0
    budget.keep(0.3)
    assert budget.left == pytest.approx(3.0)
    Budget(None).keep(0.3)
