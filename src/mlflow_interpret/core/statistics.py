"""Ranks, shares, samples and intervals: the statistics that several packages share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

INTERVAL = 1.96
"""Standard errors to each side of a mean that make a 95 % interval."""


def rank(values: FloatArray) -> npt.NDArray[np.intp]:
    """Return indices from the largest to the smallest value along the last axis.

    Ties are in the order of interpret-community.
    """
    order: npt.NDArray[np.intp] = np.argsort(values)[..., ::-1]
    return order


def shares(values: FloatArray) -> FloatArray:
    """Return ``(F,)`` shares of the total of the finite values; 0 where the total is 0."""
    return finite(values) / total(values)


def total(values: FloatArray) -> float:
    """Return the total of the finite values, 1 where it is 0."""
    return float(np.nansum(finite(values))) or 1.0


def significant(value: float, digits: int = 4) -> float:
    """Round a number to significant digits."""
    return float(f"{value:.{digits}g}")


def finite(values: FloatArray) -> FloatArray:
    """Return the values with NaN in place of infinity."""
    return np.where(np.isfinite(values), values, np.nan)


def sample_rows(n: int, size: int, seed: int) -> npt.NDArray[np.intp]:
    """Return ``size`` of ``n`` row numbers in rising order, drawn without replacement.

    All row numbers where ``n <= size``.
    """
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))
