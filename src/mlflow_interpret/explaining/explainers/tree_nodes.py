"""The trees of scikit-learn's models as plain arrays of nodes, whatever the model's class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.ensemble._iforest import _average_path_length
from sklearn.tree import BaseDecisionTree

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray

TREES_NOTE = (
    "Tree SHAP in its path-dependent form: an unknown feature is averaged over the training rows "
    "that reached the same node, not over all background rows."
)

Nodes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Trees:
    """The nodes of all trees, one tree after the other.

    The leaves that a row reaches add up to ``K`` sums, of which `mixed` makes the outputs.

    Attributes:
        roots: ``(n_trees,)`` the trees' first nodes.
        left: ``(n_nodes,)`` the node for cells up to the threshold, -1 for a leaf.
        right: ``(n_nodes,)`` the node for cells above the threshold, -1 for a leaf.
        missing_left: ``(n_nodes,)`` whether missing cells go left.
        feature: ``(n_nodes,)`` the column that is compared, of a leaf any.
        threshold: ``(n_nodes,)`` what it is compared with.
        cover: ``(n_nodes,)`` the weight of the training rows that reached the node.
        values: ``(n_nodes, K)`` what a leaf adds.
        mix: ``(n_outputs, K)`` what a sum counts for an output.
        offset: ``(n_outputs,)`` what all rows get beside.
        single_precision: Whether the model rounds cells to 32 bits before it compares them.
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

    def of_sum(self, k: int) -> Trees:
        """The trees of one of the sums, without the splits below which it is the same everywhere.

        Below these all path-dependent values are 0, so that nothing is lost without them. Where a
        forest tells many classes apart, few of its nodes are left for each.
        """
        values = self.values[:, k].copy()
        same = self.left < 0
        for nodes in reversed(self.levels()):
            inner = nodes[self.left[nodes] >= 0]
            left, right = self.left[inner], self.right[inner]
            same[inner] = same[left] & same[right] & (values[left] == values[right])
            values[inner] = values[left]
        split = np.flatnonzero(self.left >= 0)
        kept = np.ones(len(same), dtype=bool)
        kept[self.left[split]] = kept[self.right[split]] = ~same[split]
        place = np.cumsum(kept) - 1
        return replace(
            self,
            roots=place[self.roots],
            left=np.where(same, -1, place[self.left])[kept],
            right=np.where(same, -1, place[self.right])[kept],
            missing_left=self.missing_left[kept],
            feature=self.feature[kept],
            threshold=self.threshold[kept],
            cover=self.cover[kept],
            values=values[kept, None],
            mix=np.eye(1),
            offset=np.zeros(1),
        )

    def levels(self) -> list[Nodes]:
        """The nodes by their depth."""
        levels, nodes = [], self.roots
        while len(nodes):
            levels.append(nodes)
            inner = nodes[self.left[nodes] >= 0]
            nodes = np.concatenate([self.left[inner], self.right[inner]])
        return levels


def is_tree_ensemble(model: Any) -> bool:
    """Whether the model is a tree or a tree ensemble of scikit-learn."""
    return isinstance(model, tuple(_CONVERTERS))


def trees_of(model: Any) -> Trees:
    """The trees of a fitted model.

    Raises:
        CannotExplainError: It has none, or its output is not made of them alone.
    """
    for family, convert in _CONVERTERS.items():
        if isinstance(model, family):
            return convert(model)
    raise CannotExplainError(f"{type(model).__name__} is no tree ensemble of scikit-learn")


def tree_notes(model: Any) -> tuple[str, ...]:
    """What is to be said of the path-dependent values of a model."""
    if isinstance(model, IsolationForest):
        longer = "Rows are more normal, the longer the path; the score follows from it."
        return (TREES_NOTE, longer)
    return (TREES_NOTE,)


def _decision_tree(model: Any) -> Trees:
    return _averaged(model, [model.tree_])


def _forest(model: Any) -> Trees:
    return _averaged(model, [tree.tree_ for tree in model.estimators_])


def _averaged(model: Any, trees: Sequence[Any]) -> Trees:
    values = np.concatenate([tree.value for tree in trees]) / len(trees)  # (n_nodes, targets, n)
    if not hasattr(model, "classes_"):
        n = values.shape[1]
        return _joined(trees, values[:, :, 0], np.eye(n), np.zeros(n))
    # The probability of a target's last class is what the others leave.
    sizes = np.atleast_1d(model.n_classes_).astype(int)
    columns = [values[:, target, : n - 1] for target, n in enumerate(sizes)]
    mix = np.zeros((sizes.sum(), (sizes - 1).sum()))
    offset = np.zeros(sizes.sum())
    first_row = first_column = 0
    for n in sizes:
        last, inner = first_row + n - 1, slice(first_column, first_column + n - 1)
        mix[first_row:last, inner] = np.eye(n - 1)
        mix[last, inner] = -1.0
        offset[last] = 1.0
        first_row, first_column = last + 1, first_column + n - 1
    return _joined(trees, np.concatenate(columns, axis=1), mix, offset)


def _isolation_forest(model: Any) -> Trees:
    """The mean depth at which rows are isolated: Liu, Ting and Zhou (2008), equation 1."""
    trees = [tree.tree_ for tree in model.estimators_]
    found = _joined(trees, np.zeros((0, 1)), np.eye(1), np.zeros(1))
    samples = np.concatenate([tree.n_node_samples for tree in trees])
    depth = np.zeros(len(samples))
    for level, nodes in enumerate(found.levels()):
        depth[nodes] = level
    columns = [
        np.asarray(own)[np.maximum(tree.feature, 0)]  # each tree may know some of the columns only
        for tree, own in zip(trees, model.estimators_features_, strict=True)
    ]
    values = (depth + _average_path_length(samples)) / len(trees)
    return replace(found, values=values[:, None], feature=np.concatenate(columns))


def _gradient_boosting(model: Any) -> Trees:
    if model.init not in (None, "zero"):
        raise CannotExplainError("its init estimator adds what no tree knows of")
    trees = model.estimators_  # (n_stages, K)
    n_sums = trees.shape[1]
    nodes = [tree.tree_ for tree in trees.ravel()]
    sizes = [tree.node_count for tree in nodes]
    values = np.zeros((sum(sizes), n_sums))
    sums = np.repeat(np.tile(np.arange(n_sums), len(trees)), sizes)
    leaves = np.concatenate([tree.value[:, 0, 0] for tree in nodes])
    values[np.arange(len(sums)), sums] = leaves * model.learning_rate
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]
    return _joined(nodes, values, *_margins(model, np.asarray(start, np.float64)))


def _margins(model: Any, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The mix and the offset of a boosting model: of two classes it knows the second's log-odds."""
    if hasattr(model, "classes_") and len(start) == 1:
        sides = np.array([-1.0, 1.0])
        return sides[:, None], sides * start
    return np.eye(len(start)), start


def _hist_gradient_boosting(model: Any) -> Trees:
    trees = [tree for stage in model._predictors for tree in stage]
    nodes = np.concatenate([tree.nodes for tree in trees])
    if nodes["is_categorical"].any():
        raise CannotExplainError("its trees split on categories")
    sizes = np.array([len(tree.nodes) for tree in trees])
    roots = np.cumsum(sizes) - sizes
    shift = np.repeat(roots, sizes)
    leaf = nodes["is_leaf"].astype(bool)
    n_sums = model.n_trees_per_iteration_
    values = np.zeros((len(nodes), n_sums))
    sums = np.repeat(np.tile(np.arange(n_sums), len(model._predictors)), sizes)
    values[np.arange(len(nodes)), sums] = nodes["value"]
    mix, offset = _margins(model, np.ravel(model._baseline_prediction).astype(np.float64))
    return Trees(
        roots=roots,
        left=np.where(leaf, -1, nodes["left"].astype(np.int64) + shift),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64) + shift),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        cover=nodes["count"].astype(np.float64),
        values=values,
        mix=mix,
        offset=offset,
        single_precision=False,
    )


def _joined(trees: Sequence[Any], values: FloatArray, mix: FloatArray, offset: FloatArray) -> Trees:
    """Trees of scikit-learn's own kind."""
    sizes = np.array([tree.node_count for tree in trees])
    roots = np.cumsum(sizes) - sizes
    shift = np.repeat(roots, sizes)
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    return Trees(
        roots=roots,
        left=np.where(left < 0, -1, left + shift),
        right=np.where(right < 0, -1, right + shift),
        missing_left=np.concatenate([tree.missing_go_to_left for tree in trees]).astype(bool),
        feature=np.concatenate([tree.feature for tree in trees]).astype(np.int64),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        cover=np.concatenate([tree.weighted_n_node_samples for tree in trees]),
        values=values,
        mix=mix,
        offset=offset,
        single_precision=True,
    )


_CONVERTERS: dict[type, Callable[[Any], Trees]] = {
    BaseDecisionTree: _decision_tree,
    BaseForest: _forest,
    IsolationForest: _isolation_forest,
    BaseGradientBoosting: _gradient_boosting,
    BaseHistGradientBoosting: _hist_gradient_boosting,
}
