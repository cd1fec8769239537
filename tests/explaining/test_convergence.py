"""Tests of convergence, and of the coverage of the confidence intervals."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from benchmarks.intervals import coverage, problems

from mlflow_interpret.explaining.convergence import (
    half_widths,
    has_converged,
    intervals,
    row_importances,
    sampling_variance,
    standard_errors,
)

draw = np.random.default_rng(0)


@pytest.fixture(scope="module")
def real():
    return dict(islice(problems(), 4))


@pytest.mark.parametrize(
    "problem", ["diamonds, linear", "diamonds, boosting", "diamonds, dear or not", "VietNamI"]
)
def test_95_percent_intervals_cover_the_truth_in_93_to_97_percent_of_the_draws(real, problem):
    result = coverage(real[problem], 400, 1)
    assert 0.93 <= result.hits.mean() <= 0.97
    assert result.n_rows.min() < 1_000  # some draws have converged early


def test_skewed_importances_have_wider_intervals_than_even_ones():
    even, skewed = draw.normal(5.0, 1.0, size=500), draw.exponential(1.0, size=500) ** 2
    rows = np.column_stack([even, skewed])
    ratio = half_widths(rows, 10**6) / standard_errors(rows, 10**6)
    assert 1.95 < ratio[0] < 1.99 < ratio[1]


def test_importances_of_all_rows_have_errors_from_sampling_only():
    rows = draw.normal(size=(50, 2))
    assert np.array_equal(standard_errors(rows, 50), [0.0, 0.0])
    noise = np.array([0.5, 0.0])
    np.testing.assert_allclose(standard_errors(rows, 50, noise), np.sqrt(noise / 50))
    assert (standard_errors(rows, 100) < standard_errors(rows, 10**6)).all()


def test_a_single_row_of_many_has_no_errors():
    assert standard_errors(np.ones((1, 2)), 5) is None
    assert half_widths(np.ones((1, 2)), 5) is None
    assert not has_converged(np.ones((1, 2)), 5)
    assert has_converged(np.ones((1, 2)), 1)
    assert intervals(["a", "b"], np.ones((1, 2)), 5, None) == []


def test_a_ranking_converges_if_importances_differ_or_are_equal_within_the_tolerance():
    different = np.column_stack([draw.normal(3, 1, 200), draw.normal(1, 1, 200)])
    assert has_converged(different, 10**6)
    close = np.column_stack([draw.normal(1.02, 1, 200), draw.normal(1.0, 1, 200)])
    assert not has_converged(close, 10**6)
    equal = np.column_stack([np.linspace(1, 2, 200)] * 2) * [1.0, 1.01]
    assert has_converged(equal, 10**6)
    assert not has_converged(equal, 10**6, tolerance=0.0) or (np.diff(equal, axis=1) > 0).all()


def test_the_error_of_sampling_within_a_row_delays_convergence():
    rows = np.column_stack([draw.normal(1.1, 0.01, 100), draw.normal(1.0, 0.01, 100)])
    assert has_converged(rows, 100, np.zeros(2))
    assert not has_converged(rows, 100, np.full(2, 25.0))


def test_importances_of_rows_are_means_over_outputs():
    local = draw.normal(size=(3, 5, 2))
    np.testing.assert_allclose(row_importances(local).mean(axis=0), np.abs(local).mean(axis=(0, 1)))
    assert sampling_variance(None) is None
    np.testing.assert_allclose(sampling_variance(np.full((2, 5, 2), 3.0)), [9.0, 9.0])


def test_constant_importances_have_intervals_without_width():
    record = intervals(["a", "b"], np.ones((50, 2)), 100, None)
    assert [(interval["low"], interval["high"]) for interval in record] == [(1.0, 1.0), (1.0, 1.0)]
