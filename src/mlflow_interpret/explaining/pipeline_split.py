"""Split a pipeline into the steps in front and the last step, which is explained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.batch import RowBatch, as_batch
from mlflow_interpret.explaining.column_lineage import Lineage, lineage
from mlflow_interpret.explaining.column_shuffles import UnknownLineageError
from mlflow_interpret.explaining.dataframes import as_rows
from mlflow_interpret.explaining.fitted_models import unwrap
from mlflow_interpret.explaining.model_adapter import PREDICTED_LABEL, ModelAdapter
from mlflow_interpret.explaining.step_sources import apply_steps

_CHECKED_ROWS = 100
"""Number of rows on which a pipeline of another class is compared with its last step."""


@dataclass(frozen=True, eq=False)
class SplitPipeline:
    """A pipeline in which every engineered column has a single raw source.

    Attributes:
        last: The last step, which takes the engineered rows.
        front: The steps in front of it.
        lineage: The sources of the engineered columns.
    """

    last: ModelAdapter
    front: list[tuple[str, Any]]
    lineage: Lineage

    def engineer(self, rows: RowBatch) -> RowBatch:
        """The rows as the last step takes them."""
        engineered = as_rows(apply_steps(self.front, rows.original))
        return replace(
            as_batch(engineered, self.lineage.names, engineered),
            numbers=rows.numbers,
            weights=rows.weights,
        )

    def by_raw_column(self, values: FloatArray, n_raw: int) -> FloatArray:
        """Sum the attributions of engineered columns up by raw column.

        Args:
            values: ``(..., n_engineered)``.
            n_raw: Number of raw columns.

        Returns:
            ``(..., n_raw)``.
        """
        summed = np.zeros((*values.shape[:-1], n_raw))
        for column, sources in enumerate(self.lineage.sources):
            for source in sources:  # a single one, or none for a constant
                summed[..., source] += values[..., column]
        return summed

    def raw_columns(self, n_raw: int) -> npt.NDArray[np.int64]:
        """``(n_engineered,)`` raw column of each engineered column; ``n_raw`` for a constant."""
        raw_column = {sources: next(iter(sources), n_raw) for sources in set(self.lineage.sources)}
        return np.array([raw_column[sources] for sources in self.lineage.sources], dtype=np.int64)

    def notes(self, *, summed: bool = True) -> tuple[str, ...]:
        """Notes on the split, for the status record.

        Args:
            summed: Whether attributions by engineered column are summed up by raw column.
        """
        explained = (
            "were explained, and their values summed up by raw column."
            if summed
            else "were explained by raw column: those of a raw column are unknown together."
        )
        notes = [
            (
                f"The pipeline was split: the {len(self.lineage.names)} engineered columns of "
                f"{self.last.name} {explained}"
            )
        ]
        if self.lineage.inferred:
            kinds = ", ".join(self.lineage.inferred)
            notes.append(
                f"The raw sources of the columns of {kinds} were inferred from sample rows."
            )
        if self.lineage.unnamed:
            kinds = ", ".join(self.lineage.unnamed)
            notes.append(f"The columns of {kinds} are numbered, because it names none.")
        return tuple(notes)


def split_pipeline(adapter: ModelAdapter, rows: RowBatch) -> SplitPipeline:
    """Split a pipeline in front of its last step.

    Args:
        adapter: A model with steps.
        rows: Some raw rows, on which the steps are tried.

    Raises:
        CannotExplainError: The pipeline cannot be split; the message gives the reason.
    """
    if not _has_steps(adapter.model):
        raise CannotExplainError("the model is a pipeline of another kind")
    front, model = split_steps(adapter.model)
    try:
        sources = lineage(front, rows)
    except UnknownLineageError as error:
        raise CannotExplainError("the pipeline cannot be split", error) from error
    if not sources.is_separable:
        raise CannotExplainError(
            f"the pipeline cannot be split: {len(sources.mixed)} of {len(sources.names)} "
            "engineered columns have several raw columns as sources"
        )
    split = SplitPipeline(replace(adapter, model=model), front, sources)
    if not _is_plain(adapter.model):
        _check_outputs(adapter, split, rows.subset(sample_rows(len(rows), _CHECKED_ROWS, 0)))
    return split


def split_steps(model: Any) -> tuple[list[tuple[str, Any]], Any]:
    """All steps in front of the last model, including those of nested pipelines and searches."""
    front: list[tuple[str, Any]] = []
    while _has_steps(model):
        front += model.steps[:-1]
        model, _ = unwrap(model.steps[-1][1])
    return front, model


def _is_plain(model: Any) -> bool:
    """Whether the pipeline and those nested as its last step are scikit-learn's own."""
    while type(model) is Pipeline:
        model, _ = unwrap(model.steps[-1][1])
    return not _has_steps(model)


def _has_steps(model: Any) -> bool:
    steps = getattr(model, "steps", None)
    return isinstance(steps, list) and all(isinstance(step, (tuple, list)) for step in steps)


def _check_outputs(adapter: ModelAdapter, split: SplitPipeline, rows: RowBatch) -> None:
    """Check that a pipeline of another class has the outputs of its last step.

    Raises:
        CannotExplainError: It has others, as those that a ``predict`` of its own computes.
    """
    try:
        own, last = dict(adapter.outputs()), dict(split.last.outputs())
        scores = [scale for scale in own if scale != PREDICTED_LABEL] or list(own)
        engineered = split.engineer(rows).original
        is_same = all(
            scale in last
            and np.allclose(own[scale](rows.original), last[scale](engineered), equal_nan=True)
            for scale in scores
        )
    except Exception as error:  # a pipeline with steps of another kind
        raise CannotExplainError("the pipeline cannot be split", error) from error
    if not is_same:
        raise CannotExplainError(
            f"the pipeline cannot be split: {adapter.name} has other outputs than its last step"
        )
