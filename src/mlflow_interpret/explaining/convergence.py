"""Confidence intervals of importances, and convergence of their ranking.

A global importance is a mean over rows, so it has the confidence interval of a mean: with Student's
t and the finite-population correction (Cochran, 1977, chapter 2). If all available rows were
explained, only coalitions that an explainer samples within a row leave an error. The importances of
single rows are skewed where a feature matters in few rows only, and intervals of such means are too
short: they are widened by the leading term of Hall's Edgeworth expansion (Hall, 1992, section 2.6).

The ranking of two neighbouring features has converged if the interval of their difference, row by
row, excludes 0, or if it stays within a tolerance, so that both count as equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.dataframes import Indices

LEVEL = 0.95
LEADING = 10
"""Number of features whose ranking has to converge."""
TOLERANCE = 0.05
"""Relative to the largest importance: features that differ by less count as equal."""


def row_importances(local_values: FloatArray) -> FloatArray:
    """``(n_rows, n_features)`` importances of each row, whose means are the global ones.

    Args:
        local_values: ``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)`` attributions.
    """
    absolute = np.abs(local_values)
    return absolute.mean(axis=0) if absolute.ndim == 3 else absolute


def sampling_variance(sampling_error: FloatArray | None) -> FloatArray | None:
    """``(n_features,)`` mean variance of the importance of a row from sampling coalitions.

    Args:
        sampling_error: Standard errors of the attributions, in their shape, or None.
    """
    if sampling_error is None:
        return None
    variance = sampling_error**2
    # The two classes of a binary model mirror each other, so their mean is as noisy as each.
    variance = variance.mean(axis=0) if variance.ndim == 3 else variance
    mean: FloatArray = variance.mean(axis=0)
    return mean


def interval_record(intervals: list[dict[str, Any]], n_available: int) -> dict[str, Any]:
    """The intervals for the status record.

    The record says what they refer to: the error bars in the figures refer to the population from
    which the available rows were drawn, and are wider.
    """
    return {
        "level": LEVEL,
        "about": f"the mean over all {n_available:,} available rows",
        "of": intervals,
    }


def intervals(
    features: Sequence[str],
    local_values: FloatArray,
    n_available: int,
    sampling_error: FloatArray | None = None,
) -> list[dict[str, Any]]:
    """Confidence intervals of the leading importances over all available rows.

    Args:
        features: ``(n_features,)`` names.
        local_values: ``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)`` attributions
            of a random sample of the rows.
        n_available: Number of available rows.
        sampling_error: Standard errors of ``local_values``, in their shape, or None.
    """
    rows = row_importances(local_values)
    half = half_widths(rows, n_available, sampling_variance(sampling_error))
    return leading_intervals(features, rows.mean(axis=0), half)


def leading_intervals(
    features: Sequence[str], importances: FloatArray, half: FloatArray | None
) -> list[dict[str, Any]]:
    """The intervals of the leading importances; empty if they are unknown.

    Args:
        features: ``(n_features,)`` names.
        importances: ``(n_features,)`` means over the rows.
        half: ``(n_features,)`` half widths of the intervals, or None.
    """
    if half is None or not np.isfinite(importances).all():
        return []
    return [
        {
            "feature": features[i],
            "low": float(max(importances[i] - half[i], 0.0)),
            "high": float(importances[i] + half[i]),
        }
        for i in leading_features(importances, LEADING)
    ]


def leading_features(importances: FloatArray, n: int) -> Indices:
    """The positions of the ``n`` largest importances, the largest first."""
    return np.argsort(-importances, kind="stable")[:n]


def standard_errors(
    rows: FloatArray, n_available: int, noise: FloatArray | None = None
) -> FloatArray | None:
    """``(n_features,)`` standard errors of the means over all available rows.

    Args:
        rows: ``(n_rows, n_features)`` importances of a random sample of the rows.
        n_available: Number of available rows.
        noise: ``(n_features,)`` `sampling_variance` within a row, which is part of the variance
            between rows.

    Returns:
        None for a single row of several, which has no variance.
    """
    n = len(rows)
    variance = rows.var(axis=0, ddof=1) if n > 1 else np.zeros(rows.shape[1])
    noise = np.zeros(rows.shape[1]) if noise is None else noise
    return standard_errors_of_means(variance, n, n_available, noise)


def standard_errors_of_means(
    variance: FloatArray, n: int, n_available: float, noise: FloatArray
) -> FloatArray | None:
    """``(n_features,)`` standard errors of means over a finite population.

    Args:
        variance: ``(n_features,)`` variance between rows.
        n: Number of rows.
        n_available: Number of rows in the population; may be infinite.
        noise: ``(n_features,)`` variance within a row.

    Returns:
        None for a single row of several, which has no variance.
    """
    if n < 2:
        return np.sqrt(noise) if n == n_available else None
    share = n / n_available
    errors: FloatArray = np.sqrt(((1.0 - share) * variance + share * noise) / n)
    return errors


def half_widths(
    rows: FloatArray, n_available: int, noise: FloatArray | None = None
) -> FloatArray | None:
    """``(n_features,)`` half widths of the intervals at `LEVEL`.

    The arguments are those of `standard_errors`.
    """
    errors = standard_errors(rows, n_available, noise)
    if errors is None:
        return None
    n = len(rows)
    z = float(stats.norm.ppf((1.0 + LEVEL) / 2.0))
    deviations = rows - rows.mean(axis=0)
    spread = deviations.std(axis=0)
    scaled = np.divide(deviations, spread, out=np.zeros_like(deviations), where=spread > 0)
    skewness = (scaled**3).mean(axis=0)
    kurtosis = (scaled**4).mean(axis=0) - 3.0
    # The coverage that a two-sided t interval lacks, as a change of its quantile.
    correction = z * ((z**4 + 2 * z**2 - 3) / 18 * skewness**2 - (z**2 - 3) / 12 * kurtosis) / n
    quantile = float(stats.t.ppf((1.0 + LEVEL) / 2.0, max(n - 1, 1)))
    half: FloatArray = (quantile + np.maximum(correction, 0.0)) * errors
    return half


def has_converged(
    rows: FloatArray,
    n_available: int,
    noise: FloatArray | None = None,
    tolerance: float = TOLERANCE,
) -> bool:
    """Whether the ranking of the leading features has converged.

    The first arguments are those of `standard_errors`.
    """
    importances = rows.mean(axis=0)
    if len(rows) == n_available and noise is None:
        return True
    if len(rows) < 2 or not np.isfinite(importances).all():
        return False
    order = leading_features(importances, LEADING + 1)
    higher, lower = order[:-1], order[1:]
    differences = rows[:, higher] - rows[:, lower]
    noise_of_both = None if noise is None else noise[higher] + noise[lower]
    half = half_widths(differences, n_available, noise_of_both)
    if half is None:
        return False
    gap = importances[higher] - importances[lower]
    equal = tolerance * importances.max()
    return bool(((gap > half) | (gap + half <= equal)).all())
