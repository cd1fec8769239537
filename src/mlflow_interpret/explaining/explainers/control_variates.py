"""AttributionResult and their standard errors from samples, with what is known exactly of these.

What is known serves as control variates (Owen, 2013, chapter 8): the mean of each column over the
background, as a feature's contribution mostly falls with the background row's cell; and the mean of
a sample's sum, which is the row's output less that of the background row. With the latter the
values of a row add up to its output.
"""

from __future__ import annotations

import numpy as np

from mlflow_interpret.core.statistics import FloatArray

_FEW = 10  # fewer samples tell no slopes
_ROUNDING = 1e-9
_ALONE = 0.9  # a sample with more leverage makes a slope of itself


def standardized(rows: FloatArray, background: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both with the background's columns of mean 0 and variance 1; gaps and constants are 0."""
    finite = np.isfinite(background)
    n = np.maximum(finite.sum(axis=0), 1)
    # First to a size of 1: squares of large cells would overflow.
    size = np.abs(background).max(axis=0, where=finite, initial=0.0)
    size[size == 0] = 1.0
    cells = np.where(finite, background, 0.0) / size
    mean = cells.sum(axis=0) / n
    deviation = np.sqrt((np.where(finite, cells - mean, 0.0) ** 2).sum(axis=0) / n)
    deviation[deviation <= _ROUNDING] = np.inf
    own, theirs = (
        np.where(np.isfinite(each), (each / size - mean) / deviation, 0.0)
        for each in (rows, background)
    )
    return own, theirs


def estimated(
    samples: FloatArray, totals: FloatArray, steps: FloatArray, wanted: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``(K, n_rows, n_features)`` values that add up to ``wanted``, and their standard errors.

    Args:
        samples: ``(n_rows, n, n_features, K)`` weighted samples.
        totals: ``(n_rows, n, K)`` weighted sums of these.
        steps: ``(n_rows, n, n_features)`` weighted differences of the rows' cells from those of the
            background rows, 0 on average.
        wanted: ``(n_rows, K)``.
    """
    n = samples.shape[1]
    doubt: FloatArray = np.ones(1)
    if n >= _FEW:
        slopes, doubt = _slopes(samples, steps[..., None])
        samples = samples - slopes[:, None] * steps[..., None]
        totals = samples.sum(axis=2)
    mean, variance = samples.mean(axis=1), samples.var(axis=1)
    missing = wanted - mean.sum(axis=1)
    whole = variance.sum(axis=1, keepdims=True)
    shares = np.divide(variance, whole, out=np.zeros_like(variance), where=whole > 0)
    left = samples - mean[:, None]
    if n >= _FEW:
        totals = totals[:, :, None, :]
        slopes, more = _slopes(samples, totals)
        # Slopes do not reach far beyond what was sampled.
        within = missing[:, None, :] ** 2 <= totals.var(axis=1)
        slopes = np.where(within, slopes, 0.0)
        shares = np.where(slopes.any(axis=1, keepdims=True), slopes, shares)
        left -= slopes[:, None] * (totals - totals.mean(axis=1, keepdims=True))
        doubt = doubt * more
    variance = ((left * doubt) ** 2).mean(axis=1)
    # As if one more sample had varied like the row's features on average: the effects that no
    # sample met, or all alike, are not known for certain.
    variance = (n * variance + variance.mean(axis=1, keepdims=True)) / (n + 1)
    values, errors = mean + shares * missing[:, None, :], np.sqrt(variance / (n - 1))
    return values.transpose(2, 0, 1), errors.transpose(2, 0, 1)


def _slopes(samples: FloatArray, known: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slopes of samples by what is known, and how much too small each sample's residual is.

    The latter is the inverse of 1 less the sample's leverage (MacKinnon and White, 1985): a sample
    that stands alone draws the slope to itself.

    Args:
        samples: ``(n_rows, n, n_features, K)``.
        known: The same, or 1 feature or output for all.

    Returns:
        ``(n_rows, n_features, K)`` slopes, 0 where what is known is constant or a single sample
        would decide, and factors, as many as there are numbers in ``known``.
    """
    n = samples.shape[1]
    centred = known - known.mean(axis=1, keepdims=True)
    squares = (centred**2).sum(axis=1)
    part = (samples * centred).sum(axis=1)
    varies = squares > _ROUNDING * (known**2).sum(axis=1)
    leverage = 1.0 / n + np.divide(
        centred**2, squares[:, None], out=np.zeros_like(centred), where=varies[:, None]
    )
    telling = varies & (leverage.max(axis=1) < _ALONE)
    slopes = np.divide(
        part, squares, out=np.zeros_like(part), where=np.broadcast_to(telling, part.shape)
    )
    return slopes, np.where(telling[:, None], 1.0 / (1.0 - np.minimum(leverage, _ALONE)), 1.0)
