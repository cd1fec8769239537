"""Estimates from samples: additivity, exactness and standard errors."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_interpret.explaining.explainers.control_variates import estimate, standardize

N_ROWS, N_FEATURES = 3, 4


def draw(n, seed=0):
    """Samples of two outputs, their sums, and steps of the cells."""
    generator = np.random.default_rng(seed)
    samples = generator.normal(size=(N_ROWS, n, N_FEATURES, 2))
    steps = generator.normal(size=(N_ROWS, n, N_FEATURES))
    return samples, samples.sum(axis=2), steps


@pytest.mark.parametrize("n", [2, 9, 10, 50])
def test_values_add_up_to_the_wanted_sums(n):
    samples, totals, steps = draw(n)
    wanted = np.random.default_rng(1).normal(size=(N_ROWS, 2))
    values, errors = estimate(samples, totals, steps, wanted)
    np.testing.assert_allclose(values.sum(axis=2), wanted.T, atol=1e-9)
    assert values.shape == errors.shape == (2, N_ROWS, N_FEATURES)
    assert (errors > 0).all()


@pytest.mark.parametrize("n", [10, 50])
def test_linear_samples_are_exact(n):
    _, _, steps = draw(n)
    slopes, means = np.array([1.0, -2.0, 0.0, 3.0]), np.array([0.5, 1.0, 0.0, -1.0])
    samples = (means + slopes * steps)[..., None]
    values, errors = estimate(
        samples, samples.sum(axis=2), steps, np.full((N_ROWS, 1), means.sum())
    )
    np.testing.assert_allclose(values[0], np.tile(means, (N_ROWS, 1)), atol=1e-9)
    assert errors.max() < 1e-6


def test_no_extrapolation_beyond_the_samples():
    samples, _, steps = draw(12)
    samples -= samples.mean(axis=2, keepdims=True) * (1 - 1e-4)  # so that sums hardly vary
    wanted = np.full((N_ROWS, 2), 1.0)
    values, _ = estimate(samples, samples.sum(axis=2), steps, wanted)
    np.testing.assert_allclose(values.sum(axis=2), wanted.T, atol=1e-9)
    assert np.abs(values).max() < 3.0


def test_samples_with_high_leverage_increase_the_error():
    samples, totals, steps = draw(40)
    wanted = totals.mean(axis=1)
    _, usual = estimate(samples, totals, steps, wanted)
    samples[:, 0, 0], steps[:, 0, 0] = 50.0, 100.0  # without a residual of its own
    _, drawn = estimate(samples, samples.sum(axis=2), steps, samples.sum(axis=2).mean(axis=1))
    assert (drawn[:, :, 0] > 3 * usual[:, :, 0]).all()


def test_standardize_scales_columns_and_ignores_missing_cells():
    generator = np.random.default_rng(0)
    background = generator.normal(size=(50, 5)) * 10.0 ** np.array([-150, -3, 0, 5, 150])
    background[:, 4] = 7.0
    background[::5, 1] = np.nan
    background[::7, 2] = np.inf
    own, theirs = standardize(background[:6], background)
    np.testing.assert_array_equal(own, theirs[:6])
    assert np.isfinite(theirs).all()
    assert (theirs[:, 4] == 0).all()
    gaps = ~np.isfinite(background)
    assert (theirs[gaps] == 0).all()
    for i in range(4):
        cells = theirs[~gaps[:, i], i]
        assert cells.mean() == pytest.approx(0.0, abs=1e-9)
        assert cells.std() == pytest.approx(1.0)
