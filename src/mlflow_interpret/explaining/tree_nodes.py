"""Trees as arrays of nodes, and the cells that their splits compare."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.statistics import FloatArray

Nodes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Comparisons:
    """The cells that splits compare with their thresholds.

    Attributes:
        features: ``(n,)`` column of each split.
        sets: ``(n,)`` row of ``goes_left`` for a split on categories, -1 for others; None if there
            are no splits on categories.
        goes_left: ``(n_sets, n_categories)`` whether a category goes left, or None.
    """

    features: Nodes
    sets: Nodes | None = None
    goes_left: Flags | None = None

    def cells(self, columns: FloatArray) -> FloatArray:
        """``(n, n_rows)`` compared cells.

        Those of a split on categories are 0 for a category that goes left, and 1 for another one.

        Args:
            columns: ``(n_features, n_rows)`` cells of the rows; categories are codes.
        """
        cells: FloatArray = columns[self.features]
        if self.sets is None or self.goes_left is None:
            return cells
        is_categorical = self.sets >= 0
        codes = cells[is_categorical]
        is_missing = np.isnan(codes)
        positions = np.where(is_missing, 0, codes).astype(np.int64)
        is_left = self.goes_left[self.sets[is_categorical, None], positions]
        cells[is_categorical] = np.where(is_missing, np.nan, 1.0 - is_left)
        return cells


@dataclass(frozen=True, eq=False)
class Trees:
    """The nodes of all trees of a model, one tree after another.

    The values of the leaves that a row reaches add up to ``n_sums`` sums. The outputs of the model
    are ``mix @ sums + offset``.

    Attributes:
        roots: ``(n_trees,)`` first node of each tree.
        left: ``(n_nodes,)`` child for cells up to the threshold, -1 for a leaf.
        right: ``(n_nodes,)`` child for cells above the threshold, -1 for a leaf.
        missing_left: ``(n_nodes,)`` whether missing cells go left.
        feature: ``(n_nodes,)`` column of the split; any column for a leaf.
        threshold: ``(n_nodes,)`` threshold of the split.
        cover: ``(n_nodes,)`` weight of the training rows that reached the node.
        values: ``(n_nodes, n_sums)`` values of the leaves.
        mix: ``(n_outputs, n_sums)`` weights of the sums in the outputs.
        offset: ``(n_outputs,)`` constants of the outputs.
        single_precision: Whether the model rounds cells to 32 bits before it compares them.
        sets: ``(n_nodes,)`` row of ``goes_left`` for a split on categories, -1 for others; None if
            there are no splits on categories.
        goes_left: ``(n_sets, n_categories)`` whether a category goes left, or None.
    """

    roots: Nodes
    left: Nodes
    right: Nodes
    missing_left: Flags
    feature: Nodes
    threshold: FloatArray
    cover: FloatArray
    values: FloatArray
    mix: FloatArray
    offset: FloatArray
    single_precision: bool
    sets: Nodes | None = None
    goes_left: Flags | None = None

    def comparisons(self, nodes: Nodes) -> Comparisons:
        """The cells that the splits of nodes compare."""
        sets = None if self.sets is None else self.sets[nodes]
        return Comparisons(self.feature[nodes], sets, self.goes_left)

    def of_sum(self, k: int) -> Trees:
        """The trees of one sum, without the splits below which all leaves have the same value.

        The path-dependent values of these splits are 0. Few nodes remain for each class of a forest
        with many classes.

        Args:
            k: Position of the sum.
        """
        values = self.values[:, k].copy()
        same = self.left < 0
        for nodes in reversed(self.levels()):
            inner = nodes[self.left[nodes] >= 0]
            left, right = self.left[inner], self.right[inner]
            same[inner] = same[left] & same[right] & (values[left] == values[right])
            values[inner] = values[left]
        split = np.flatnonzero(self.left >= 0)
        is_kept = np.ones(len(same), dtype=bool)
        is_kept[self.left[split]] = is_kept[self.right[split]] = ~same[split]
        place = np.cumsum(is_kept) - 1
        return replace(
            self,
            roots=place[self.roots],
            left=np.where(same, -1, place[self.left])[is_kept],
            right=np.where(same, -1, place[self.right])[is_kept],
            missing_left=self.missing_left[is_kept],
            feature=self.feature[is_kept],
            threshold=self.threshold[is_kept],
            cover=self.cover[is_kept],
            sets=None if self.sets is None else self.sets[is_kept],
            values=values[is_kept, None],
            mix=np.eye(1),
            offset=np.zeros(1),
        )

    def subset(self, start: int, stop: int) -> Trees:
        """The trees at positions from ``start`` up to ``stop``."""
        first = self.roots[start]
        end = self.roots[stop] if stop < len(self.roots) else len(self.left)
        nodes = slice(first, end)
        is_leaf = self.left[nodes] < 0
        return replace(
            self,
            roots=self.roots[start:stop] - first,
            left=np.where(is_leaf, -1, self.left[nodes] - first),
            right=np.where(is_leaf, -1, self.right[nodes] - first),
            missing_left=self.missing_left[nodes],
            feature=self.feature[nodes],
            threshold=self.threshold[nodes],
            cover=self.cover[nodes],
            sets=None if self.sets is None else self.sets[nodes],
            values=self.values[nodes],
        )

    def levels(self) -> list[Nodes]:
        """The nodes of each depth."""
        levels, nodes = [], self.roots
        while len(nodes):
            levels.append(nodes)
            inner = nodes[self.left[nodes] >= 0]
            nodes = np.concatenate([self.left[inner], self.right[inner]])
        return levels
