"""Interactions of any function of numbers by sampling coalitions.

The Shapley interaction index of two features is the mean second difference of the worth of a
coalition if each other feature belongs to it with a probability that is uniform from 0 to 1 (Owen,
1972). The outputs of one coalition, with each feature and each pair of them flipped, give a sample
for all pairs: ``1 + k + k (k - 1) / 2`` evaluations of the model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.statistics import FloatArray

_Positions = npt.NDArray[np.intp]


def n_states(n_columns: int) -> int:
    """Number of evaluations for a coalition."""
    return 1 + n_columns + n_columns * (n_columns - 1) // 2


def sample_interactions(
    output: Callable[[FloatArray], FloatArray],
    rows: FloatArray,
    background: FloatArray,
    columns: _Positions,
    n_pairs: int,
    seeds: list[tuple[int, int]],
    background_weights: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Estimate the interactions of columns.

    Args:
        output: Maps ``(n, n_features)`` to ``(n, K)``.
        rows: ``(n_rows, n_features)`` rows to explain.
        background: ``(n_background, n_features)`` rows that stand for "feature unknown".
        columns: ``(k,)`` columns.
        n_pairs: Number of pairs of a coalition and its complement for each row, at least 2.
        seeds: Seed of each row.
        background_weights: ``(n_background,)`` weights of the background rows, None for equal ones.

    Returns:
        ``(K, n_rows, k, k)`` interactions as those of `Explainer.interactions`, and their standard
        errors.
    """
    flips = _flips(columns, rows.shape[1])
    draws = [
        _states(row, background, flips, n_pairs, np.random.default_rng(seed), background_weights)
        for row, seed in zip(rows, seeds, strict=True)
    ]
    states = np.concatenate([states for states, _ in draws])
    outputs = output(states.reshape(-1, rows.shape[1]))
    outputs = outputs.reshape(len(rows), 2 * n_pairs, len(flips), -1)
    values, errors = zip(
        *(
            _estimate(of_row, is_known[:, columns], n_pairs)
            for of_row, (_, is_known) in zip(outputs, draws, strict=True)
        ),
        strict=True,
    )
    return np.stack(values, axis=1), np.stack(errors, axis=1)


def _flips(columns: _Positions, width: int) -> npt.NDArray[np.bool_]:
    """``(n_states, width)`` columns whose membership is reversed: none, each one, each pair."""
    k = len(columns)
    first, second = np.triu_indices(k, k=1)
    flips = np.zeros((n_states(k), width), dtype=bool)
    flips[1 + np.arange(k), columns] = True
    pairs = 1 + k + np.arange(len(first))
    flips[pairs, columns[first]] = flips[pairs, columns[second]] = True
    return flips


def _states(
    row: FloatArray,
    background: FloatArray,
    flips: npt.NDArray[np.bool_],
    n_pairs: int,
    generator: np.random.Generator,
    weights: FloatArray | None,
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """``(2 n_pairs, n_states, width)`` mixtures of rows, and the ``(2 n_pairs, width)`` coalitions.

    The second half of the coalitions are the complements of the first.
    """
    # Evenly spread probabilities and background rows have smaller errors than independent ones.
    shares = (np.arange(n_pairs) + generator.random(n_pairs)) / n_pairs
    is_known = generator.random((n_pairs, len(row))) < shares[:, None]
    is_known = np.concatenate([is_known, ~is_known])
    probabilities = np.ones(len(background)) if weights is None else weights
    steps = (generator.permutation(2 * n_pairs) + generator.random(2 * n_pairs)) / (2 * n_pairs)
    cumulated = np.cumsum(probabilities / probabilities.sum())
    others = np.minimum(np.searchsorted(cumulated, steps), len(background) - 1)
    mixed = np.where(is_known[:, None] ^ flips, row, background[others][:, None])
    return mixed, is_known


def _estimate(
    outputs: FloatArray, is_known: npt.NDArray[np.bool_], n_pairs: int
) -> tuple[FloatArray, FloatArray]:
    """``(K, k, k)`` interactions of a row and their standard errors.

    Args:
        outputs: ``(2 n_pairs, n_states, K)`` outputs.
        is_known: ``(2 n_pairs, k)`` whether the columns belong to the coalitions.
        n_pairs: Number of pairs of coalitions.
    """
    k = is_known.shape[1]
    first, second = np.triu_indices(k, k=1)
    alone = outputs[:, 1 : 1 + k]
    differences = outputs[:, 1 + k :] - alone[:, first] - alone[:, second] + outputs[:, :1]
    signs = np.where(is_known[:, first] == is_known[:, second], 0.5, -0.5)
    samples = signs[..., None] * differences
    samples = (samples[:n_pairs] + samples[n_pairs:]) / 2.0  # (n_pairs, pairs of columns, K)
    values, errors = np.zeros((2, samples.shape[2], k, k))
    values[:, first, second] = values[:, second, first] = samples.mean(axis=0).T
    spread = samples.std(axis=0, ddof=1).T / np.sqrt(n_pairs)
    errors[:, first, second] = errors[:, second, first] = spread
    return values, errors
