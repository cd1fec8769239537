"""What engines compute, and the check that it adds up to an output of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.model_adapter import ModelAdapter

TREES_NOTE = (
    "Tree SHAP in its path-dependent form: an unknown feature is averaged over the training rows "
    "that reached the same node, not over all background rows."
)

_TOLERANCE = 1e-3
"""Of the contributions' size: by so much their sum may miss the model's output."""
_ROUNDING = 1e-6
"""The same of the output's size, for models that compute in single precision."""


@dataclass(frozen=True, eq=False)
class EngineeredAttributions:
    """The contributions of a pipeline's engineered columns, for the explained rows.

    Attributes:
        rows: The rows as the last step takes them.
        local_values: As those of `AttributionResult`, by engineered column.
    """

    rows: RowBatch
    local_values: FloatArray


@dataclass(frozen=True, eq=False)
class AttributionResult:
    """What an engine computed for some rows.

    Attributes:
        method: The method in interpret-community's style, such as ``shap_tree``.
        engine: The code that computed them.
        local_values: ``(n_outputs, n_rows, n_features)``, or ``(n_rows, n_features)`` without
            blocks: see `ModelAdapter.output_names`.
        expected_values: ``(n_outputs,)`` or ``(1,)``.
        scale: The model output that the values add up to.
        additivity_error: The largest absolute difference between that output and the values' sum.
        rows: The positions of the explained rows among those that were given.
        background_rows: How many background rows the method used, None for none.
        sampling_error: Standard errors of the local values, where the engine samples coalitions;
            shaped as they are.
        engineered: The same by engineered column, where a pipeline was taken apart.
        notes: What was approximated, in sentences.
        stopped: Why no more rows were explained: ``all rows``, ``settled``, ``max_rows`` or
            ``time_budget``.
        settled: Whether the ranking of the leading features is, by these rows.
        partial: A time budget left rows or permutations out.
    """

    method: str
    engine: str
    local_values: FloatArray
    expected_values: FloatArray
    scale: str
    additivity_error: float
    rows: Indices
    background_rows: int | None
    sampling_error: FloatArray | None = None
    engineered: EngineeredAttributions | None = None
    notes: tuple[str, ...] = ()
    stopped: str = "all rows"
    settled: bool = True
    partial: bool = False

    @property
    def breach(self) -> str | None:
        """What to warn of where the values' sums miss the model's output by more than rounding."""
        size = np.abs(self.local_values).sum(axis=-1).max(initial=0.0)
        allowed = _TOLERANCE * size + _ROUNDING * (size + np.abs(self.expected_values).max())
        if self.additivity_error <= allowed:
            return None
        return (
            f"The contributions miss the model's output by up to {self.additivity_error:.3g} "
            f"(they themselves add up to {size:.3g} at most)."
        )


def check_shapes(adapter: ModelAdapter, local: FloatArray, expected: FloatArray) -> None:
    """See that there is one block for each of the model's.

    Raises:
        CannotExplainError: There is not.
    """
    blocks = adapter.output_names
    fits = (
        local.ndim == 2 and len(expected) == 1
        if blocks is None
        else local.ndim == 3 and len(local) == len(expected) == len(blocks)
    )
    if not fits:
        wanted = "one output" if blocks is None else f"{len(blocks)} outputs or classes"
        raise CannotExplainError(f"contributions of shape {local.shape} for {wanted}")


def matching_scale(
    adapter: ModelAdapter, rows: RowBatch, local: FloatArray, expected: FloatArray
) -> tuple[str | None, FloatArray]:
    """The model output that the values add up to; None and the one that they miss by least.

    Raises:
        CannotExplainError: The model has no output for these rows.
    """
    best: tuple[float, FloatArray] | None = None
    for scale, output in adapter.outputs():
        try:
            outputs = output(rows.original)
        except Exception:  # noqa: S112 - a model without this output; the next one is tried
            continue
        missed = difference(local, expected, outputs)
        if is_sum(local, outputs, missed):
            return adapter.scale_of(scale, outputs, rows.original), outputs
        if best is None or missed < best[0]:
            best = missed, outputs
    if best is None:
        raise CannotExplainError(f"{adapter.name} cannot predict the rows it was given")
    return None, best[1]


def is_sum(local: FloatArray, outputs: FloatArray, missed: float) -> bool:
    """Whether the values' sum misses the output by rounding only."""
    size = np.abs(local).sum(axis=-1).max(initial=0.0)
    return bool(missed <= _TOLERANCE * size + _ROUNDING * np.abs(outputs).max(initial=0.0))


def difference(local: FloatArray, expected: FloatArray, outputs: FloatArray) -> float:
    """The largest absolute difference between the values' sum and ``outputs``.

    ``outputs`` is ``(n_rows,)`` or ``(n_rows, n_outputs)``.
    """
    sums = local.sum(axis=-1) + (expected[:, None] if local.ndim == 3 else expected)
    missed = np.abs((sums.T if local.ndim == 3 else sums) - outputs).max(initial=0.0)
    return float(missed) if np.isfinite(missed) else float("inf")
