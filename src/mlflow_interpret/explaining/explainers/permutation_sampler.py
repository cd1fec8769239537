"""Shapley values of any function of numbers by sampling permutations.

The game is the interventional one of Lundberg and Lee (2017), over the given background rows. A
permutation adds the explained row's features to a background row one after the other, and each
change of the output is one sample of a feature's contribution (Castro, Gomez and Tejada, 2009;
Strumbelj and Kononenko, 2014). Three methods reduce the number of samples:

- Each permutation is used forwards and backwards, which cancels much of the noise (Mitchell,
  Cooper, Frank and Holmes, 2022). Features with the same value in both rows are skipped.
- Background rows with unusual outputs are drawn more often and have smaller weights, and the draws
  are spread evenly over the outputs, so that rare rows with large effects are drawn.
- Exactly known means, those of the background's columns and of the sum of a permutation, are
  control variates; see `control_variates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.explainers.control_variates import estimate, standardize

_Integers = npt.NDArray[np.intp]

_CELLS = 2_000_000
"""Limit of the cells of a call of the model."""


@dataclass(frozen=True, eq=False)
class SampledValues:
    """Estimated Shapley values of ``K`` outputs.

    Attributes:
        values: ``(K, n_rows, n_features)`` Shapley values.
        errors: ``(K, n_rows, n_features)`` their standard errors.
        expected: ``(K,)`` mean outputs over the background.
        outputs: ``(n_rows, K)`` outputs of the explained rows.
    """

    values: FloatArray
    errors: FloatArray
    expected: FloatArray
    outputs: FloatArray


def sample_shapley(
    output: Callable[[FloatArray], FloatArray],
    rows: FloatArray,
    background: FloatArray,
    n_permutations: int,
    seed: int,
    numbers: npt.NDArray[np.intp] | None = None,
    background_outputs: FloatArray | None = None,
    background_weights: FloatArray | None = None,
) -> SampledValues:
    """Estimate the Shapley values of each row.

    Args:
        output: Maps ``(n, n_features)`` to ``(n, K)``.
        rows: ``(n_rows, n_features)`` rows to explain.
        background: ``(n_background, n_features)`` rows that stand for "feature unknown".
        n_permutations: Number of pairs of a permutation and its reverse for each row, at least 2;
            rounded up to a multiple of the background rows if it is larger than their number.
        seed: Seed of permutations and background rows.
        numbers: ``(n_rows,)`` numbers of the rows. The draws of a row depend on the seed and its
            number, not on the other rows. Default: their positions.
        background_outputs: ``(n_background, K)`` outputs of the background rows, if known.
        background_weights: ``(n_background,)`` weights of the background rows, None for equal ones.
    """
    if n_permutations > len(background):
        n_permutations = -(-n_permutations // len(background)) * len(background)
    if background_outputs is None:
        background_outputs = in_batches(lambda chunk: output(background[chunk]), *background.shape)
    row_outputs = in_batches(lambda chunk: output(rows[chunk]), *rows.shape)
    seeds = [(seed, number) for number in (range(len(rows)) if numbers is None else numbers)]
    n_outputs = background_outputs.shape[1]
    expected = np.average(background_outputs, axis=0, weights=background_weights)
    draw = _BackgroundDraw(background_outputs, n_permutations, background_weights)
    cells, background_cells = standardize(rows, background, background_weights)
    values = np.empty((n_outputs, *rows.shape))
    errors = np.empty_like(values)
    for paths in _merge_paths(_row_paths(rows, background, draw, seeds), rows.shape[1]):
        inner = _evaluate(output, paths, rows, background, n_outputs)
        first, last = background_outputs[paths.others], row_outputs[paths.rows]
        samples = paths.contributions(inner, first, last)
        explained = np.unique(paths.rows)
        by_row = (len(explained), n_permutations)
        steps = cells[paths.rows] - background_cells[paths.others]
        samples, totals, steps = (
            (array.T * paths.weights).T.reshape(*by_row, *array.shape[1:])
            for array in (samples, last - first, steps)
        )
        steps -= cells[explained, None]  # their mean
        values[:, explained], errors[:, explained] = estimate(
            samples, totals, steps, row_outputs[explained] - expected
        )
    return SampledValues(values, errors, expected, row_outputs)


def evaluations(n_features: int, n_permutations: int) -> int:
    """Largest number of evaluations of the model for a row."""
    return 2 * max(n_features - 1, 0) * n_permutations


@dataclass(frozen=True, eq=False)
class _Paths:
    """Permutations of the features in which a row and a background row differ.

    Attributes:
        rows: ``(n_paths,)`` positions of the explained rows, ascending.
        others: ``(n_paths,)`` positions of the background rows.
        weights: ``(n_paths,)`` weights of the permutations.
        ranks: ``(n_paths, n_features)`` positions of the features in the permutations; features
            with the same value in both rows come last.
        lengths: ``(n_paths,)`` numbers of features in which the rows differ.
    """

    rows: _Integers
    others: _Integers
    weights: FloatArray
    ranks: _Integers
    lengths: _Integers

    @property
    def n_states(self) -> _Integers:
        """``(n_paths,)`` numbers of mixtures of both rows, first forwards, then backwards."""
        return 2 * np.maximum(self.lengths - 1, 0)

    def states(self, rows: FloatArray, background: FloatArray, start: int, stop: int) -> FloatArray:
        """``(stop - start, n_features)`` states, one path after another."""
        ends = np.cumsum(self.n_states)
        number = np.arange(start, min(stop, ends[-1]))
        path = np.searchsorted(ends, number, side="right")
        number = number - (ends - self.n_states)[path]
        length = self.lengths[path]
        size = number % (length - 1) + 1  # number of known features
        forwards = number < length - 1
        low = np.where(forwards, 0, length - size)[:, None]
        high = np.where(forwards, size, length)[:, None]
        ranks = self.ranks[path]
        states = background[self.others[path]]
        np.copyto(states, rows[self.rows[path]], where=(ranks >= low) & (ranks < high))
        return states

    def contributions(self, inner: FloatArray, first: FloatArray, last: FloatArray) -> FloatArray:
        """``(n_paths, n_features, K)`` changes of the output, averaged over both directions.

        Args:
            inner: ``(n_states, K)`` outputs of the states.
            first: ``(n_paths, K)`` outputs of the background rows.
            last: ``(n_paths, K)`` outputs of the explained rows.
        """
        n_paths, longest = len(self.lengths), max(int(self.lengths.max()), 1)
        outputs = np.empty((n_paths, 2, longest + 1, first.shape[1]))
        outputs[:] = last[:, None, None, :]
        outputs[:, :, 0] = first[:, None, :]
        is_inner = np.arange(1, longest)[None, None, :] < self.lengths[:, None, None]
        outputs[:, :, 1:longest][np.repeat(is_inner, 2, axis=1)] = inner
        changes = np.diff(outputs, axis=2)
        differ = self.ranks < self.lengths[:, None]
        forwards = np.where(differ, self.ranks, 0)
        backwards = np.where(differ, self.lengths[:, None] - 1 - self.ranks, 0)
        path = np.arange(n_paths)[:, None]
        both = changes[path, 0, forwards] + changes[path, 1, backwards]
        return np.where(differ[:, :, None], both / 2.0, 0.0)


class _BackgroundDraw:
    """Draws background rows; those with unusual outputs more often, with smaller weights.

    Args:
        background_outputs: ``(n_background, K)`` outputs of the background rows.
        n: Number of rows to draw.
        shares: ``(n_background,)`` weights of the background rows, None for equal ones.
    """

    def __init__(
        self, background_outputs: FloatArray, n: int, shares: FloatArray | None = None
    ) -> None:
        size = len(background_outputs)
        self._n, self._uses_all = n, n % size == 0 and shares is None
        shares = np.full(size, 1.0 / size) if shares is None else shares / shares.sum()
        unusual = np.abs(background_outputs - shares @ background_outputs)
        mean = shares @ unusual
        relative = np.divide(unusual, mean, out=np.ones_like(unusual), where=mean > 0).mean(axis=1)
        probabilities = shares * (3.0 + relative) / 4.0
        self._weights = 4.0 / (3.0 + relative)  # 4 / 3 at most
        self._order = np.argsort(background_outputs[:, background_outputs.var(axis=0).argmax()])
        self._cumulated = np.cumsum(probabilities[self._order])

    def rows(self, generator: np.random.Generator) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """``(n,)`` positions of background rows, and their weights with mean 1."""
        size = len(self._order)
        if self._uses_all:
            return np.tile(np.arange(size), self._n // size), np.ones(self._n)
        steps = (np.arange(self._n) + generator.random()) / self._n
        picked = self._order[np.minimum(np.searchsorted(self._cumulated, steps), size - 1)]
        return picked, self._weights[picked]


def _row_paths(
    rows: FloatArray,
    background: FloatArray,
    draw: _BackgroundDraw,
    seeds: Sequence[tuple[int, int]],
) -> Iterator[_Paths]:
    # The order of the columns follows from their cells, so that a table with reordered columns gets
    # the same permutations.
    columns = np.vstack([background, rows]).T
    order = np.array(sorted(range(len(columns)), key=lambda i: columns[i].tobytes()), np.intp)
    for row, seed in enumerate(seeds):
        generator = np.random.default_rng(seed)
        others, weights = draw.rows(generator)
        keys = np.empty((len(others), len(order)))
        keys[:, order] = generator.random(keys.shape)
        differ = background[others] != rows[row]
        keys[~differ] = 2.0  # sorted last
        features = np.argsort(keys, axis=1)
        ranks = np.empty_like(features)
        np.put_along_axis(ranks, features, np.arange(len(order))[None, :], axis=1)
        yield _Paths(np.full(len(others), row), others, weights, ranks, differ.sum(axis=1))


def _merge_paths(row_paths: Iterator[_Paths], width: int) -> Iterator[_Paths]:
    """Merge the paths of as many rows as fit into one call of the model."""
    group: list[_Paths] = []
    states = 0
    for paths in row_paths:
        n_states = int(paths.n_states.sum())
        if group and (states + n_states) * width > _CELLS:
            yield _concatenate(group)
            group, states = [], 0
        group.append(paths)
        states += n_states
    if group:
        yield _concatenate(group)


def _concatenate(group: Sequence[_Paths]) -> _Paths:
    return _Paths(
        *(
            np.concatenate([getattr(paths, array.name) for paths in group])
            for array in fields(_Paths)
        )
    )


def _evaluate(
    output: Callable[[FloatArray], FloatArray],
    paths: _Paths,
    rows: FloatArray,
    background: FloatArray,
    n_outputs: int,
) -> FloatArray:
    """``(n_states, K)`` outputs of all states, one path after another."""
    total = int(paths.n_states.sum())
    if total == 0:
        return np.empty((0, n_outputs))
    return in_batches(
        lambda chunk: output(paths.states(rows, background, chunk.start, chunk.stop)),
        total,
        rows.shape[1],
    )


def in_batches(output: Callable[[slice], FloatArray], n_rows: int, width: int) -> FloatArray:
    """The outputs of many rows, in calls of limited size."""
    size = max(1, _CELLS // width)
    return np.concatenate([output(slice(i, i + size)) for i in range(0, n_rows, size)])
