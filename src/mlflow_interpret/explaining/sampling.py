"""Shapley values of any function by sampling permutations; pure numbers in, numbers out.

The game is the interventional one of Lundberg and Lee (2017), over the given background rows. A
permutation adds the explained row's features to a background row one after the other, and each
change of the output is one sample of a feature's contribution (Castro, Gomez and Tejada, 2009;
Strumbelj and Kononenko, 2014). Each permutation is used forwards and backwards, which cancels much
of the noise (Mitchell, Cooper, Frank and Holmes, 2022), and has another background row. Features
that are the same in both rows are passed over: they contribute nothing.

The values of a row have to add up to the difference between its output and the mean output. What
the samples miss of it is shared out by the estimates' variances, which is the least-squares
solution under that constraint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlflow_interpret.records import FloatArray

_CELLS = 2_000_000
"""Cells of the rows that the model gets in one call, at most."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """Estimated contributions; ``K`` outputs.

    Attributes:
        values: ``(K, n_rows, n_features)`` contributions.
        errors: ``(K, n_rows, n_features)`` standard errors of these.
        expected: ``(K,)`` mean outputs over the background.
        outputs: ``(n_rows, K)`` outputs of the explained rows.
    """

    values: FloatArray
    errors: FloatArray
    expected: FloatArray
    outputs: FloatArray


def shapley(
    output: Callable[[FloatArray], FloatArray],
    rows: FloatArray,
    background: FloatArray,
    n_permutations: int,
    seed: int,
) -> Sampled:
    """Estimate the contributions of the features to the output of each row.

    Args:
        output: Maps ``(n, n_features)`` to ``(n, K)``.
        rows: ``(n_rows, n_features)`` rows to explain.
        background: ``(n_background, n_features)`` rows that stand for "feature unknown".
        n_permutations: So many pairs of a permutation and its reverse for each row, at least 2;
            more where that lets a small background's rows be used equally often.
        seed: Draws permutations and background rows.
    """
    if n_permutations > len(background):
        n_permutations = -(-n_permutations // len(background)) * len(background)
    generator = np.random.default_rng(seed)
    ends = _in_batches(output, np.vstack([rows, background]))
    at_rows, at_background = ends[: len(rows)], ends[len(rows) :]
    expected = at_background.mean(axis=0)
    shape = (ends.shape[1], *rows.shape)
    totals, squares = np.zeros(shape), np.zeros(shape)
    paths = _paths(rows, background, n_permutations, generator)
    for batch in _batches(paths, rows.shape[1]):
        inner = _evaluated(output, batch, rows, background, shape[0])
        start = 0
        for path in batch:
            end = start + path.n_states
            sample = path.contributions(
                inner[start:end], at_background[path.other], at_rows[path.row]
            )
            totals[:, path.row, path.differing] += sample
            squares[:, path.row, path.differing] += sample**2
            start = end
    values = totals / n_permutations
    spread = np.maximum(squares / n_permutations - values**2, 0.0)
    errors = np.sqrt(spread / (n_permutations - 1))
    adjusted, remaining = _added_up(values, errors, at_rows - expected)
    return Sampled(adjusted, remaining, expected, at_rows)


def evaluations(n_features: int, n_permutations: int) -> int:
    """How often the model is evaluated for a row, at most."""
    return 2 * max(n_features - 1, 0) * n_permutations


@dataclass(frozen=True, eq=False)
class _Path:
    """One permutation of the features in which a row and a background row differ."""

    row: int
    other: int
    differing: npt.NDArray[np.intp]
    order: npt.NDArray[np.intp]  # positions within `differing`

    @property
    def n_states(self) -> int:
        return 2 * max(len(self.order) - 1, 0)

    def states(self, rows: FloatArray, background: FloatArray, start: int, stop: int) -> FloatArray:
        """``(stop - start, n_features)`` of the inner states: first forwards, then backwards."""
        n = len(self.order)
        number = np.arange(start, min(stop, self.n_states))[:, None]
        place = np.empty(n, dtype=np.intp)
        place[self.order] = np.arange(n)
        size = number % (n - 1) + 1  # so many features are known
        known = np.where(number < n - 1, place < size, place >= n - size)
        mine, theirs = rows[self.row, self.differing], background[self.other, self.differing]
        changed = np.where(known, mine, theirs)
        if n == rows.shape[1]:
            return changed
        states = np.repeat(background[self.other][None, :], len(number), axis=0)
        states[:, self.differing] = changed
        return states

    def contributions(self, inner: FloatArray, first: FloatArray, last: FloatArray) -> FloatArray:
        """``(K, n_differing)`` changes of the output, the mean of both directions."""
        n = len(self.order)
        found = np.zeros((len(first), n))
        if n == 0:
            return found
        half = len(inner) // 2
        forwards = np.diff(np.vstack([first, inner[:half], last]), axis=0)
        backwards = np.diff(np.vstack([first, inner[half:], last]), axis=0)
        found[:, self.order] = (forwards.T + backwards[::-1].T) / 2
        return found


def _paths(
    rows: FloatArray, background: FloatArray, n: int, generator: np.random.Generator
) -> Iterator[_Path]:
    # Columns in an order that their cells give, so that a table in another order of columns gets
    # the same permutations.
    columns = np.vstack([background, rows]).T
    order = np.array(sorted(range(len(columns)), key=lambda i: columns[i].tobytes()), np.intp)
    mine, theirs = rows[:, order], background[:, order]
    for row in range(len(rows)):
        # Without repetition as far as they reach, so that all weigh the same.
        times = -(-n // len(background))
        others = np.concatenate([generator.permutation(len(background)) for _ in range(times)])[:n]
        for other in others:
            features = generator.permutation(order[np.flatnonzero(mine[row] != theirs[other])])
            differing = np.sort(features)
            yield _Path(row, int(other), differing, np.searchsorted(differing, features))


def _batches(paths: Iterator[_Path], width: int) -> Iterator[list[_Path]]:
    batch: list[_Path] = []
    states = 0
    for path in paths:
        if batch and (states + path.n_states) * width > _CELLS:
            yield batch
            batch, states = [], 0
        batch.append(path)
        states += path.n_states
    if batch:
        yield batch


def _evaluated(
    output: Callable[[FloatArray], FloatArray],
    batch: list[_Path],
    rows: FloatArray,
    background: FloatArray,
    n_outputs: int,
) -> FloatArray:
    """``(n_states, K)`` outputs of all inner states of the paths, one path after the other."""
    size = max(1, _CELLS // rows.shape[1])
    pieces = (
        path.states(rows, background, start, start + size)
        for path in batch
        for start in range(0, path.n_states, size)
    )
    if len(batch) == 1:  # it may have more states than one call should
        outputs = [output(piece) for piece in pieces]
    else:
        states = list(pieces)
        outputs = [output(np.vstack(states))] if states else []
    return np.concatenate(outputs) if outputs else np.empty((0, n_outputs))


def _in_batches(output: Callable[[FloatArray], FloatArray], rows: FloatArray) -> FloatArray:
    size = max(1, _CELLS // rows.shape[1])
    return np.concatenate([output(rows[i : i + size]) for i in range(0, len(rows), size)])


def _added_up(
    values: FloatArray, errors: FloatArray, wanted: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Values that add up to ``wanted``, ``(n_rows, K)``, and their standard errors."""
    missing = wanted.T - values.sum(axis=-1)
    variance = errors**2
    total = variance.sum(axis=-1, keepdims=True)
    share = np.divide(variance, total, out=np.zeros_like(variance), where=total > 0)
    return values + share * missing[..., None], np.sqrt(variance * (1.0 - share))
