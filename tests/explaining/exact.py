"""Interventional Shapley values by enumeration of all coalitions, the reference of explainers.

The game, as in Lundberg and Lee (2017) and Janzing et al. (2020): the value of a coalition is the
mean output over the background rows, with the coalition's cells taken from the explained row.
"""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd

from .path_dependent import interaction_indices


def shapley(output, rows: pd.DataFrame, background: pd.DataFrame):
    """Values ``(n_rows, n_features)`` or ``(n_classes, n_rows, n_features)``, and the mean output.

    ``output`` takes a DataFrame with the columns of ``rows`` and gives ``(n,)`` or
    ``(n, n_classes)``.
    """
    width = rows.shape[1]
    coalitions = [c for size in range(width + 1) for c in combinations(range(width), size)]
    worth = {c: _worth(output, rows, background, c) for c in coalitions}
    values = np.zeros((width, *worth[()].shape))
    for coalition in coalitions:
        for feature in set(range(width)) - set(coalition):
            joined = tuple(sorted({*coalition, feature}))
            size = len(coalition)
            weight = factorial(size) * factorial(width - size - 1) / factorial(width)
            values[feature] += weight * (worth[joined] - worth[coalition])
    expected = np.atleast_1d(worth[()][0])
    # (features, rows[, classes]) -> ([classes,] rows, features)
    return np.moveaxis(values, 0, 1) if values.ndim == 2 else values.transpose(2, 1, 0), expected


def interactions(output, rows: pd.DataFrame, background: pd.DataFrame):
    """Halves of the Shapley interaction indices, ``(n_classes, n_rows, n_features, n_features)``."""
    width = rows.shape[1]
    worth = {
        frozenset(c): _worth(output, rows, background, c)
        for size in range(width + 1)
        for c in combinations(range(width), size)
    }
    pairs = interaction_indices(worth, width) / 2
    return np.moveaxis(pairs if pairs.ndim == 4 else pairs[..., None], (3, 2), (0, 1))


def _worth(output, rows, background, coalition):
    """``(n_rows[, n_classes])`` mean outputs with the coalition's cells known."""
    mixed = pd.concat([background] * len(rows), ignore_index=True)
    for feature in coalition:
        cells = rows.iloc[:, feature]
        positions = np.repeat(np.arange(len(rows)), len(background))
        mixed.isetitem(feature, cells.iloc[positions].reset_index(drop=True))
    outputs = np.asarray(output(mixed), dtype=float)
    return outputs.reshape(len(rows), len(background), *outputs.shape[1:]).mean(axis=1)
