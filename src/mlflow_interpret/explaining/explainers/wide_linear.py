"""Linear models behind vectorizers in closed form, with sparse tables of many columns.

The values are those of `linear`. The table of the words of some thousand texts would have a billion
cells, so it stays sparse: the values are exact by raw column, and by engineered column for the
leading ones. The other engineered columns are summed up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import distinct_names
from mlflow_interpret.core.statistics import FloatArray, rank
from mlflow_interpret.explaining.attributions import Attributions, EngineeredAttributions
from mlflow_interpret.explaining.batch import RowBatch, as_batch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.linear import (
    CHECKED_ROWS,
    MAX_ROWS,
    coefficients_of,
    linear_coefficients,
    linear_output,
)
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.pipeline_split import split_pipeline, split_steps
from mlflow_interpret.explaining.step_sources import apply_steps

LEADING = 900
"""Number of engineered columns that are explained one by one."""
_CELLS = 20_000_000
"""Limit of the attributions of all explained rows by engineered column."""
_MIN_ROWS = 20
_NOTE = f"By engineered column, the {LEADING} leading ones are kept, and the sum of the others."


@register(priority=95)
class WideLinearExplainer(Explainer):
    """Explains pipelines that end in a linear model of more than `LEADING` columns."""

    is_checked = False
    is_additive = True

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        if not hasattr(adapter.model, "steps"):
            return False
        coefficients = linear_coefficients(split_steps(adapter.model)[1])
        shape: tuple[int, ...] = getattr(coefficients, "shape", ())
        return len(shape) > 0 and shape[-1] > LEADING

    def __init__(self, request: ExplainRequest) -> None:
        sample = request.background if request.sample is None else request.sample
        self._parts = split_pipeline(request.adapter, sample)
        self._adapter = self._parts.last
        engineered, cells = self._engineer(request.background)
        self._coefficients = coefficients_of(self._adapter, cells.shape[1])
        weights = request.background.weights
        weights = np.ones(cells.shape[0]) if weights is None else weights
        self._mean: FloatArray = (weights / weights.sum()) @ cells
        n_raw = request.background.frame.shape[1]
        self._by_raw_column = _sums(self._parts.raw_columns(n_raw), n_raw)
        checked = slice(CHECKED_ROWS)
        self._scale, self._expected = linear_output(
            self._adapter,
            engineered[checked],
            self._values(cells[checked]),
            self._coefficients @ self._mean,
        )
        self._leading = _leading_columns(cells, self._coefficients, self._mean)
        self._names = _names(self._parts.lineage.names, self._leading, cells.shape[1])
        n_cells = len(self._coefficients) * len(self._names)
        self.info = ExplainerInfo(
            method="shap_linear",
            implementation="mlflow-interpret, linear in closed form, sparse",
            max_rows=max(_MIN_ROWS, min(MAX_ROWS, _CELLS // n_cells)),
            background_rows=len(request.background),
            notes=(*self._parts.notes(), _NOTE, *weight_notes(request.background)),
        )

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002, D102
        engineered, cells = self._engineer(batch)
        return Attributions(
            self._values(cells),
            self._expected,
            self._adapter.output(self._scale)(engineered),
            self._scale,
            engineered=self._engineered_view(cells, batch.numbers),
        )

    def _engineer(self, batch: RowBatch) -> tuple[Any, sparse.csr_matrix]:
        """The rows as the last step takes them, and as a sparse table."""
        try:
            engineered = apply_steps(self._parts.front, batch.original)
            engineered = engineered.tocsr() if sparse.issparse(engineered) else engineered
            return engineered, sparse.csr_matrix(engineered, dtype=np.float64)
        except Exception as error:
            raise CannotExplainError(
                f"the steps in front of {self._adapter.name} failed", error
            ) from error

    def _values(self, cells: sparse.csr_matrix) -> FloatArray:
        """Attributions by raw column."""
        outputs = []
        for coefficients in self._coefficients:
            weights = sparse.diags(coefficients) @ self._by_raw_column
            outputs.append((cells @ weights).toarray() - self._mean @ weights)
        return self._by_output(outputs)

    def _engineered_view(
        self, cells: sparse.csr_matrix, numbers: Indices
    ) -> EngineeredAttributions:
        """Attributions of the leading columns, and the sum of those of the others."""
        leading = cells[:, self._leading].toarray()
        differences = leading - self._mean[self._leading]
        outputs = []
        for coefficients in self._coefficients:
            values = coefficients[self._leading] * differences
            total = cells @ coefficients - self._mean @ coefficients
            outputs.append(np.column_stack([values, total - values.sum(axis=1)]))
        # The cell of the others is the number of those that are not 0.
        others = np.diff(cells.indptr) - np.count_nonzero(leading, axis=1)
        table = np.column_stack([leading, others])
        rows = replace(as_batch(table, self._names, table), numbers=numbers)
        return EngineeredAttributions(rows, self._by_output(outputs))

    def _by_output(self, outputs: list[FloatArray]) -> FloatArray:
        return outputs[0] if self._adapter.output_names is None else np.stack(outputs)


def _sums(raw_columns: Indices, n_raw: int) -> sparse.csr_matrix:
    """``(n_engineered, n_raw)`` ones where an engineered column is made of a raw column."""
    columns = np.flatnonzero(raw_columns < n_raw)
    return sparse.csr_matrix(
        (np.ones(len(columns)), (columns, raw_columns[columns])), shape=(len(raw_columns), n_raw)
    )


def _leading_columns(
    cells: sparse.csr_matrix, coefficients: FloatArray, mean: FloatArray
) -> Indices:
    """``(LEADING,)`` columns with the largest importances over the background, ascending."""
    entries = cells.tocoo()
    distances = np.bincount(
        entries.col, weights=np.abs(entries.data - mean[entries.col]), minlength=len(mean)
    )
    n_zeros = cells.shape[0] - np.bincount(entries.col, minlength=len(mean))
    importances = np.abs(coefficients).mean(axis=0) * (distances + n_zeros * np.abs(mean))
    return np.sort(rank(importances)[:LEADING])


def _names(names: tuple[str, ...], leading: Indices, n_columns: int) -> tuple[str, ...]:
    others = f"{n_columns - len(leading):,} other columns"
    return distinct_names([*(names[column] for column in leading), others])
