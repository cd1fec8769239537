"""shapiq's compiled QuadratureTreeSHAP, called for many rows at once.

shapiq's public class explains one row in a call. The compiled function is not public; a test checks
its signature by comparing its values with those of the public class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.tree_nodes import Comparisons, Nodes, Trees

_MAX_POINTS = 12
"""Limit of the quadrature points. Half as many as a path has features are exact; with 10 the error
was that of rounding on paths of 229 features."""
_MAX_RESULTS = 20_000_000
"""Limit of the numbers that the function computes in a call."""


@dataclass(frozen=True, eq=False)
class TreePaths:
    """The paths from the roots to the nodes of some trees.

    Attributes:
        parents: ``(n_nodes,)`` parent of each node, -1 for a root.
        earlier: ``(n_nodes,)`` closest node on the path that a split on the same column leads to,
            or -1.
        unknown: ``(n_nodes,)`` share of the training rows that pass all splits on the path on the
            column that leads to the node.
        reached: ``(n_nodes,)`` share of the training rows that pass all splits on the path.
        n_features: Largest number of columns on a path.
        depth: Largest number of splits on a path.
    """

    parents: Nodes
    earlier: Nodes
    unknown: FloatArray
    reached: FloatArray
    n_features: int
    depth: int


@dataclass(frozen=True, eq=False)
class Kernel:
    """Trees as arguments of the compiled function.

    Attributes:
        before: Arguments in front of the rows.
        after: Arguments behind the result.
        comparisons: The distinct comparisons of the trees: one for each column of the rows, and one
            for each way in which a column's categories are split.
    """

    before: tuple[Any, ...]
    after: tuple[Any, ...]
    comparisons: Comparisons

    @classmethod
    def of(cls, trees: Trees, paths: TreePaths) -> Kernel:
        """Build the arguments; shapiq's ``tree/quadrature/cext/cext.cc`` documents them.

        Args:
            trees: Trees with one sum.
            paths: Their paths.
        """
        leaf = trees.left < 0
        inner = np.flatnonzero(~leaf)
        keys = trees.feature[inner]
        if trees.sets is not None:
            keys = keys * (trees.sets.max() + 2) + trees.sets[inner] + 1
        _, first, positions = np.unique(keys, return_index=True, return_inverse=True)
        columns = np.full(len(leaf), -2)
        columns[inner] = positions
        # single features without interactions, so the tables of interactions are empty
        tables = (1, 1, np.zeros(0, dtype=np.int32), np.zeros(2, dtype=np.int64))
        zeros = np.zeros(len(leaf), dtype=np.int64)
        before = (*_nodes(trees, paths, columns), len(first), *tables)
        after = ("<=", np.zeros(0, dtype=np.int64), zeros, zeros, trees.missing_left)
        return cls(before, after, trees.comparisons(inner[first]))

    def add_values(self, cells: FloatArray, values: FloatArray) -> None:
        """Add the attributions of ``cells`` to ``values``, both ``(n_rows, n_features)``."""
        from shapiq.tree.quadrature.cext import quadrature_tree_shap

        features = self.comparisons.features
        out = np.zeros((len(cells), len(features)))
        columns = np.ascontiguousarray(self.comparisons.cells(cells.T).T)
        quadrature_tree_shap(*self.before, columns, out, *self.after)
        if self.comparisons.sets is None:
            values[:, features] += out
        else:  # the columns of one feature are added up
            np.add.at(values.T, features, out.T)


@dataclass(frozen=True, eq=False)
class PairKernel:
    """Trees as arguments of the compiled function, for interactions of two columns.

    Attributes:
        before: Arguments in front of the rows.
        after: Arguments behind the result.
        features: ``(n_used,)`` columns of the splits, ascending.
        pairs: ``(n_pairs, 2)`` positions in ``features`` of the pairs on a path.
    """

    before: tuple[Any, ...]
    after: tuple[Any, ...]
    features: Nodes
    pairs: Nodes

    @classmethod
    def of(cls, trees: Trees, paths: TreePaths) -> PairKernel:
        """Build the arguments.

        Args:
            trees: Trees with one sum.
            paths: Their paths.
        """
        from shapiq.tree.quadrature.cext import preprocess_subset_tables

        leaf = trees.left < 0
        inner = np.flatnonzero(~leaf)
        features, positions = np.unique(trees.feature[inner], return_inverse=True)
        columns = np.full(len(leaf), -2)
        columns[inner] = positions
        ends = np.append(trees.roots, len(leaf))
        roots = np.repeat(trees.roots, np.diff(ends))
        children = (np.where(leaf, -1, child - roots) for child in (trees.left, trees.right))
        (keys, counts), index = preprocess_subset_tables(
            columns, *(np.ascontiguousarray(child) for child in children), ends, len(features), 2
        )
        before = (*_nodes(trees, paths, columns), len(features), 1, 2, keys, counts)
        after = ("<=", *_categories(trees), trees.missing_left, *(index or ()))
        pairs = np.asarray(keys[: 2 * counts[2]], dtype=np.int64).reshape(-1, 2)
        return cls(before, after, features, pairs)

    def add_interactions(self, cells: FloatArray, columns: Nodes, values: FloatArray) -> None:
        """Add the Shapley interaction indices of pairs of columns.

        Args:
            cells: ``(n_rows, n_features)`` rows; categories are codes.
            columns: ``(k,)`` columns.
            values: ``(n_rows, k, k)`` sums to add to.
        """
        place = np.full(max(int(self.features.max()), int(columns.max())) + 1, -1)
        place[columns] = np.arange(len(columns))
        first, second = place[self.features[self.pairs]].T
        is_wanted = (first >= 0) & (second >= 0)
        first, second = first[is_wanted], second[is_wanted]
        n_rows = max(1, _MAX_RESULTS // (len(self.features) + len(self.pairs)))
        for start in range(0, len(cells), n_rows):
            rows = slice(start, start + n_rows)
            indices = self._indices(cells[rows])[:, is_wanted]
            values[rows, first, second] += indices
            values[rows, second, first] += indices

    def _indices(self, cells: FloatArray) -> FloatArray:
        """``(n_rows, n_pairs)`` interaction indices."""
        from shapiq.tree.quadrature.cext import quadrature_tree_shap

        n_used = len(self.features)
        out = np.zeros((len(cells), n_used + len(self.pairs)))
        used = np.ascontiguousarray(cells[:, self.features])
        quadrature_tree_shap(*self.before, used, out, *self.after)
        return out[:, n_used:]


def _nodes(trees: Trees, paths: TreePaths, columns: Nodes) -> tuple[Any, ...]:
    """The arguments that describe the nodes and the quadrature."""
    leaf = trees.left < 0
    n_points = min((paths.n_features + 1) // 2, _MAX_POINTS)
    points, weights = np.polynomial.legendre.leggauss(n_points)
    nodes = (columns, trees.left, trees.right, paths.parents, paths.earlier)
    return (
        np.where(leaf, np.nan, trees.threshold),
        *(array.astype(np.int32) for array in nodes),
        paths.unknown,
        np.where(leaf, trees.values[:, 0], 0.0),
        paths.depth,
        len(leaf),
        trees.roots[~leaf[trees.roots]].astype(np.int32),
        (points + 1.0) / 2.0,
        weights / 2.0,
    )


def _categories(trees: Trees) -> tuple[Nodes, Nodes, Nodes]:
    """The categories that go left at splits: all of them, and their start and number by node."""
    starts, sizes = np.zeros((2, len(trees.left)), dtype=np.int64)
    if trees.sets is None or trees.goes_left is None:
        return np.zeros(0, dtype=np.int64), starts, sizes
    by_set = [np.flatnonzero(goes_left) for goes_left in trees.goes_left]
    set_sizes = np.array([len(categories) for categories in by_set])
    is_categorical = (trees.sets >= 0) & (trees.left >= 0)
    sets = trees.sets[is_categorical]
    starts[is_categorical] = (np.cumsum(set_sizes) - set_sizes)[sets]
    sizes[is_categorical] = set_sizes[sets]
    return np.concatenate(by_set), starts, sizes
