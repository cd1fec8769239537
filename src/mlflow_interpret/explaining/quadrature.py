"""Path-dependent Shapley values of trees, by shapiq's QuadratureTreeSHAP, for many rows at once.

The values of Lundberg et al. (2020), algorithm 1, as integrals of polynomials that Gauss-Legendre
quadrature solves exactly (Wettenstein et al., 2026, in shapiq); unlike the algorithm of shap's tree
explainer it stays exact however deep the trees are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from mlflow_interpret.errors import CannotExplainError, one_line
from mlflow_interpret.explaining.coding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.contributions import check_shapes, matching_scale
from mlflow_interpret.explaining.models import Predictor
from mlflow_interpret.explaining.prepared import Block
from mlflow_interpret.explaining.tables import Table
from mlflow_interpret.explaining.trees import Nodes, Trees, tree_notes, trees_of
from mlflow_interpret.records import FloatArray

TREE_ROWS = 2_000
_FEWEST_ROWS = 20
_STEPS = 125_000_000
"""Nodes that an explanation visits by default, at most; a core does some 25 million a second."""
_POINTS = 12
"""Points of the quadrature, at most. Half as many as a path has features are exact; with 10 the
error was that of rounding on paths of 229 features."""
_NODES = 1_000_000  # of the trees that are converted at once, which takes some 300 bytes for each


class Quadrature:
    """The trees of a scikit-learn model, ready for any rows.

    Raises:
        CannotExplainError: The model is none of its tree ensembles, or shapiq is not there.
    """

    method = "shap_tree"
    engine = "shapiq, QuadratureTreeSHAP"
    background_rows = None

    def __init__(self, predictor: Predictor) -> None:
        if find_spec("shapiq") is None:
            raise CannotExplainError("shapiq is not installed")
        self._predictor = predictor
        trees = trees_of(predictor.model)
        try:
            self._trees = TreeValues(trees)
        except Exception as error:
            raise CannotExplainError(f"shapiq failed: {one_line(error)}") from error

    @property
    def ceiling(self) -> int:
        """As `Prepared` has it, like all that follows."""
        return int(np.clip(_STEPS // max(self._trees.n_steps, 1), _FEWEST_ROWS, TREE_ROWS))

    @property
    def notes(self) -> tuple[str, ...]:  # noqa: D102
        return tree_notes(self._predictor.model)

    def explain(self, rows: Table, scale: str | None = None) -> Block:
        """As `Prepared` has it."""
        if not is_numeric(rows.frame):
            raise CannotExplainError(NOT_NUMBERS)
        predictor = self._predictor
        local, expected = self._trees.explain(numbers(rows.frame)), self._trees.expected
        if predictor.blocks is None and len(local) == 1:
            local = local[0]
        check_shapes(predictor, local, expected)
        if scale is None:
            scale, outputs = matching_scale(predictor, rows, local, expected)
        else:
            outputs = predictor.output(scale)(rows.original)
        return Block(local, expected, outputs, scale)


@dataclass(frozen=True, eq=False)
class _Kernel:
    """Some trees as shapiq's compiled function takes them.

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
        quadrature_tree_shap(
            *self.before, np.ascontiguousarray(numbers[:, self.features]), out, *self.after
        )
        found[:, self.features] += out


class TreeValues:
    """The contributions to the outputs of trees; needs shapiq.

    Attributes:
        expected: ``(n_outputs,)`` the outputs where no feature is known.
        n_steps: How many nodes are visited for a row.
    """

    def __init__(self, trees: Trees) -> None:
        self._mix, self._single = trees.mix, trees.single_precision
        self._kernels: list[list[_Kernel]] = []
        self.n_steps = 0
        sums = np.zeros(trees.values.shape[1])
        for k in range(len(sums)):
            own = trees.of_sum(k)
            self.n_steps += len(own.left)
            kernels = []
            for kernel, expected in _kernels(own):
                sums[k] += expected
                kernels += [] if kernel is None else [kernel]
            self._kernels.append(kernels)
        self.expected: FloatArray = trees.mix @ sums + trees.offset

    def explain(self, numbers: FloatArray) -> FloatArray:
        """``(n_outputs, n_rows, n_features)`` contributions in ``(n_rows, n_features)`` rows."""
        if self._single:
            numbers = numbers.astype(np.float32).astype(np.float64)
        sums = np.zeros((len(self._kernels), *numbers.shape))
        for found, kernels in zip(sums, self._kernels, strict=True):
            for kernel in kernels:
                kernel.add_values(numbers, found)
        return np.tensordot(self._mix, sums, axes=1)


def _kernels(trees: Trees) -> Iterator[tuple[_Kernel | None, float]]:
    """Some trees of one sum after the others, and what they add where no feature is known."""
    ends = np.append(trees.roots[1:], len(trees.left))
    alone = ends - trees.roots == 1
    yield None, float(trees.values[trees.roots[alone], 0].sum())
    some: list[slice] = []
    for start, end in zip(trees.roots[~alone], ends[~alone], strict=True):
        if some and end - some[0].start > _NODES:
            yield _kernel(trees, some)
            some = []
        some.append(slice(int(start), int(end)))
    if some:
        yield _kernel(trees, some)


def _kernel(trees: Trees, places: list[slice]) -> tuple[_Kernel, float]:
    from shapiq.tree import QuadratureTreeSHAP

    explainer = QuadratureTreeSHAP([_model(trees, place) for place in places])
    # Explaining a row prepares the arguments of the compiled function. That takes many rows, but
    # shapiq itself gives it one at a time and makes a dictionary of what it finds.
    explainer._explain_cpp(np.zeros(len(explainer._relevant_features)))
    arguments = explainer._kernel_args
    before, after = list(arguments[:18]), arguments[18:]
    if len(before[11]) > _POINTS:
        points, weights = np.polynomial.legendre.leggauss(_POINTS)
        before[11:13] = (points + 1.0) / 2.0, weights / 2.0
    kernel = _Kernel(tuple(before), after, explainer._relevant_features)
    return kernel, float(explainer.empty_prediction)


def _model(trees: Trees, place: slice) -> Any:
    from shapiq.tree.base import TreeModel

    left, right = trees.left[place], trees.right[place]
    left = np.where(left < 0, -1, left - place.start)
    right = np.where(right < 0, -1, right - place.start)
    return TreeModel(
        children_left=left,
        children_right=right,
        children_missing=np.where(trees.missing_left[place], left, right),
        features=trees.feature[place],
        thresholds=trees.threshold[place],
        values=trees.values[place, 0].copy(),
        node_sample_weight=trees.cover[place].copy(),
    )
