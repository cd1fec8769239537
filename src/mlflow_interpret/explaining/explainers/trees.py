"""Path-dependent Shapley values of trees by shapiq's QuadratureTreeSHAP.

The values of Lundberg et al. (2020), algorithm 1, as integrals of polynomials that Gauss-Legendre
quadrature solves exactly (Wettenstein et al., 2026, in shapiq). They stay exact for deep trees,
unlike those of shap's algorithm.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.explainers.additivity import attributions_of
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    refuse_given_background,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.shapiq_kernel import (
    Kernel,
    PairKernel,
    TreePaths,
)
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.sklearn_trees import (
    is_tree_ensemble,
    tree_cells,
    tree_notes,
    trees_of,
)
from mlflow_interpret.explaining.tree_nodes import Nodes, Trees

MAX_ROWS = 2_000
_MIN_ROWS = 20
_STEPS = 125_000_000
"""Default limit of the visited nodes; a core visits some 25 million in a second."""


@register(priority=50)
class TreeExplainer(Explainer):
    """Explains the tree ensembles of scikit-learn; needs shapiq."""

    is_checked = False

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return is_tree_ensemble(adapter.model) and find_spec("shapiq") is not None

    @classmethod
    def import_packages(cls) -> None:  # noqa: D102
        with suppress(Exception):  # the constructor raises the reason
            import_module("shapiq")

    def __init__(self, request: ExplainRequest) -> None:
        refuse_given_background(request)
        model = request.adapter.model
        self._adapter = request.adapter
        trees = trees_of(model)
        try:  # a single row, to notice an incompatible shapiq while another explainer can be tried
            self._trees = TreeValues(trees)
            self._trees.explain(np.zeros((1, trees.feature.max() + 1)))
        except Exception as error:
            raise CannotExplainError("shapiq failed", error) from error
        self.info = ExplainerInfo(
            method="shap_tree",
            implementation="shapiq, QuadratureTreeSHAP",
            max_rows=self._rows_within(_STEPS),
            rows_in_full=self._rows_within(_STEPS // 5),
            notes=(*tree_notes(model), *weight_notes(request.background, of_trees=True)),
            is_parallel=True,
            capacity=max(1, _STEPS // max(self._trees.n_steps, 1)),
        )

    def _rows_within(self, steps: int) -> int:
        return int(np.clip(steps // max(self._trees.n_steps, 1), _MIN_ROWS, MAX_ROWS))

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        cells = tree_cells(self._adapter.model, batch)
        values, expected = self._trees.explain(cells), self._trees.expected
        return attributions_of(self._adapter, batch, values, expected, scale)

    def interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:  # noqa: D102
        return self._interactions.explain(tree_cells(self._adapter.model, batch), columns)

    @cached_property
    def _interactions(self) -> TreeInteractions:
        return TreeInteractions(trees_of(self._adapter.model))


class TreeValues:
    """The attributions of the outputs of trees.

    Args:
        trees: The trees of a model.

    Attributes:
        expected: ``(n_outputs,)`` outputs if no feature is known.
        n_steps: Number of nodes that are visited for a row.
    """

    def __init__(self, trees: Trees) -> None:
        self._mix, self._single_precision = trees.mix, trees.single_precision
        self._kernels = []
        self.n_steps = 0
        sums = np.zeros(trees.values.shape[1])
        for k in range(len(sums)):
            pruned = trees.of_sum(k)
            self.n_steps += len(pruned.left)
            paths = _paths(pruned)
            sums[k] = (paths.reached * pruned.values[:, 0])[pruned.left < 0].sum()
            if paths.n_features:
                self._kernels.append((k, Kernel.of(pruned, paths)))
        self.expected: FloatArray = trees.mix @ sums + trees.offset

    def explain(self, cells: FloatArray) -> FloatArray:
        """Compute ``(n_outputs, n_rows, n_features)`` attributions.

        Args:
            cells: ``(n_rows, n_features)`` rows.
        """
        if self._single_precision:
            cells = cells.astype(np.float32).astype(np.float64)
        sums = np.zeros((self._mix.shape[1], *cells.shape))
        for k, kernel in self._kernels:
            kernel.add_values(cells, sums[k])
        return np.tensordot(self._mix, sums, axes=1)


class TreeInteractions:
    """The interactions of columns in the outputs of trees.

    Args:
        trees: The trees of a model.
    """

    def __init__(self, trees: Trees) -> None:
        self._mix, self._single_precision = trees.mix, trees.single_precision
        self._kernels = []
        for k in range(trees.values.shape[1]):
            pruned = trees.of_sum(k)
            paths = _paths(pruned)
            if paths.n_features > 1:
                self._kernels.append((k, PairKernel.of(pruned, paths)))

    def explain(self, cells: FloatArray, columns: Indices) -> FloatArray:
        """Compute ``(n_outputs, n_rows, k, k)`` interactions; see `Explainer.interactions`.

        Args:
            cells: ``(n_rows, n_features)`` rows.
            columns: ``(k,)`` columns.
        """
        if self._single_precision:
            cells = cells.astype(np.float32).astype(np.float64)
        n_sums, n_columns = self._mix.shape[1], len(columns)
        sums = np.zeros((n_sums, len(cells), n_columns, n_columns))
        for k, kernel in self._kernels:
            kernel.add_interactions(cells, columns, sums[k])
        return 0.5 * np.tensordot(self._mix, sums, axes=1)


def _paths(trees: Trees) -> TreePaths:
    n = len(trees.left)
    split = np.flatnonzero(trees.left >= 0)
    parents = np.full(n, -1)
    parents[trees.left[split]] = parents[trees.right[split]] = split
    earlier = _earlier(parents, trees.feature)
    unknown, reached, n_columns = np.ones(n), np.ones(n), np.zeros(n, dtype=int)
    levels = trees.levels()
    for nodes in levels[1:]:
        above, same = parents[nodes], earlier[nodes]
        total = trees.cover[above]
        # The share of a node must not be 0: half of the rows if no training row reached the split.
        share = np.divide(trees.cover[nodes], total, out=np.full(len(nodes), 0.5), where=total > 0)
        share = np.maximum(share, 1e-300)
        unknown[nodes] = share * np.where(same >= 0, unknown[same], 1.0)
        reached[nodes] = share * reached[above]
        n_columns[nodes] = n_columns[above] + (same < 0)
    return TreePaths(parents, earlier, unknown, reached, int(n_columns.max()), len(levels) - 1)


def _earlier(parents: Nodes, feature: Nodes) -> Nodes:
    """``(n_nodes,)`` closest node above that a split on the same column leads to, or -1."""
    columns = np.where(parents >= 0, feature[parents], -1)  # of the split that leads to the node
    earlier = np.full(len(parents), -1)
    nodes = np.flatnonzero(parents >= 0)
    above = parents[nodes]
    while len(nodes):
        is_inner = parents[above] >= 0
        nodes, above = nodes[is_inner], above[is_inner]
        same = columns[above] == columns[nodes]
        earlier[nodes[same]] = above[same]
        nodes, above = nodes[~same], parents[above[~same]]
    return earlier
