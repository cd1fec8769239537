"""Attributions of rows, and the check that they add up to an output of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlflow_interpret.core.details import AttributionCheck, Note
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices

if TYPE_CHECKING:
    from mlflow_interpret.explaining.aggregates import Aggregates
    from mlflow_interpret.explaining.explainers.base import Explainer

_TOLERANCE = 1e-3
"""Largest difference between the sums and the output, relative to the size of the attributions."""
_ROUNDING = 1e-6
"""The same relative to the output, for models that compute in single precision."""


def by_output(values: FloatArray) -> FloatArray:
    """``(K, n_rows, F)`` attributions, also for a model with a single output."""
    return values if values.ndim == 3 else values[None]


def sum_pairs(interactions: FloatArray, sources: Indices, columns: Indices) -> FloatArray:
    """Sum interactions of engineered columns up by raw column.

    Args:
        interactions: ``(..., n, n)`` interactions of engineered columns.
        sources: ``(n,)`` raw column of each engineered column.
        columns: ``(k,)`` raw columns.

    Returns:
        ``(..., k, k)`` interactions, 0 on the diagonal.
    """
    belongs: FloatArray = (np.asarray(columns)[:, None] == sources).astype(np.float64)
    summed: FloatArray = belongs @ interactions @ belongs.T
    diagonal = np.arange(len(belongs))
    summed[..., diagonal, diagonal] = 0.0
    return summed


@dataclass(frozen=True, eq=False)
class EngineeredAttributions:
    """Attributions of the engineered columns of a pipeline.

    Attributes:
        rows: The engineered rows, as the last step takes them.
        local_values: Attributions by engineered column, shaped as those of `Attributions`.
    """

    rows: RowBatch
    local_values: FloatArray


@dataclass(frozen=True, eq=False)
class Attributions:
    """The attributions of a batch of rows.

    Attributes:
        local_values: ``(n_outputs, n_rows, n_features)``, or ``(n_rows, n_features)`` for a model
            with a single output: see `ModelAdapter.output_names`.
        expected_values: ``(n_outputs,)`` or ``(1,)``; the same for all rows.
        outputs: ``(n_rows, n_outputs)`` or ``(n_rows,)`` outputs of the model, to which the
            attributions should add up.
        scale: Name of that output; None if the attributions add up to no output.
        sampling_error: Standard errors of ``local_values``, in the same shape, if the explainer
            samples coalitions.
        engineered: Attributions by engineered column, for a pipeline that was split.
    """

    local_values: FloatArray
    expected_values: FloatArray
    outputs: FloatArray
    scale: str | None
    sampling_error: FloatArray | None = None
    engineered: EngineeredAttributions | None = None

    @property
    def additivity_error(self) -> float:
        """The largest absolute difference between the sums and the outputs."""
        return additivity_error(self.local_values, self.expected_values, self.outputs)

    @property
    def adds_up(self) -> bool:
        """Whether the attributions add up to an output of the model, up to rounding."""
        return self.scale is not None and is_sum(
            self.local_values, self.outputs, self.additivity_error
        )


@dataclass(frozen=True, eq=False)
class AttributionResult:
    """The attributions of all explained rows, and how they were computed.

    Attributes:
        method: Name of the method in interpret-community's style, such as ``shap_tree``.
        engine: Library and algorithm that computed the values, for the status record.
        local_values: ``(n_outputs, n_rows, n_features)``, or ``(n_rows, n_features)`` for a model
            with a single output.
        expected_values: ``(n_outputs,)`` or ``(1,)``.
        scale: Name of the model output that the values add up to.
        additivity_error: The largest absolute difference between that output and the sums.
        rows: Numbers of the rows, ascending; of partitions those of a sample.
        background_rows: Number of background rows that were used, or None.
        aggregates: Importances of all explained rows and their errors.
        sampling_error: Standard errors of ``local_values``, in the same shape, or None.
        engineered: Attributions by engineered column, for a pipeline that was split.
        notes: Approximations, as sentences.
        stopped: Why no more rows were explained: ``all rows``, ``settled``, ``max_rows`` or
            ``time_budget``.
        has_converged: Whether the ranking of the leading features has converged.
        partial: Whether rows or permutations were left out before the ranking was stable, other
            than by the user's ``max_rows``.
        attribution_check: The check of the attributions of single columns, or None.
        explainer: The explainer.
    """

    method: str
    engine: str
    local_values: FloatArray
    expected_values: FloatArray
    scale: str
    additivity_error: float
    rows: Indices
    background_rows: int | None
    aggregates: Aggregates
    sampling_error: FloatArray | None = None
    engineered: EngineeredAttributions | None = None
    notes: tuple[str | Note, ...] = ()
    stopped: str = "all rows"
    has_converged: bool = True
    partial: bool = False
    attribution_check: AttributionCheck | None = None
    explainer: Explainer | None = None

    @property
    def breach(self) -> str | None:
        """A warning if the sums differ from the model's output by more than rounding."""
        size = np.abs(self.local_values).sum(axis=-1).max(initial=0.0)
        allowed = _TOLERANCE * size + _ROUNDING * (size + np.abs(self.expected_values).max())
        if self.additivity_error <= allowed:
            return None
        return (
            f"The contributions miss the model's output by up to {self.additivity_error:.3g} "
            f"(they themselves add up to {size:.3g} at most)."
        )


def concatenate(batches: Sequence[Attributions]) -> Attributions:
    """Join the attributions of several batches in their order."""
    first = batches[0]
    if len(batches) == 1:
        return first
    scales = {batch.scale for batch in batches}
    errors = [batch.sampling_error for batch in batches if batch.sampling_error is not None]
    return Attributions(
        local_values=np.concatenate([batch.local_values for batch in batches], axis=-2),
        expected_values=first.expected_values,
        outputs=np.concatenate([batch.outputs for batch in batches]),
        # Outputs that differ from the raw score in some rows only still have a link function.
        scale=first.scale if len(scales) == 1 else "raw prediction",
        sampling_error=np.concatenate(errors, axis=-2) if errors else None,
        engineered=_concatenate_engineered([batch.engineered for batch in batches]),
    )


def _concatenate_engineered(
    views: Sequence[EngineeredAttributions | None],
) -> EngineeredAttributions | None:
    present = [view for view in views if view is not None]
    if len(present) < len(views):
        return None
    frame = pd.concat([view.rows.frame for view in present], ignore_index=True)
    nulls = frozenset().union(*(view.rows.nulls for view in present))
    rows = RowBatch(frame, present[0].rows.template, nulls)
    return EngineeredAttributions(
        rows, np.concatenate([view.local_values for view in present], axis=-2)
    )


def reorder(attributions: Attributions, order: Indices) -> Attributions:
    """The same attributions with the rows in another order."""
    view = attributions.engineered
    errors = attributions.sampling_error
    return replace(
        attributions,
        local_values=attributions.local_values[..., order, :],
        outputs=attributions.outputs[order],
        sampling_error=None if errors is None else errors[..., order, :],
        engineered=None if view is None else EngineeredAttributions(
            view.rows.subset(order), view.local_values[..., order, :]
        ),
    )  # fmt: skip


def is_sum(local_values: FloatArray, outputs: FloatArray, error: float) -> bool:
    """Whether the attributions differ from the outputs by rounding only.

    Args:
        local_values: ``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)``.
        outputs: ``(n_rows, n_outputs)`` or ``(n_rows,)``.
        error: The `additivity_error` of both.
    """
    size = np.abs(local_values).sum(axis=-1).max(initial=0.0)
    return bool(error <= _TOLERANCE * size + _ROUNDING * np.abs(outputs).max(initial=0.0))


def additivity_error(
    local_values: FloatArray, expected_values: FloatArray, outputs: FloatArray
) -> float:
    """The largest absolute difference between the sums of the attributions and the outputs.

    Args:
        local_values: ``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)``.
        expected_values: ``(n_outputs,)`` or ``(1,)``.
        outputs: ``(n_rows, n_outputs)`` or ``(n_rows,)``.
    """
    several = local_values.ndim == 3
    sums = local_values.sum(axis=-1) + (expected_values[:, None] if several else expected_values)
    error = np.abs((sums.T if several else sums) - outputs).max(initial=0.0)
    return float(error) if np.isfinite(error) else float("inf")
