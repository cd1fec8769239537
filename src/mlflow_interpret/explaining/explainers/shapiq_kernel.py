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
        n_points = min((paths.n_features + 1) // 2, _MAX_POINTS)
        points, weights = np.polynomial.legendre.leggauss(n_points)
        zeros = np.zeros(len(leaf), dtype=np.int64)
        nodes = (columns, trees.left, trees.right, paths.parents, paths.earlier)
        before = (
            np.where(leaf, np.nan, trees.threshold),
            *(array.astype(np.int32) for array in nodes),
            paths.unknown,
            np.where(leaf, trees.values[:, 0], 0.0),
            paths.depth,
            len(leaf),
            trees.roots[~leaf[trees.roots]].astype(np.int32),
            (points + 1.0) / 2.0,
            weights / 2.0,
            len(first),
            1,  # single features without interactions, so the tables of interactions are empty
            1,
            np.zeros(0, dtype=np.int32),
            np.zeros(2, dtype=np.int64),
        )
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
