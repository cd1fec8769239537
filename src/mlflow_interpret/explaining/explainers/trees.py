"""Path-dependent Shapley values of trees, by shapiq's QuadratureTreeSHAP, for many rows at once.

The values of Lundberg et al. (2020), algorithm 1, as integrals of polynomials that Gauss-Legendre
quadrature solves exactly (Wettenstein et al., 2026, in shapiq); unlike the algorithm of shap's tree
explainer it stays exact however deep the trees are.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.additivity import check_shapes, matching_scale
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    register,
)
from mlflow_interpret.explaining.explainers.tree_nodes import (
    Nodes,
    Trees,
    is_tree_ensemble,
    tree_notes,
    trees_of,
)
from mlflow_interpret.explaining.model_adapter import ModelAdapter

MAX_ROWS = 2_000
_MIN_ROWS = 20
_STEPS = 125_000_000
"""Nodes that an explanation visits by default, at most; a core does some 25 million a second."""
_POINTS = 12
"""Points of the quadrature, at most. Half as many as a path has features are exact; with 10 the
error was that of rounding on paths of 229 features."""


@register(priority=50)
class TreeExplainer(Explainer):
    """Explains the tree ensembles of scikit-learn; needs shapiq."""

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return find_spec("shapiq") is not None and is_tree_ensemble(adapter.model)

    def __init__(self, request: ExplainRequest) -> None:
        model = request.adapter.model
        self._adapter = request.adapter
        trees = trees_of(model)
        try:  # a single row, to notice an incompatible shapiq while another explainer can be tried
            self._trees = TreeValues(trees)
            self._trees.explain(np.zeros((1, model.n_features_in_)))
        except Exception as error:
            raise CannotExplainError("shapiq failed", error) from error
        self.info = ExplainerInfo(
            method="shap_tree",
            implementation="shapiq, QuadratureTreeSHAP",
            max_rows=self._affordable_rows(_STEPS),
            rows_in_full=self._affordable_rows(_STEPS // 5),
            notes=tree_notes(model),
            is_parallel=True,
        )

    def _affordable_rows(self, steps: int) -> int:
        return int(np.clip(steps // max(self._trees.n_steps, 1), _MIN_ROWS, MAX_ROWS))

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        if not is_numeric(batch.frame):
            raise CannotExplainError(NOT_NUMBERS)
        adapter = self._adapter
        values, expected = self._trees.explain(numbers(batch.frame)), self._trees.expected
        if adapter.output_names is None and len(values) == 1:
            values = values[0]
        check_shapes(adapter, values, expected)
        if scale is None:
            scale, outputs = matching_scale(adapter, batch, values, expected)
        else:
            outputs = adapter.output(scale)(batch.original)
        return Attributions(values, expected, outputs, scale)


class TreeValues:
    """The contributions to the outputs of trees; needs shapiq.

    Attributes:
        expected: ``(n_outputs,)`` the outputs where no feature is known.
        n_steps: How many nodes are visited for a row.
    """

    def __init__(self, trees: Trees) -> None:
        self._mix, self._single = trees.mix, trees.single_precision
        self._kernels = []
        self.n_steps = 0
        sums = np.zeros(trees.values.shape[1])
        for k in range(len(sums)):
            own = trees.of_sum(k)
            self.n_steps += len(own.left)
            paths = _paths(own)
            sums[k] = (paths.reached * own.values[:, 0])[own.left < 0].sum()
            if paths.n_features:
                self._kernels.append((k, _kernel(own, paths)))
        self.expected: FloatArray = trees.mix @ sums + trees.offset

    def explain(self, numbers: FloatArray) -> FloatArray:
        """``(n_outputs, n_rows, n_features)`` contributions in ``(n_rows, n_features)`` rows."""
        if self._single:
            numbers = numbers.astype(np.float32).astype(np.float64)
        sums = np.zeros((self._mix.shape[1], *numbers.shape))
        for k, kernel in self._kernels:
            kernel.add_values(numbers, sums[k])
        return np.tensordot(self._mix, sums, axes=1)


@dataclass(frozen=True, eq=False)
class _Paths:
    """What is above the nodes of some trees.

    Attributes:
        parents: ``(n_nodes,)`` the node above, -1 above a root.
        earlier: ``(n_nodes,)`` the closest node above that was reached by the same column, or -1.
        unknown: ``(n_nodes,)`` the share of the training rows that passes all splits of the column
            which leads to the node.
        reached: ``(n_nodes,)`` the share that passes all splits above.
        n_features: The columns that a path asks for, at most.
        depth: The splits of a path, at most.
    """

    parents: Nodes
    earlier: Nodes
    unknown: FloatArray
    reached: FloatArray
    n_features: int
    depth: int


def _paths(trees: Trees) -> _Paths:
    n = len(trees.left)
    split = np.flatnonzero(trees.left >= 0)
    parents = np.full(n, -1)
    parents[trees.left[split]] = parents[trees.right[split]] = split
    earlier = _earlier(parents, trees.feature)
    unknown, reached, asked = np.ones(n), np.ones(n), np.zeros(n, dtype=int)
    levels = trees.levels()
    for nodes in levels[1:]:
        above, same = parents[nodes], earlier[nodes]
        total = trees.cover[above]
        # A node that no training row reached counts as a half, and never as nothing.
        share = np.divide(trees.cover[nodes], total, out=np.full(len(nodes), 0.5), where=total > 0)
        share = np.maximum(share, 1e-300)
        unknown[nodes] = share * np.where(same >= 0, unknown[same], 1.0)
        reached[nodes] = share * reached[above]
        asked[nodes] = asked[above] + (same < 0)
    return _Paths(parents, earlier, unknown, reached, int(asked.max()), len(levels) - 1)


def _earlier(parents: Nodes, feature: Nodes) -> Nodes:
    by = np.where(parents >= 0, feature[parents], -1)  # the column that leads to a node
    found = np.full(len(parents), -1)
    nodes = np.flatnonzero(parents >= 0)
    above = parents[nodes]
    while len(nodes):
        open_ = parents[above] >= 0
        nodes, above = nodes[open_], above[open_]
        same = by[above] == by[nodes]
        found[nodes[same]] = above[same]
        nodes, above = nodes[~same], parents[above[~same]]
    return found


@dataclass(frozen=True, eq=False)
class _Kernel:
    """Trees as shapiq's compiled function takes them.

    Attributes:
        before: Its arguments in front of the rows.
        after: Those behind the result.
        features: ``(n,)`` the columns that the trees ask for.
    """

    before: tuple[Any, ...]
    after: tuple[Any, ...]
    features: Nodes

    def add_values(self, numbers: FloatArray, found: FloatArray) -> None:
        """Add the contributions in ``numbers`` to ``found``, both ``(n_rows, n_features)``."""
        from shapiq.tree.quadrature.cext import quadrature_tree_shap

        out = np.zeros((len(numbers), len(self.features)))
        cells = np.ascontiguousarray(numbers[:, self.features])
        quadrature_tree_shap(*self.before, cells, out, *self.after)
        found[:, self.features] += out


def _kernel(trees: Trees, paths: _Paths) -> _Kernel:
    """See the comments on the arguments in shapiq's ``tree/quadrature/cext/cext.cc``."""
    leaf = trees.left < 0
    features, place = np.unique(trees.feature[~leaf], return_inverse=True)
    columns = np.full(len(leaf), -2)
    columns[~leaf] = place
    n_points = min((paths.n_features + 1) // 2, _POINTS)
    points, weights = np.polynomial.legendre.leggauss(n_points)
    nothing = np.zeros(len(leaf), dtype=np.int64)
    before = (
        np.where(leaf, np.nan, trees.threshold),
        *(
            each.astype(np.int32)
            for each in (columns, trees.left, trees.right, paths.parents, paths.earlier)
        ),
        paths.unknown,
        np.where(leaf, trees.values[:, 0], 0.0),
        paths.depth,
        len(leaf),
        trees.roots[~leaf[trees.roots]].astype(np.int32),
        (points + 1.0) / 2.0,
        weights / 2.0,
        len(features),
        1,  # single features alone, no interactions; so their tables are empty
        1,
        np.zeros(0, dtype=np.int32),
        np.zeros(2, dtype=np.int64),
    )
    after = ("<=", np.zeros(0, dtype=np.int64), nothing, nothing, trees.missing_left)
    return _Kernel(before, after, features)
