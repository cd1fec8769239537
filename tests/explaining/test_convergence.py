"""When the ranking is settled, and whether intervals hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.intervals import coverage, problems

from mlflow_interpret.explaining.convergence import (
    by_row,
    half_widths,
    has_converged,
    intervals,
    noise,
    standard_errors,
)

draw = np.random.default_rng(0)


@pytest.fixture(scope="module")
def real():
    found = {}
    for name, rows in problems():
        found[name] = rows
        if len(found) == 4:
            return found
    return found


@pytest.mark.parametrize(
    "problem", ["diamonds, linear", "diamonds, boosting", "diamonds, dear or not", "VietNamI"]
)
def test_intervals_of_95_percent_hold_the_truth_in_93_to_97_of_100_draws(real, problem):
    found = coverage(real[problem], 400, 1)
    assert 0.93 <= found.hits.mean() <= 0.97
    assert found.n_rows.min() < 1_000  # some of them have ended early


def test_skewed_importances_have_wider_intervals_than_even_ones():
    even, skewed = draw.normal(5.0, 1.0, size=500), draw.exponential(1.0, size=500) ** 2
    rows = np.column_stack([even, skewed])
    ratio = half_widths(rows, 10**6) / standard_errors(rows, 10**6)
    assert 1.95 < ratio[0] < 1.99 < ratio[1]


def test_importances_of_all_rows_are_certain_but_for_sampling():
    rows = draw.normal(size=(50, 2))
    assert np.array_equal(standard_errors(rows, 50), [0.0, 0.0])
    within = np.array([0.5, 0.0])
    np.testing.assert_allclose(standard_errors(rows, 50, within), np.sqrt(within / 50))
    assert (standard_errors(rows, 100) < standard_errors(rows, 10**6)).all()


def test_one_row_of_many_tells_nothing():
    assert standard_errors(np.ones((1, 2)), 5) is None
    assert half_widths(np.ones((1, 2)), 5) is None
    assert not has_converged(np.ones((1, 2)), 5)
    assert has_converged(np.ones((1, 2)), 1)
    assert intervals(["a", "b"], np.ones((1, 2)), 5, None) == []


def test_a_ranking_is_settled_where_features_are_told_apart_or_as_good_as_equal():
    apart = np.column_stack([draw.normal(3, 1, 200), draw.normal(1, 1, 200)])
    assert has_converged(apart, 10**6)
    close = np.column_stack([draw.normal(1.02, 1, 200), draw.normal(1.0, 1, 200)])
    assert not has_converged(close, 10**6)
    equal = np.column_stack([np.linspace(1, 2, 200)] * 2) * [1.0, 1.01]
    assert has_converged(equal, 10**6)
    assert not has_converged(equal, 10**6, tolerance=0.0) or (np.diff(equal, axis=1) > 0).all()


def test_what_an_engine_samples_within_a_row_counts():
    rows = np.column_stack([draw.normal(1.1, 0.01, 100), draw.normal(1.0, 0.01, 100)])
    assert has_converged(rows, 100, np.zeros(2))
    assert not has_converged(rows, 100, np.full(2, 25.0))


def test_importances_of_rows_are_means_over_blocks():
    local = draw.normal(size=(3, 5, 2))
    np.testing.assert_allclose(by_row(local).mean(axis=0), np.abs(local).mean(axis=(0, 1)))
    assert noise(None) is None
    np.testing.assert_allclose(noise(np.full((2, 5, 2), 3.0)), [9.0, 9.0])


def test_features_that_never_vary_have_intervals_without_width():
    found = intervals(["a", "b"], np.ones((50, 2)), 100, None)
    assert [(one["low"], one["high"]) for one in found] == [(1.0, 1.0), (1.0, 1.0)]
