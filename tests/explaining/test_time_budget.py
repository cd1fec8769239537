"""Tests of time budgets, on a clock that the tests advance."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mlflow_interpret.explaining.time_budget import Budget, Metered, OutOfTimeError, TooSlowError


def costly(clock, per_row, per_call=0.0):
    """An output that advances the clock, and the sizes of its calls."""
    sizes = []

    def output(rows):
        n = rows.stop - rows.start
        sizes.append(n)
        clock.now += per_call + per_row * n
        return np.arange(rows.start, rows.stop, dtype=float)[:, None]

    return output, sizes


def test_without_a_limit_one_call_gets_all_rows(clock):
    output, sizes = costly(clock, 10.0)
    assert np.array_equal(Metered(Budget(None, clock)).outputs(output, 50)[:, 0], np.arange(50))
    assert sizes == [50]
    assert Budget(None, clock).remaining == float("inf")


def test_calls_start_with_one_row_and_stay_short(clock):
    output, sizes = costly(clock, 0.01)
    outputs = Metered(Budget(10.0, clock)).outputs(output, 500)
    assert np.array_equal(outputs[:, 0], np.arange(500))
    assert sizes[0] == 1
    assert max(sizes) * 0.01 <= 0.5 + 1e-9
    assert max(sizes) > 20


def test_calls_grow_if_their_cost_does_not_depend_on_their_size(clock):
    output, sizes = costly(clock, 0.0, per_call=0.05)
    Metered(Budget(10.0, clock)).outputs(output, 10_000)
    assert len(sizes) < 20


def test_the_model_is_not_called_once_the_budget_is_overspent(clock):
    output, sizes = costly(clock, 1.0)
    with pytest.raises(OutOfTimeError):
        Metered(Budget(5.0, clock)).outputs(output, 100)
    assert 5 <= sum(sizes) <= 8


def test_a_share_of_the_budget_leaves_rows_out_but_not_the_fewest(clock):
    output, _ = costly(clock, 0.1)
    assert 10 <= len(Metered(Budget(10.0, clock)).outputs(output, 100, share=0.1)) < 20
    output, _ = costly(clock, 1.0)
    assert len(Metered(Budget(10.0, clock)).outputs(output, 100, share=0.1, at_least=4)) >= 4


def test_the_affordable_number_of_rows_follows_from_the_cost(clock):
    output, _ = costly(clock, 0.01)
    budget = Budget(10.0, clock)
    meter = Metered(budget)
    meter.outputs(output, 100)
    assert meter.seconds_per_row == pytest.approx(0.01)
    assert 300 < meter.affordable("Model", 2) < budget.remaining / 0.01
    with pytest.raises(TooSlowError, match=r"time_budget of 10 s is too short for Model: .* more"):
        meter.affordable("Model", 5_000)


def test_a_pickled_budget_continues_with_the_remaining_time(clock):
    budget = Budget(10.0, clock)
    clock.now += 4.0
    sent = pickle.dumps(budget)
    received = pickle.loads(sent)  # on the clock of the other machine
    assert received.remaining == pytest.approx(6.0, abs=0.5)
    assert received.seconds == 10.0


def test_a_share_of_the_budget_can_be_reserved(clock):
    budget = Budget(10.0, clock)
    budget.reserve(0.3)
    assert budget.remaining == pytest.approx(10.0)
    clock.now += 9.0
    budget.reserve(0.3)
    assert budget.remaining == pytest.approx(3.0)
    Budget(None, clock).reserve(0.3)


def test_the_time_of_a_pause_does_not_count(clock):
    budget = Budget(5.0, clock)
    with budget.paused():
        clock.now += 100.0
    assert budget.remaining == 5.0
