"""Shapley values of any function by sampling permutations; pure numbers in, numbers out.

The game is the interventional one of Lundberg and Lee (2017), over the given background rows. A
permutation adds the explained row's features to a background row one after the other, and each
change of the output is one sample of a feature's contribution (Castro, Gomez and Tejada, 2009;
Strumbelj and Kononenko, 2014). Three things make the samples few:

- Each permutation is used forwards and backwards, which cancels much of the noise (Mitchell,
  Cooper, Frank and Holmes, 2022). Features that are the same in both rows are passed over.
- Background rows with unusual outputs are drawn more often and weigh less, and the draws are
  spread evenly over the outputs: rare values that matter are met.
- The sum of a permutation's samples is the row's output less that of the background row, and what
  it is on average is known exactly: it serves as a control variate (Owen, 2013, chapter 8). With
  it the values of a row add up to its output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlflow_interpret.records import FloatArray

_FEW = 8  # fewer samples tell no covariances
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
    numbers: npt.NDArray[np.intp] | None = None,
    at_background: FloatArray | None = None,
) -> Sampled:
    """Estimate the contributions of the features to the output of each row.

    Args:
        output: Maps ``(n, n_features)`` to ``(n, K)``.
        rows: ``(n_rows, n_features)`` rows to explain.
        background: ``(n_background, n_features)`` rows that stand for "feature unknown".
        n_permutations: So many pairs of a permutation and its reverse for each row, at least 2;
            more where that lets a small background's rows be used equally often.
        seed: Draws permutations and background rows.
        numbers: ``(n_rows,)`` numbers of the rows. What is drawn for a row depends on the seed and
            its number, not on the rows beside it. Default: their positions.
        at_background: ``(n_background, K)`` outputs of the background rows, where they are known.
    """
    if n_permutations > len(background):
        n_permutations = -(-n_permutations // len(background)) * len(background)
    if at_background is None:
        at_background = in_batches(lambda some: output(background[some]), *background.shape)
    at_rows = in_batches(lambda some: output(rows[some]), *rows.shape)
    seeds = [(seed, number) for number in (range(len(rows)) if numbers is None else numbers)]
    n_outputs = at_background.shape[1]
    expected = at_background.mean(axis=0)
    draw = _Draw(at_background, n_permutations)
    sums = _Sums(np.zeros((3, n_outputs, *rows.shape)), np.zeros((2, n_outputs, len(rows))))
    for batch in _batches(_paths(rows, background, draw, seeds), rows.shape[1]):
        inner = _evaluated(output, batch, rows, background, n_outputs)
        start = 0
        for path in batch:
            end = start + path.n_states
            first, last = at_background[path.other], at_rows[path.row]
            sums.add(path, path.contributions(inner[start:end], first, last), last - first)
            start = end
    values, errors = sums.estimates(n_permutations, (at_rows - expected).T)
    return Sampled(values, errors, expected, at_rows)


def evaluations(n_features: int, n_permutations: int) -> int:
    """How often the model is evaluated for a row, at most."""
    return 2 * max(n_features - 1, 0) * n_permutations


@dataclass(frozen=True, eq=False)
class _Path:
    """One permutation of the features in which a row and a background row differ."""

    row: int
    other: int
    weight: float
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


class _Draw:
    """Draws background rows: those with unusual outputs more often, with less weight."""

    def __init__(self, at_background: FloatArray, n: int) -> None:
        size = len(at_background)
        self._n, self._all = n, n % size == 0
        unusual = np.abs(at_background - at_background.mean(axis=0))
        mean = unusual.mean(axis=0)
        relative = np.divide(unusual, mean, out=np.ones_like(unusual), where=mean > 0).mean(axis=1)
        probabilities = (3.0 + relative) / 4.0 / size  # so no weight is above 4 / 3
        self._weights = 1.0 / size / probabilities
        self._order = np.argsort(at_background[:, at_background.var(axis=0).argmax()])
        self._reached = np.cumsum(probabilities[self._order])

    def rows(self, generator: np.random.Generator) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """``(n,)`` positions of background rows and their weights, 1 on average."""
        size = len(self._order)
        if self._all:
            return np.tile(np.arange(size), self._n // size), np.ones(self._n)
        steps = (np.arange(self._n) + generator.random()) / self._n
        picked = self._order[np.minimum(np.searchsorted(self._reached, steps), size - 1)]
        return picked, self._weights[picked]


def _paths(
    rows: FloatArray, background: FloatArray, draw: _Draw, seeds: Sequence[tuple[int, int]]
) -> Iterator[_Path]:
    # Columns in an order that their cells give, so that a table in another order of columns gets
    # the same permutations.
    columns = np.vstack([background, rows]).T
    order = np.array(sorted(range(len(columns)), key=lambda i: columns[i].tobytes()), np.intp)
    mine, theirs = rows[:, order], background[:, order]
    for row, seed in enumerate(seeds):
        generator = np.random.default_rng(seed)
        for other, weight in zip(*draw.rows(generator), strict=True):
            features = generator.permutation(order[np.flatnonzero(mine[row] != theirs[other])])
            differing = np.sort(features)
            place = np.searchsorted(differing, features)
            yield _Path(row, int(other), float(weight), differing, place)


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


def in_batches(output: Callable[[slice], FloatArray], n_rows: int, width: int) -> FloatArray:
    """The outputs of many rows, so many in one call as its memory allows."""
    size = max(1, _CELLS // width)
    return np.concatenate([output(slice(i, i + size)) for i in range(0, n_rows, size)])


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over the samples, of which the estimates are made.

    Attributes:
        by_feature: ``(3, K, n_rows, n_features)``: of the samples, their squares, and their
            products with the path's total.
        by_row: ``(2, K, n_rows)``: of the paths' totals, and their squares.
    """

    by_feature: FloatArray
    by_row: FloatArray

    def add(self, path: _Path, sample: FloatArray, total: FloatArray) -> None:
        sample, total = sample * path.weight, total * path.weight
        self.by_feature[0][:, path.row, path.differing] += sample
        self.by_feature[1][:, path.row, path.differing] += sample**2
        self.by_feature[2][:, path.row, path.differing] += sample * total[:, None]
        self.by_row[0][:, path.row] += total
        self.by_row[1][:, path.row] += total**2

    def estimates(self, n: int, wanted: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values that add up to ``wanted``, ``(K, n_rows)``, and their standard errors."""
        mean, square, product = (one / n for one in self.by_feature)
        total, total_square = self.by_row / n
        variance = np.maximum(square - mean**2, 0.0)
        if n < _FEW:
            part, whole, freedom = variance, variance.sum(axis=-1), n - 1
        else:
            part, whole, freedom = product - mean * total[..., None], total_square - total**2, n - 2
        whole = np.where(whole > 1e-9 * total_square, whole, 0.0)[..., None]  # not of rounding
        slope = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
        left = variance if n < _FEW else np.maximum(variance - slope * part, 0.0)
        missing = wanted - mean.sum(axis=-1)
        return mean + slope * missing[..., None], np.sqrt(left / freedom)
