"""Shapley values of trees against given background rows.

The interventional values of Lundberg et al. (2020): for an unknown column, a row has the cell of a
background row. A row that mixes the cells of two others reaches a leaf if each column on the
leaf's path fits in the row that the column is taken from, so the values follow from the columns
that fit in one of both rows only.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.explainers.additivity import attributions_of
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    register,
)
from mlflow_interpret.explaining.explainers.permutation import BACKGROUND_ROWS
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.sklearn_trees import (
    is_tree_ensemble,
    tree_cells,
    trees_of,
)
from mlflow_interpret.explaining.tree_nodes import Flags, Nodes, Trees

Masks = npt.NDArray[np.uint64]

MAX_ROWS = 1_000
_MIN_ROWS = 20
_MIN_BACKGROUND_ROWS = 50
_BACKGROUND_STEPS = 30_000_000
"""Limit of nodes x background rows, for the preparation; some 10^7 take a second."""
_TREE_STEPS = 20_000_000
"""The same for the largest tree, whose nodes are in memory for all background rows."""
_STEPS = 20_000_000
"""Default limit of patterns x explained rows; larger ensembles are left to sampling."""
_CELLS = 2_000_000
_MAX_COLUMNS = 60
"""Limit of the columns on a path, which are bits of an integer."""


@register(priority=44)
class InterventionalTreeExplainer(Explainer):
    """Explains the tree ensembles of scikit-learn against ``initialization_examples``."""

    is_checked = False

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return is_tree_ensemble(adapter.model)

    def __init__(self, request: ExplainRequest) -> None:
        if not request.is_background_given:
            raise CannotExplainError("there are no initialization_examples")
        background = request.background
        self._adapter = request.adapter
        trees = trees_of(request.adapter.model)
        largest = np.diff(np.append(trees.roots, len(trees.left))).max()
        limit = min(_BACKGROUND_STEPS // len(trees.left), _TREE_STEPS // int(largest))
        limit = int(np.clip(limit, _MIN_BACKGROUND_ROWS, BACKGROUND_ROWS))
        picked = sample_rows(len(background), limit, request.plan.random_state)
        self._trees = InterventionalTrees(
            trees, tree_cells(request.adapter.model, background.subset(picked)), request.raw_columns
        )
        self.is_by_raw_column = request.raw_columns is not None
        self.info = ExplainerInfo(
            method="shap_tree",
            implementation="mlflow-interpret, interventional tree SHAP",
            max_rows=self._rows_within(_STEPS),
            rows_in_full=self._rows_within(_STEPS // 5),
            background_rows=len(picked),
            notes=(_note(len(picked), len(background)),),
            is_parallel=True,
        )

    def _rows_within(self, steps: int) -> int:
        return int(np.clip(steps // max(self._trees.n_patterns, 1), _MIN_ROWS, MAX_ROWS))

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        cells = tree_cells(self._adapter.model, batch)
        values, expected = self._trees.explain(cells), self._trees.expected
        return attributions_of(self._adapter, batch, values, expected, scale)


def _note(n_used: int, n_given: int) -> str:
    rows = f"{n_used}" if n_used == n_given else f"{n_used} of the {n_given}"
    return (
        "Tree SHAP in its interventional form: an unknown feature is averaged over "
        f"{rows} rows of initialization_examples."
    )


class InterventionalTrees:
    """The attributions of the outputs of trees against background rows.

    Args:
        trees: The trees of a model.
        background: ``(n_background, n_columns)`` background rows.
        raw_columns: ``(n_columns,)`` raw column of each column, to explain raw columns: the
            columns of a raw column are known or unknown together. None to explain each column.
        max_patterns: Limit of ``n_patterns``: sampling is faster than more of them.

    Attributes:
        expected: ``(n_outputs,)`` mean outputs over the background rows.
        n_patterns: Number of pairs of a leaf and a set of columns that fit in a background row.

    Raises:
        CannotExplainError: There are too many patterns, or a path has too many columns.
    """

    def __init__(
        self,
        trees: Trees,
        background: FloatArray,
        raw_columns: Nodes | None = None,
        max_patterns: int = _STEPS // _MIN_ROWS,
    ) -> None:
        n_columns = background.shape[1]
        groups = np.arange(n_columns) if raw_columns is None else np.asarray(raw_columns)
        self._n_groups = int(groups.max()) + 1
        self._mix = trees.mix
        self._parts = []
        self.n_patterns = 0
        sums = np.zeros(trees.values.shape[1])
        for part in _parts(trees, max(1, _CELLS // len(background))):
            paths = _Paths.of(part, groups)
            patterns = _Patterns.of(paths, background)
            self._parts.append((paths, patterns))
            self.n_patterns += len(patterns.leaf)
            if self.n_patterns > max_patterns:
                raise CannotExplainError("its trees have too many leaves")
            reached = patterns.mask == paths.complete[patterns.leaf]
            sums += patterns.weight[reached] @ paths.values[patterns.leaf[reached]]
        self.expected: FloatArray = trees.mix @ sums + trees.offset

    def explain(self, cells: FloatArray) -> FloatArray:
        """Compute ``(n_outputs, n_rows, n_groups)`` attributions.

        Args:
            cells: ``(n_rows, n_columns)`` rows.
        """
        sums = np.zeros((self._mix.shape[1], len(cells), self._n_groups))
        for paths, patterns in self._parts:
            n_nodes = len(paths.trees.left)
            width = paths.groups.shape[1]
            size = max(1, _CELLS // max(len(patterns.leaf) * width, n_nodes))
            for start in range(0, len(cells), size):
                chunk = slice(start, start + size)
                _add_values(paths, patterns, cells[chunk], sums[:, chunk])
        return np.tensordot(self._mix, sums, axes=1)


@dataclass(frozen=True, eq=False)
class _Paths:
    """The columns on the paths to the nodes of some trees.

    A set of columns on a path is an integer, with a bit for each column in order of appearance.

    Attributes:
        trees: The trees.
        levels: The nodes of each depth.
        parents: ``(n_nodes,)`` parent of each node, -1 for a root.
        bits: ``(n_nodes,)`` bit of the column of the split that leads to the node.
        leaves: ``(n_leaves,)`` nodes that are leaves.
        groups: ``(n_leaves, n_bits)`` column of each bit of a leaf's path, or -1.
        complete: ``(n_leaves,)`` the set of all columns on a leaf's path.
        values: ``(n_leaves, n_sums)`` values of the leaves.
    """

    trees: Trees
    levels: list[Nodes]
    parents: Nodes
    bits: Masks
    leaves: Nodes
    groups: Nodes
    complete: Masks
    values: FloatArray

    @classmethod
    def of(cls, trees: Trees, groups: Nodes) -> _Paths:
        n = len(trees.left)
        split = np.flatnonzero(trees.left >= 0)
        parents = np.full(n, -1)
        parents[trees.left[split]] = parents[trees.right[split]] = split
        levels = trees.levels()
        depth = min(len(levels) - 1, _MAX_COLUMNS)
        columns, bits = np.full((n, max(depth, 1)), -1), np.zeros(n, dtype=np.uint64)
        n_bits = np.zeros(n, dtype=np.int64)
        for nodes in levels[1:]:
            above = parents[nodes]
            group = groups[trees.feature[above]]
            columns[nodes] = columns[above]
            is_same = columns[above] == group[:, None]
            is_new = ~is_same.any(axis=1)
            bit = np.where(is_new, n_bits[above], is_same.argmax(axis=1))
            if bit.max(initial=0) >= _MAX_COLUMNS:
                raise CannotExplainError(
                    f"paths of its trees have more than {_MAX_COLUMNS} columns"
                )
            columns[nodes, bit] = group
            bits[nodes] = np.left_shift(np.uint64(1), bit.astype(np.uint64))
            n_bits[nodes] = n_bits[above] + is_new
        leaves = np.flatnonzero(trees.left < 0)
        complete = np.left_shift(np.uint64(1), n_bits[leaves].astype(np.uint64)) - np.uint64(1)
        used = max(int(n_bits.max()), 1)
        return cls(
            trees, levels, parents, bits, leaves, columns[leaves, :used], complete,
            trees.values[leaves],
        )  # fmt: skip

    def fitting(self, cells: FloatArray) -> Masks:
        """``(n_leaves, n_rows)`` sets of columns that fit on the path to a leaf."""
        trees = self.trees
        if trees.single_precision:
            cells = cells.astype(np.float32).astype(np.float64)
        columns = np.ascontiguousarray(cells.T)
        misfit = np.zeros((len(trees.left), len(cells)), dtype=np.uint64)
        for nodes in self.levels[:-1]:
            inner = nodes[trees.left[nodes] >= 0]
            compared = trees.comparisons(inner).cells(columns)
            goes_left = compared <= trees.threshold[inner, None]
            goes_left |= np.isnan(compared) & trees.missing_left[inner, None]
            left, right = trees.left[inner], trees.right[inner]
            zero = np.uint64(0)
            misfit[left] = misfit[inner] | np.where(goes_left, zero, self.bits[left, None])
            misfit[right] = misfit[inner] | np.where(goes_left, self.bits[right, None], zero)
        return self.complete[:, None] & ~misfit[self.leaves]


@dataclass(frozen=True, eq=False)
class _Patterns:
    """The distinct sets of columns that fit in background rows, for each leaf.

    Attributes:
        leaf: ``(n_patterns,)`` positions of the leaves.
        mask: ``(n_patterns,)`` sets of columns.
        weight: ``(n_patterns,)`` shares of the background rows.
    """

    leaf: Nodes
    mask: Masks
    weight: FloatArray

    @classmethod
    def of(cls, paths: _Paths, background: FloatArray) -> _Patterns:
        masks = np.sort(paths.fitting(background), axis=1)
        is_first = np.ones(masks.shape, dtype=bool)
        is_first[:, 1:] = masks[:, 1:] != masks[:, :-1]
        starts = np.flatnonzero(is_first)
        counts = np.diff(np.append(starts, masks.size))
        return cls(starts // len(background), masks.ravel()[starts], counts / len(background))


def _parts(trees: Trees, n_nodes: int) -> list[Trees]:
    """The trees in parts of about a number of nodes, with at least one tree each."""
    ends = np.append(trees.roots[1:], len(trees.left))
    parts, first = [], 0
    for last in range(len(ends)):
        start = trees.roots[first]
        if last + 1 < len(ends) and ends[last + 1] - start <= n_nodes:
            continue
        parts.append(trees.subset(first, last + 1))
        first = last + 1
    return parts


_FACTORIALS = np.array([float(factorial(i)) for i in range(_MAX_COLUMNS + 1)])


def _add_values(paths: _Paths, patterns: _Patterns, cells: FloatArray, sums: FloatArray) -> None:
    """Add the attributions of rows to ``(n_sums, n_rows, n_groups)`` sums."""
    fitting = paths.fitting(cells).T[:, patterns.leaf]  # (n_rows, n_patterns)
    is_reached = (fitting | patterns.mask) == paths.complete[patterns.leaf]
    is_reached &= fitting != patterns.mask
    row, pattern = np.nonzero(is_reached)
    if not len(row):
        return
    known, unknown, leaf = fitting[row, pattern], patterns.mask[pattern], patterns.leaf[pattern]
    n_bits = paths.groups.shape[1]
    in_row, in_background = _bits(known & ~unknown, n_bits), _bits(unknown & ~known, n_bits)
    n_row, n_background = in_row.sum(axis=1), in_background.sum(axis=1)
    weight = patterns.weight[pattern] / _FACTORIALS[n_row + n_background]
    gain = weight * _FACTORIALS[np.maximum(n_row - 1, 0)] * _FACTORIALS[n_background]
    loss = weight * _FACTORIALS[n_row] * _FACTORIALS[np.maximum(n_background - 1, 0)]
    changes = in_row * gain[:, None] - in_background * loss[:, None]
    # Sum the patterns of a row and a leaf up, which follow each other.
    is_first = np.ones(len(row), dtype=bool)
    is_first[1:] = (row[1:] != row[:-1]) | (leaf[1:] != leaf[:-1])
    starts = np.flatnonzero(is_first)
    changes, row, leaf = np.add.reduceat(changes, starts, axis=0), row[starts], leaf[starts]
    n_rows, n_groups = sums.shape[1:]
    positions = (row[:, None] * n_groups + np.maximum(paths.groups[leaf], 0)).ravel()
    for k, values in enumerate(paths.values[leaf].T):
        added = np.bincount(positions, (changes * values[:, None]).ravel(), n_rows * n_groups)
        sums[k] += added.reshape(n_rows, n_groups)


def _bits(masks: Masks, n_bits: int) -> Flags:
    """``(n_masks, n_bits)`` bits of integers."""
    shifted = masks[:, None] >> np.arange(n_bits, dtype=np.uint64)
    bits: Flags = (shifted & np.uint64(1)).astype(bool)
    return bits
