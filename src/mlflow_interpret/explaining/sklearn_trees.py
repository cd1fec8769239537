"""Trees of scikit-learn's models, and of scikit-survival's, as arrays of nodes.

The only module that reads the private attributes of these models; a test lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.ensemble import AdaBoostClassifier, IsolationForest
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.ensemble._iforest import _average_path_length
from sklearn.tree import BaseDecisionTree

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.sklearn_compat import column_order, encode_categories
from mlflow_interpret.explaining.tree_nodes import Flags, Nodes, Trees

TREES_NOTE = (
    "Tree SHAP in its path-dependent form: an unknown feature is averaged over the training rows "
    "that reached the same node, not over all background rows."
)


def is_tree_ensemble(model: Any) -> bool:
    """Whether the model is a tree or a tree ensemble of scikit-learn or scikit-survival."""
    return isinstance(model, tuple(_CONVERTERS)) or _is_survival_model(model)


def trees_of(model: Any) -> Trees:
    """The trees of a fitted model.

    Raises:
        CannotExplainError: The model has no trees, or its output depends on more than its trees.
    """
    if _is_survival_model(model):
        return _survival_trees(model)
    for family, convert in _CONVERTERS.items():
        if isinstance(model, family):
            return convert(model)
    raise CannotExplainError(f"{type(model).__name__} is not a tree ensemble of scikit-learn")


def tree_cells(model: Any, rows: RowBatch) -> FloatArray:
    """``(n_rows, n_features)`` cells that the trees of a model compare.

    ``HistGradientBoosting`` encodes categories itself, so its rows may hold text.

    Raises:
        CannotExplainError: The rows hold cells that are not numbers.
    """
    if isinstance(model, BaseHistGradientBoosting):
        try:
            encoded = encode_categories(model, rows.original)
        except Exception as error:
            raise CannotExplainError("its encoder of categories failed", error) from error
        if encoded is not None:
            return encoded
    if not is_numeric(rows.frame):
        raise CannotExplainError(NOT_NUMBERS)
    return numbers(rows.frame)


def tree_notes(model: Any) -> tuple[str, ...]:
    """Notes on the path-dependent values of a model, for the status record."""
    if isinstance(model, IsolationForest):
        return (TREES_NOTE, "A longer path means a more normal row; it determines the score.")
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
    # The probability of the last class of a target is 1 minus those of the others.
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


def _is_survival_model(model: Any) -> bool:
    """Whether the model is a survival tree or forest of scikit-survival."""
    has_trees = hasattr(model, "tree_") or hasattr(model, "estimators_")
    return hasattr(model, "is_event_time_") and has_trees


def _survival_trees(model: Any) -> Trees:
    """The risk score: the cumulative hazards of a leaf, summed over the times of events."""
    members = [model] if hasattr(model, "tree_") else model.estimators_
    trees = [member.tree_ for member in members]
    hazards = np.concatenate([tree.value[..., 0] for tree in trees])  # (n_nodes, n_times)
    if not getattr(model, "low_memory", False):  # else a leaf has the risk score only
        hazards = hazards[:, np.asarray(model.is_event_time_)]
    risks = hazards.sum(axis=1, keepdims=True) / len(trees)
    return _joined(trees, risks, np.eye(1), np.zeros(1))


def _isolation_forest(model: Any) -> Trees:
    """The mean depth at which a row is isolated: Liu, Ting and Zhou (2008), equation 1."""
    trees = [tree.tree_ for tree in model.estimators_]
    joined = _joined(trees, np.zeros((0, 1)), np.eye(1), np.zeros(1))
    samples = np.concatenate([tree.n_node_samples for tree in trees])
    depth = np.zeros(len(samples))
    for level, nodes in enumerate(joined.levels()):
        depth[nodes] = level
    columns = [
        np.asarray(features)[np.maximum(tree.feature, 0)]  # a tree may use a subset of the columns
        for tree, features in zip(trees, model.estimators_features_, strict=True)
    ]
    values = (depth + _average_path_length(samples)) / len(trees)
    return replace(joined, values=values[:, None], feature=np.concatenate(columns))


def _ada_boost(model: Any) -> Trees:
    """The votes of the trees: a leaf adds to the class that it predicts, and takes from the others.

    Zhu, Zou, Rosset and Hastie (2009), algorithm 2. The decision function is the mean of the votes.
    """
    members = model.estimators_
    if not all(isinstance(member, BaseDecisionTree) for member in members):
        raise CannotExplainError("it boosts models that are no trees")
    n = len(model.classes_)
    weights = np.asarray(model.estimator_weights_, np.float64)
    weights = weights[: len(members)] / weights.sum()
    votes = []
    for member, weight in zip(members, weights, strict=True):
        predicted = member.classes_[member.tree_.value[:, 0, :].argmax(axis=1)]
        is_predicted = predicted[:, None] == model.classes_[None, :]
        votes.append(np.where(is_predicted, weight, -weight / (n - 1)))
    values = np.concatenate(votes)
    trees = [member.tree_ for member in members]
    if n > 2:
        return _joined(trees, values, np.eye(n), np.zeros(n))
    return _joined(trees, values[:, 1:] - values[:, :1], *_margins(model, np.zeros(1)))


def _gradient_boosting(model: Any) -> Trees:
    if model.init not in (None, "zero"):
        raise CannotExplainError("its init estimator adds values that are in no tree")
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
    """``mix`` and ``offset`` of a boosting model, whose binary output is that of class 2 only."""
    if hasattr(model, "classes_") and len(start) == 1:
        signs = np.array([-1.0, 1.0])
        return signs[:, None], signs * start
    return np.eye(len(start)), start


def _hist_gradient_boosting(model: Any) -> Trees:
    trees = [tree for stage in model._predictors for tree in stage]
    nodes = np.concatenate([tree.nodes for tree in trees])
    sizes = np.array([len(tree.nodes) for tree in trees])
    roots = np.cumsum(sizes) - sizes
    shift = np.repeat(roots, sizes)
    leaf = nodes["is_leaf"].astype(bool)
    n_sums = model.n_trees_per_iteration_
    values = np.zeros((len(nodes), n_sums))
    sums = np.repeat(np.tile(np.arange(n_sums), len(model._predictors)), sizes)
    values[np.arange(len(nodes)), sums] = nodes["value"]
    mix, offset = _margins(model, np.ravel(model._baseline_prediction).astype(np.float64))
    is_categorical = nodes["is_categorical"].astype(bool)
    sets, goes_left = _categorical_splits(trees, is_categorical)
    return Trees(
        roots=roots,
        left=np.where(leaf, -1, nodes["left"].astype(np.int64) + shift),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64) + shift),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        feature=column_order(model)[nodes["feature_idx"]],
        threshold=np.where(is_categorical, 0.5, nodes["num_threshold"]),
        cover=nodes["count"].astype(np.float64),
        values=values,
        mix=mix,
        offset=offset,
        single_precision=False,
        sets=sets,
        goes_left=goes_left,
    )


def _categorical_splits(
    trees: Sequence[Any], is_categorical: Flags
) -> tuple[Nodes | None, Flags | None]:
    """``sets`` and ``goes_left`` of the trees of ``HistGradientBoosting``.

    Its predictors keep the categories that go left as the bits of integers.
    """
    if not is_categorical.any():
        return None, None
    bits = [tree.raw_left_cat_bitsets for tree in trees]
    first = np.cumsum([0, *(len(own) for own in bits)])
    positions = [
        tree.nodes["bitset_idx"] + start for tree, start in zip(trees, first, strict=False)
    ]
    unique, rows = np.unique(np.concatenate(bits).astype("<u4"), axis=0, return_inverse=True)
    goes_left = np.unpackbits(unique.view(np.uint8), axis=1, bitorder="little").astype(bool)
    sets = np.full(len(is_categorical), -1)
    sets[is_categorical] = np.ravel(rows)[np.concatenate(positions)[is_categorical]]
    return sets, goes_left


def _joined(trees: Sequence[Any], values: FloatArray, mix: FloatArray, offset: FloatArray) -> Trees:
    """Join trees of the class ``sklearn.tree._tree.Tree``."""
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
    AdaBoostClassifier: _ada_boost,
    IsolationForest: _isolation_forest,
    BaseGradientBoosting: _gradient_boosting,
    BaseHistGradientBoosting: _hist_gradient_boosting,
}
