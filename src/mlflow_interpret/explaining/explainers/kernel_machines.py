"""Support vector machines and Gaussian processes with product kernels, exactly.

With a Gaussian or Laplacian kernel, the output is a weighted sum of products, each with a factor
for every column. The interventional Shapley values of a product against one background row are an
integral over the share ``t`` of known columns, by the multilinear extension of Owen (1972): with
factors ``a`` of the row and ``c`` of the background row,

    value_j = integral from 0 to 1 of (a_j - c_j) * prod_{l != j} (t * a_l + (1 - t) * c_l) dt.

The integrand is a polynomial, which Gauss-Legendre quadrature integrates exactly.
"""

from __future__ import annotations

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.additivity import values_per_output
from mlflow_interpret.explaining.explainers.base import (
    ExplainerInfo,
    ExplainRequest,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.closed_form import ClosedFormExplainer
from mlflow_interpret.explaining.explainers.linear import linear_output
from mlflow_interpret.explaining.explainers.permutation import BACKGROUND_ROWS
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.sklearn_kernels import KernelSum, ProductKernel, kernel_sum

MAX_ROWS = 1_000
_MIN_ROWS = 20
_STEPS = 1_000_000_000
"""Default limit of factors x background rows x quadrature nodes; some 2 * 10^8 take a second."""
_CELLS = 20_000
"""Number of factors that are computed at a time, so that they stay in the processor's cache."""
_CHECKED_ROWS = 5
_TINY = float(np.finfo(np.float64).tiny)


@register(priority=56)
class KernelMachineExplainer(ClosedFormExplainer):
    """Explains models whose output is a weighted sum of product kernels."""

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return kernel_sum(adapter.model) is not None

    def __init__(self, request: ExplainRequest) -> None:
        self._adapter = request.adapter
        machine = kernel_sum(request.adapter.model)
        if machine is None or not is_numeric(request.background.frame):
            raise CannotExplainError(NOT_NUMBERS)
        picked = sample_rows(len(request.background), BACKGROUND_ROWS, request.plan.random_state)
        background = request.background.subset(picked)
        self._kernels = ProductKernelValues(machine, numbers(background.frame), background.weights)
        n_rows = _STEPS // self._kernels.steps_per_row
        if n_rows < _MIN_ROWS:
            raise CannotExplainError(
                f"its {len(machine.points):,} support vectors or training rows are too many for "
                "exact values"
            )
        checked = background.subset(slice(_CHECKED_ROWS))
        self._scale, self._expected = linear_output(
            self._adapter, checked.original, self._values(checked), form="a sum of its kernels"
        )
        max_rows = int(np.clip(n_rows, _MIN_ROWS, MAX_ROWS))
        self.info = ExplainerInfo(
            method="shap_product_kernel",
            implementation="mlflow-interpret, product kernels by exact quadrature",
            max_rows=max_rows,
            rows_in_full=int(np.clip(n_rows // 5, _MIN_ROWS, MAX_ROWS)),
            background_rows=len(background),
            notes=weight_notes(background),
            is_parallel=True,
        )

    def _values(self, batch: RowBatch) -> FloatArray:
        values = values_per_output(self._adapter, self._kernels.explain(numbers(batch.frame)))
        return values[0] if self._adapter.output_names is None else values


class ProductKernelValues:
    """The attributions of weighted sums of product kernels against background rows.

    Args:
        machine: The sums.
        background: ``(n_background, n_columns)`` background rows.
        weights: ``(n_background,)`` weights of the background rows, None for equal ones.

    Attributes:
        steps_per_row: Number of factors that are computed for a row.
    """

    def __init__(
        self, machine: KernelSum, background: FloatArray, weights: FloatArray | None
    ) -> None:
        self._machine, self._background = machine, background
        shares = np.ones(len(background)) if weights is None else weights
        self._shares = shares / shares.sum()
        n_columns = background.shape[1]
        # n nodes are exact up to degree 2 n - 1; the integrand has degree n_columns - 1.
        nodes, node_weights = np.polynomial.legendre.leggauss((n_columns + 1) // 2)
        self._nodes, self._node_weights = (nodes + 1) / 2, node_weights / 2
        n_factors = machine.points.size * len(background)
        self.steps_per_row = n_factors * len(nodes) * len(machine.kernels)

    def explain(self, cells: FloatArray) -> FloatArray:
        """Compute ``(n_margins, n_rows, n_columns)`` attributions.

        Args:
            cells: ``(n_rows, n_columns)`` rows.
        """
        machine = self._machine
        values = np.zeros((len(machine.weights), *cells.shape))
        n_points = max(1, _CELLS // max(self._background.size, 1))
        for start in range(0, len(machine.points), n_points):
            part = slice(start, start + n_points)
            points, weights = machine.points[part], machine.weights[:, part]
            for kernel in machine.kernels:
                unknown = _factors(kernel, self._background[:, None], points)
                for row, row_cells in enumerate(cells):
                    known = _factors(kernel, row_cells[None, None], points)
                    values[:, row] += kernel.constant * self._of_row(known, unknown, weights)
        return values

    def _of_row(self, known: FloatArray, unknown: FloatArray, weights: FloatArray) -> FloatArray:
        """The values of a row.

        Args:
            known: ``(n_columns, 1, n_points)`` factors of the row.
            unknown: ``(n_columns, n_background, n_points)`` factors of the background rows.
            weights: ``(n_margins, n_points)`` weights of the points.

        Returns:
            ``(n_margins, n_columns)`` values.
        """
        difference = known - unknown
        others = np.zeros_like(difference)  # the integrals of the products of the other factors
        factors = np.empty_like(difference)
        for node, node_weight in zip(self._nodes, self._node_weights, strict=True):
            np.multiply(difference, node, out=factors)
            factors += unknown
            product = node_weight * factors.prod(axis=0)
            others += np.divide(product, factors, out=factors)
        others *= difference
        values: FloatArray = weights @ (self._shares @ others).T
        return values


def _factors(kernel: ProductKernel, x: FloatArray, points: FloatArray) -> FloatArray:
    """``(n_columns, n_rows, n_points)`` factors of ``(n_rows, 1, n_columns)`` rows.

    Factors far from a point underflow to 0, by which the product cannot be divided.
    """
    factors = np.moveaxis(kernel.factors(x, points), 2, 0)
    return np.maximum(np.ascontiguousarray(factors), _TINY)
