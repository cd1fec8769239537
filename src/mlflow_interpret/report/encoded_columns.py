"""Columns of numbers in the data of a page: one or two bytes for each row, as base64."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from mlflow_interpret.core.statistics import FloatArray

MISSING = {1: 255, 2: 65_535}
"""The largest step by number of bytes, which stands for a missing value in columns of values."""


_DIGITS = {1: 4, 2: 6}  # of the smallest and the largest number


def encode(steps: Any, n_bytes: int) -> str:
    """Encode whole numbers from 0 to ``MISSING[n_bytes]``, the lowest byte first."""
    return base64.b64encode(np.asarray(steps).astype(f"<u{n_bytes}").tobytes()).decode()


def ranged(column: FloatArray, n_bytes: int) -> list[Any]:
    """Encode numbers as the smallest one, the largest one and the positions between them.

    Args:
        column: ``(R,)`` numbers; those that are not finite are at the smallest position.
        n_bytes: Number of bytes of a position.
    """
    known = column[np.isfinite(column)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    low, high = round_number(low, _DIGITS[n_bytes]), round_number(high, _DIGITS[n_bytes])
    span = (high - low) or 1.0
    positions = np.clip(np.nan_to_num((column - low) / span), 0.0, 1.0)
    return [low, high, encode(np.round(positions * MISSING[n_bytes]), n_bytes)]


def round_number(value: Any, digits: int) -> float:
    """Round a number to significant digits."""
    return float(f"{float(value):.{digits}g}")
