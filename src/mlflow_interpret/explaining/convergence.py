"""When enough rows are explained: the ranking of the leading features no longer changes.

A global importance is a mean over rows, so the usual confidence intervals of a mean hold for it,
with Student's t, and with the finite-population correction (Cochran, 1977, chapter 2): of all rows
that there are, nothing is uncertain but what an engine samples within a row. Importances of single
rows are skewed, some features matter in few rows only, and the intervals of such means are too
short: they are widened by the leading term of Hall's Edgeworth expansion (Hall, 1992, section 2.6).

Two features that follow each other in the ranking are settled where the interval of their
difference, row by row, leaves out 0; or where it stays within a tolerance, so that they are as good
as equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from mlflow_interpret.core.statistics import FloatArray

LEVEL = 0.95
LEADING = 10
"""The ranking of so many features counts."""
TOLERANCE = 0.05
"""Of the largest importance: features that differ by less are as good as equal."""


def by_row(local: FloatArray) -> FloatArray:
    """``(n_rows, n_features)`` importances of each row, of which the global ones are the means.

    Args:
        local: ``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)`` contributions.
    """
    size = np.abs(local)
    return size.mean(axis=0) if size.ndim == 3 else size


def noise(sampling_error: FloatArray | None) -> FloatArray | None:
    """``(n_features,)`` mean variance of a row's importance by what the engine samples in it.

    Args:
        sampling_error: Standard errors of the contributions, shaped as they are.
    """
    if sampling_error is None:
        return None
    variance = sampling_error**2
    # A binary model's blocks mirror each other: their mean is no less noisy than one of them.
    variance = variance.mean(axis=0) if variance.ndim == 3 else variance
    mean: FloatArray = variance.mean(axis=0)
    return mean


def recorded(found: list[dict[str, Any]], n_available: int) -> dict[str, Any]:
    """The intervals as they stand in the status record, and what they are about.

    The error bars of the figures are about all rows that could have been drawn: they are others.
    """
    return {
        "level": LEVEL,
        "about": f"the mean over all {n_available:,} available rows",
        "of": found,
    }


def intervals(
    names: Sequence[str], local: FloatArray, n_available: int, sampling_error: FloatArray | None
) -> list[dict[str, Any]]:
    """The intervals of the leading importances, for the status record."""
    rows = by_row(local)
    half = half_widths(rows, n_available, noise(sampling_error))
    importances = rows.mean(axis=0)
    if half is None or not np.isfinite(importances).all():
        return []
    leading = np.argsort(-importances, kind="stable")[:LEADING]
    return [
        {
            "feature": names[i],
            "low": float(max(importances[i] - half[i], 0.0)),
            "high": float(importances[i] + half[i]),
        }
        for i in leading
    ]


def standard_errors(
    rows: FloatArray, n_available: int, noise: FloatArray | None = None
) -> FloatArray | None:
    """``(n_features,)`` standard errors of the means over all available rows.

    Args:
        rows: ``(n_rows, n_features)``, a random sample of them.
        n_available: How many rows there are.
        noise: ``(n_features,)`` variance within a row, which is part of the variance between rows.

    Returns:
        None for a single row of several: it does not tell.
    """
    n = len(rows)
    drawn = n / n_available
    within = np.zeros(rows.shape[1]) if noise is None else noise
    if n < 2:
        return np.sqrt(within) if n == n_available else None
    variance = (1.0 - drawn) * rows.var(axis=0, ddof=1) + drawn * within
    errors: FloatArray = np.sqrt(variance / n)
    return errors


def half_widths(
    rows: FloatArray, n_available: int, noise: FloatArray | None = None
) -> FloatArray | None:
    """``(n_features,)`` half the widths of the intervals at `LEVEL`; arguments as above."""
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
    # What a two-sided t interval covers too little, as a change of its quantile.
    wider = z * ((z**4 + 2 * z**2 - 3) / 18 * skewness**2 - (z**2 - 3) / 12 * kurtosis) / n
    quantile = float(stats.t.ppf((1.0 + LEVEL) / 2.0, max(n - 1, 1)))
    halves: FloatArray = (quantile + np.maximum(wider, 0.0)) * errors
    return halves


def has_converged(
    rows: FloatArray,
    n_available: int,
    noise: FloatArray | None = None,
    tolerance: float = TOLERANCE,
) -> bool:
    """Whether the ranking of the leading features is settled by these rows."""
    importances = rows.mean(axis=0)
    if len(rows) == n_available and noise is None:
        return True
    if len(rows) < 2 or not np.isfinite(importances).all():
        return False
    order = np.argsort(-importances, kind="stable")[: LEADING + 1]
    before, after = order[:-1], order[1:]
    steps = rows[:, before] - rows[:, after]
    both = None if noise is None else noise[before] + noise[after]
    half = half_widths(steps, n_available, both)
    if half is None:
        return False
    step = importances[before] - importances[after]
    allowed = tolerance * importances.max()
    return bool(((step > half) | (step + half <= allowed)).all())
