"""Estimates of Shapley values and their standard errors, with control variates.

A control variate has a mean that is known exactly (Owen, 2013, chapter 8). There are two: the cell
of the background row, since the contribution of a feature usually decreases with it, and the sum of
a sample, whose mean is the difference of the row's output from the mean output. The second makes
the values of a row add up to its output.
"""

from __future__ import annotations

import numpy as np

from mlflow_interpret.core.statistics import FloatArray

_MIN_SAMPLES = 10
"""Minimal number of samples for a regression on the control variates."""
_ROUNDING = 1e-9
_MAX_LEVERAGE = 0.9
"""A sample with more leverage determines the slope alone."""


def standardize(
    rows: FloatArray, background: FloatArray, weights: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Scale both tables so that the background's columns have mean 0 and variance 1.

    Args:
        rows: ``(n_rows, n_features)``.
        background: ``(n_background, n_features)``.
        weights: ``(n_background,)`` weights of the background rows, None for equal ones.

    Returns:
        Both tables in the same shapes; missing cells and constant columns are 0.
    """
    finite = np.isfinite(background)
    shares = np.ones((len(background), 1)) if weights is None else weights[:, None]
    n = (shares * finite).sum(axis=0)
    n[n == 0] = 1.0
    # Scale to a size of 1 first: the squares of large cells would overflow.
    size = np.abs(background).max(axis=0, where=finite, initial=0.0)
    size[size == 0] = 1.0
    cells = np.where(finite, background, 0.0) / size
    mean = (shares * cells).sum(axis=0) / n
    deviation = np.sqrt((shares * np.where(finite, cells - mean, 0.0) ** 2).sum(axis=0) / n)
    deviation[deviation <= _ROUNDING] = np.inf
    scaled_rows, scaled_background = (
        np.where(np.isfinite(table), (table / size - mean) / deviation, 0.0)
        for table in (rows, background)
    )
    return scaled_rows, scaled_background


def estimate(
    samples: FloatArray, totals: FloatArray, steps: FloatArray, wanted: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Estimate values that add up to ``wanted``, and their standard errors.

    Args:
        samples: ``(n_rows, n, n_features, K)`` weighted samples.
        totals: ``(n_rows, n, K)`` their sums over the features.
        steps: ``(n_rows, n, n_features)`` weighted differences of the cells of the row and of the
            background row, with mean 0.
        wanted: ``(n_rows, K)`` differences of the outputs from the mean output.

    Returns:
        ``(K, n_rows, n_features)`` values and standard errors.
    """
    n = samples.shape[1]
    inflation: FloatArray = np.ones(1)
    if n >= _MIN_SAMPLES:
        slopes, inflation = _slopes(samples, steps[..., None])
        samples = samples - slopes[:, None] * steps[..., None]
        totals = samples.sum(axis=2)
    mean, variance = samples.mean(axis=1), samples.var(axis=1)
    missing = wanted - mean.sum(axis=1)
    total = variance.sum(axis=1, keepdims=True)
    shares = np.divide(variance, total, out=np.zeros_like(variance), where=total > 0)
    residuals = samples - mean[:, None]
    if n >= _MIN_SAMPLES:
        totals = totals[:, :, None, :]
        slopes, total_inflation = _slopes(samples, totals)
        # No extrapolation far beyond the sampled totals.
        within = missing[:, None, :] ** 2 <= totals.var(axis=1)
        slopes = np.where(within, slopes, 0.0)
        shares = np.where(slopes.any(axis=1, keepdims=True), slopes, shares)
        residuals -= slopes[:, None] * (totals - totals.mean(axis=1, keepdims=True))
        inflation = inflation * total_inflation
    variance = ((residuals * inflation) ** 2).mean(axis=1)
    # As with one more sample that varies like the features of the row on average: an effect that is
    # in no sample, or in all of them equally, is still uncertain.
    variance = (n * variance + variance.mean(axis=1, keepdims=True)) / (n + 1)
    values, errors = mean + shares * missing[:, None, :], np.sqrt(variance / (n - 1))
    return values.transpose(2, 0, 1), errors.transpose(2, 0, 1)


def _slopes(samples: FloatArray, control: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Regress samples on a control variate.

    Args:
        samples: ``(n_rows, n, n_features, K)``.
        control: The same shape, or with a single feature or output.

    Returns:
        ``(n_rows, n_features, K)`` slopes, 0 where the control variate is constant or a single
        sample determines the slope. Factors in the shape of ``control`` by which the residuals are
        too small: 1 / (1 - leverage) of the sample (MacKinnon and White, 1985).
    """
    n = samples.shape[1]
    centred = control - control.mean(axis=1, keepdims=True)
    squares = (centred**2).sum(axis=1)
    products = (samples * centred).sum(axis=1)
    varies = squares > _ROUNDING * (control**2).sum(axis=1)
    leverage = 1.0 / n + np.divide(
        centred**2, squares[:, None], out=np.zeros_like(centred), where=varies[:, None]
    )
    is_determined = varies & (leverage.max(axis=1) < _MAX_LEVERAGE)
    slopes = np.divide(
        products,
        squares,
        out=np.zeros_like(products),
        where=np.broadcast_to(is_determined, products.shape),
    )
    return slopes, np.where(
        is_determined[:, None], 1.0 / (1.0 - np.minimum(leverage, _MAX_LEVERAGE)), 1.0
    )
