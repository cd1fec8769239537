"""Path-dependent Shapley values by enumeration, the reference of boosters' own contributions.

The game of tree SHAP, Lundberg et al. (2020), algorithm 1: the value of a coalition is the output of
the trees when a split on a feature outside of the coalition sends a row both ways, weighted by the
training rows (their cover) on each side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Node:
    """A leaf with a value, or a split of a feature (its position) with two children."""

    cover: float
    value: float = 0.0
    feature: int | None = None
    goes_left: Callable[[float], bool] | None = None
    left: Any = None
    right: Any = None


def shapley(trees, rows):
    """Values ``(n_rows, n_features)`` of the sum of the trees."""
    rows = np.asarray(rows)
    return np.array([_row(trees, row) for row in rows])


def interactions(trees, rows):
    """``(n_rows, n_features, n_features)`` halves of the Shapley interaction indices of all pairs."""
    return np.array([_pairs(trees, row) for row in np.asarray(rows)])


def _pairs(trees, row):
    width = len(row)
    worth = {
        frozenset(c): sum(_expectation(tree, row, c) for tree in trees)
        for size in range(width + 1)
        for c in combinations(range(width), size)
    }
    return interaction_indices(worth, width) / 2


def interaction_indices(worth, width):
    """``(n, n, ...)`` indices of Grabisch and Roubens (1999) of a game, by enumeration.

    ``worth``: the worth of each coalition, a frozenset.
    """
    pairs = np.zeros((width, width, *np.shape(worth[frozenset()])))
    for i, j in combinations(range(width), 2):
        for coalition in worth:
            if coalition & {i, j}:
                continue
            size = len(coalition)
            weight = factorial(size) * factorial(width - size - 2) / factorial(width - 1)
            change = worth[coalition | {i, j}] + worth[coalition]
            change = change - worth[coalition | {i}] - worth[coalition | {j}]
            pairs[i, j] = pairs[j, i] = pairs[i, j] + weight * change
    return pairs


def _row(trees, row):
    width = len(row)
    worth = {
        c: sum(_expectation(tree, row, c) for tree in trees)
        for size in range(width + 1)
        for c in combinations(range(width), size)
    }
    values = np.zeros(width)
    for coalition, alone in worth.items():
        for feature in set(range(width)) - set(coalition):
            size = len(coalition)
            weight = factorial(size) * factorial(width - size - 1) / factorial(width)
            joined = tuple(sorted({*coalition, feature}))
            values[feature] += weight * (worth[joined] - alone)
    return values


def _expectation(node, row, known):
    if node.feature is None:
        return node.value
    if node.feature in known:
        return _expectation(
            node.left if node.goes_left(row[node.feature]) else node.right, row, known
        )
    left, right = node.left, node.right
    sides = [side.cover * _expectation(side, row, known) for side in (left, right) if side.cover]
    return sum(sides) / (left.cover + right.cover)


def xgboost_trees(booster, names):
    """``names``: the features as the booster calls them, by position."""
    frame = booster.trees_to_dataframe().set_index("ID")

    def node(label):
        line = frame.loc[label]
        if line["Feature"] == "Leaf":
            return Node(line["Cover"], value=line["Gain"])
        border, missing_left = np.float32(line["Split"]), line["Missing"] == line["Yes"]
        return Node(
            line["Cover"],
            feature=names.index(line["Feature"]),
            goes_left=lambda x: missing_left if np.isnan(x) else np.float32(x) < border,
            left=node(line["Yes"]),
            right=node(line["No"]),
        )

    return [node(f"{tree}-0") for tree in frame["Tree"].unique()]


def lightgbm_trees(booster):
    names = booster.feature_name()

    def node(part):
        if "leaf_value" in part:
            return Node(part.get("leaf_count", 1), value=part["leaf_value"])
        border, default_left = part["threshold"], part["default_left"]
        assert part["decision_type"] == "<="
        return Node(
            part["internal_count"],
            feature=part["split_feature"],
            goes_left=lambda x: default_left if np.isnan(x) else x <= border,
            left=node(part["left_child"]),
            right=node(part["right_child"]),
        )

    dump = booster.dump_model()
    assert dump["feature_names"] == names
    return [node(tree["tree_structure"]) for tree in dump["tree_info"]]


def catboost_trees(dump, output=0, n_outputs=1):
    """``dump``: the model saved as JSON."""
    if "trees" in dump:
        return [_catboost_node(tree, output, n_outputs) for tree in dump["trees"]]
    return [_symmetric(tree, output, n_outputs) for tree in dump["oblivious_trees"]]


def _catboost_node(part, output, n_outputs):
    if "split" not in part:
        values = np.atleast_1d(part["value"])
        return Node(part["weight"], value=values[output])
    left, right = (_catboost_node(part[side], output, n_outputs) for side in ("left", "right"))
    return _catboost_split(part["split"], left, right)


def _symmetric(tree, output, n_outputs):
    values = np.reshape(tree["leaf_values"], (-1, n_outputs))[:, output]
    nodes = [Node(c, value=v) for c, v in zip(tree["leaf_weights"], values)]
    for split in tree["splits"]:  # the first is the lowest bit of a leaf's number
        nodes = [
            _catboost_split(split, left, right) for left, right in zip(nodes[::2], nodes[1::2])
        ]
    return nodes[0]


def _catboost_split(split, left, right):
    border = split["border"]
    return Node(
        left.cover + right.cover,
        feature=split["float_feature_index"],
        goes_left=lambda x: not np.float32(x) > border,
        left=left,
        right=right,
    )


def scikit_learn_tree(tree, target=0, output=0, scale=1.0):
    """``tree``: a ``tree_``; of all its values that of one target and class."""

    def node(i):
        cover = tree.weighted_n_node_samples[i]
        if tree.children_left[i] < 0:
            return Node(cover, value=tree.value[i, target, output] * scale)
        border, missing_left = tree.threshold[i], bool(tree.missing_go_to_left[i])
        return Node(
            cover,
            feature=int(tree.feature[i]),
            goes_left=lambda x: missing_left if np.isnan(x) else np.float32(x) <= border,
            left=node(tree.children_left[i]),
            right=node(tree.children_right[i]),
        )

    return node(0)


def histogram_tree(nodes, bitsets=None):
    """A tree of scikit-learn's HistGradientBoosting.

    ``bitsets``: for each split on categories eight integers, whose bits are the categories that go
    left.
    """

    def test_of(part):
        missing_left, border = bool(part["missing_go_to_left"]), part["num_threshold"]
        if not part["is_categorical"]:
            return lambda x: missing_left if np.isnan(x) else x <= border
        words = [int(word) for word in bitsets[part["bitset_idx"]]]
        known = {code for code in range(256) if words[code // 32] >> (code % 32) & 1}
        return lambda x: missing_left if np.isnan(x) else int(x) in known

    def node(i):
        part = nodes[i]
        if part["is_leaf"]:
            return Node(part["count"], value=part["value"])
        return Node(
            part["count"],
            feature=int(part["feature_idx"]),
            goes_left=test_of(part),
            left=node(part["left"]),
            right=node(part["right"]),
        )

    return node(0)


def shapley_of_deep_trees(trees, rows, width):
    """As `shapley`, leaf by leaf, for trees of many columns; a path asks each of them once.

    A leaf's share in the worth of a coalition is a product over the path, so that the worths of all
    coalitions of a size add up to a coefficient of a polynomial.
    """
    found = np.zeros((len(rows), width))
    for row, values in zip(rows, found):
        for value, path in (leaf for tree in trees for leaf in _leaves(tree, row, ())):
            n = len(path)
            weights = [factorial(k) * factorial(n - 1 - k) / factorial(n) for k in range(n)]
            for feature, known, unknown in path:
                others = np.ones(1)
                for other, one, zero in path:
                    if other != feature:
                        others = np.convolve(others, [zero, one])
                values[feature] += value * (known - unknown) * (weights @ others)
    return found


def _leaves(node, row, path):
    if node.feature is None:
        yield node.value, path
        return
    assert node.feature not in {feature for feature, _, _ in path}
    left = float(node.goes_left(row[node.feature]))
    for side, reached in ((node.left, left), (node.right, 1.0 - left)):
        step = (node.feature, reached, side.cover / node.cover)
        yield from _leaves(side, row, (*path, step))
