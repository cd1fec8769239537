"""Shapley values of any function by sampling permutations; pure numbers in, numbers out.

The game is the interventional one of Lundberg and Lee (2017), over the given background rows. A
permutation adds the explained row's features to a background row one after the other, and each
change of the output is one sample of a feature's contribution (Castro, Gomez and Tejada, 2009;
Strumbelj and Kononenko, 2014). Three things make the samples few:

- Each permutation is used forwards and backwards, which cancels much of the noise (Mitchell,
  Cooper, Frank and Holmes, 2022). Features that are the same in both rows are passed over.
- Background rows with unusual outputs are drawn more often and weigh less, and the draws are
  spread evenly over the outputs: rare values that matter are met.
- What is known exactly, the means of the background's columns and of a permutation's sum, takes
  noise away; see `estimates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.explainers.control_variates import estimated, standardized

_Integers = npt.NDArray[np.intp]

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
    known, known_background = standardized(rows, background)
    values = np.empty((n_outputs, *rows.shape))
    errors = np.empty_like(values)
    for paths in _batches(_by_row(rows, background, draw, seeds), rows.shape[1]):
        inner = _evaluated(output, paths, rows, background, n_outputs)
        first, last = at_background[paths.others], at_rows[paths.rows]
        samples = paths.contributions(inner, first, last)
        explained = np.unique(paths.rows)
        by_row = (len(explained), n_permutations)
        steps = known[paths.rows] - known_background[paths.others]
        samples, totals, steps = (
            (each.T * paths.weights).T.reshape(*by_row, *each.shape[1:])
            for each in (samples, last - first, steps)
        )
        steps -= known[explained, None]  # what they are on average
        values[:, explained], errors[:, explained] = estimated(
            samples, totals, steps, at_rows[explained] - expected
        )
    return Sampled(values, errors, expected, at_rows)


def evaluations(n_features: int, n_permutations: int) -> int:
    """How often the model is evaluated for a row, at most."""
    return 2 * max(n_features - 1, 0) * n_permutations


@dataclass(frozen=True, eq=False)
class _Paths:
    """Permutations of the features in which a row and a background row differ.

    Attributes:
        rows: ``(n_paths,)`` positions of the explained rows, rising.
        others: ``(n_paths,)`` positions of the background rows.
        weights: ``(n_paths,)`` how much each counts.
        ranks: ``(n_paths, n_features)`` the features' places in the permutations; those in which
            the rows do not differ have the last.
        lengths: ``(n_paths,)`` in how many features the rows differ.
    """

    rows: _Integers
    others: _Integers
    weights: FloatArray
    ranks: _Integers
    lengths: _Integers

    @property
    def n_states(self) -> _Integers:
        """``(n_paths,)`` mixtures of both rows on the way: first forwards, then backwards."""
        return 2 * np.maximum(self.lengths - 1, 0)

    def states(self, rows: FloatArray, background: FloatArray, start: int, stop: int) -> FloatArray:
        """``(stop - start, n_features)`` of the states, path after path."""
        ends = np.cumsum(self.n_states)
        number = np.arange(start, min(stop, ends[-1]))
        path = np.searchsorted(ends, number, side="right")
        number = number - (ends - self.n_states)[path]
        length = self.lengths[path]
        size = number % (length - 1) + 1  # so many features are known
        forwards = number < length - 1
        low = np.where(forwards, 0, length - size)[:, None]
        high = np.where(forwards, size, length)[:, None]
        ranks = self.ranks[path]
        states = background[self.others[path]]
        np.copyto(states, rows[self.rows[path]], where=(ranks >= low) & (ranks < high))
        return states

    def contributions(self, inner: FloatArray, first: FloatArray, last: FloatArray) -> FloatArray:
        """``(n_paths, n_features, K)`` changes of the output, the mean of both directions."""
        n_paths, longest = len(self.lengths), max(int(self.lengths.max()), 1)
        outputs = np.empty((n_paths, 2, longest + 1, first.shape[1]))
        outputs[:] = last[:, None, None, :]
        outputs[:, :, 0] = first[:, None, :]
        on_the_way = np.arange(1, longest)[None, None, :] < self.lengths[:, None, None]
        outputs[:, :, 1:longest][np.repeat(on_the_way, 2, axis=1)] = inner
        changes = np.diff(outputs, axis=2)
        differ = self.ranks < self.lengths[:, None]
        forwards = np.where(differ, self.ranks, 0)
        backwards = np.where(differ, self.lengths[:, None] - 1 - self.ranks, 0)
        path = np.arange(n_paths)[:, None]
        both = changes[path, 0, forwards] + changes[path, 1, backwards]
        return np.where(differ[:, :, None], both / 2.0, 0.0)


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


def _by_row(
    rows: FloatArray, background: FloatArray, draw: _Draw, seeds: Sequence[tuple[int, int]]
) -> Iterator[_Paths]:
    # Columns in an order that their cells give, so that a table in another order of columns gets
    # the same permutations.
    columns = np.vstack([background, rows]).T
    order = np.array(sorted(range(len(columns)), key=lambda i: columns[i].tobytes()), np.intp)
    for row, seed in enumerate(seeds):
        generator = np.random.default_rng(seed)
        others, weights = draw.rows(generator)
        places = np.empty((len(others), len(order)))
        places[:, order] = generator.random(places.shape)
        differ = background[others] != rows[row]
        places[~differ] = 2.0  # behind all others
        features = np.argsort(places, axis=1)
        ranks = np.empty_like(features)
        np.put_along_axis(ranks, features, np.arange(len(order))[None, :], axis=1)
        yield _Paths(np.full(len(others), row), others, weights, ranks, differ.sum(axis=1))


def _batches(by_row: Iterator[_Paths], width: int) -> Iterator[_Paths]:
    """The paths of so many rows that the model gets them in one call."""
    batch: list[_Paths] = []
    states = 0
    for paths in by_row:
        own = int(paths.n_states.sum())
        if batch and (states + own) * width > _CELLS:
            yield _together(batch)
            batch, states = [], 0
        batch.append(paths)
        states += own
    if batch:
        yield _together(batch)


def _together(batch: Sequence[_Paths]) -> _Paths:
    return _Paths(
        *(np.concatenate([getattr(paths, one.name) for paths in batch]) for one in fields(_Paths))
    )


def _evaluated(
    output: Callable[[FloatArray], FloatArray],
    paths: _Paths,
    rows: FloatArray,
    background: FloatArray,
    n_outputs: int,
) -> FloatArray:
    """``(n_states, K)`` outputs of all states of the paths, one path after the other."""
    total = int(paths.n_states.sum())
    if total == 0:
        return np.empty((0, n_outputs))
    return in_batches(
        lambda some: output(paths.states(rows, background, some.start, some.stop)),
        total,
        rows.shape[1],
    )


def in_batches(output: Callable[[slice], FloatArray], n_rows: int, width: int) -> FloatArray:
    """The outputs of many rows, so many in one call as its memory allows."""
    size = max(1, _CELLS // width)
    return np.concatenate([output(slice(i, i + size)) for i in range(0, n_rows, size)])
