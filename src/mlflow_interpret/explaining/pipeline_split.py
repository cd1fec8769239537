"""Pipelines taken apart: the last step is explained, its columns are summed up by raw column."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch, as_batch
from mlflow_interpret.explaining.column_lineage import (
    Lineage,
    UnknownLineageError,
    apply_steps,
    lineage,
)
from mlflow_interpret.explaining.dataframes import as_rows
from mlflow_interpret.explaining.model_adapter import ModelAdapter, unwrap


@dataclass(frozen=True, eq=False)
class SplitPipeline:
    """A pipeline whose engineered columns are each made of one raw column.

    Attributes:
        last: The last step, which takes the engineered rows.
        front: The steps in front of it.
        lineage: What the engineered columns are made of.
    """

    last: ModelAdapter
    front: list[tuple[str, Any]]
    lineage: Lineage

    def engineer(self, rows: RowBatch) -> RowBatch:
        """The rows as the last step takes them."""
        engineered = as_rows(apply_steps(self.front, rows.original))
        return replace(as_batch(engineered, self.lineage.names, engineered), numbers=rows.numbers)

    def by_raw_column(self, values: FloatArray, n_raw: int) -> FloatArray:
        """Contributions of engineered columns summed up along the last axis."""
        summed = np.zeros((*values.shape[:-1], n_raw))
        for column, sources in enumerate(self.lineage.sources):
            for source in sources:  # one, or none for a constant, which contributes nothing
                summed[..., source] += values[..., column]
        return summed

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done, for the status record."""
        notes = [
            (
                f"The pipeline was taken apart: the {len(self.lineage.names)} engineered columns "
                f"that {self.last.name} takes were explained and summed up by raw column."
            )
        ]
        if self.lineage.inferred:
            kinds = ", ".join(self.lineage.inferred)
            notes.append(f"Which raw column {kinds} makes what of was tried on rows, not known.")
        return tuple(notes)


def split_pipeline(adapter: ModelAdapter, rows: RowBatch) -> SplitPipeline:
    """The parts of a pipeline, which is explained by its last step.

    Raises:
        CannotExplainError: It has to be explained as a whole; the message says why.
    """
    pipeline = adapter.model
    if not isinstance(pipeline, Pipeline):
        raise CannotExplainError("the model is a pipeline of another package")
    front, model = _steps(pipeline)
    try:
        found = lineage(front, rows)
    except UnknownLineageError as error:
        raise CannotExplainError("the pipeline cannot be taken apart", error) from error
    if not found.is_separable:
        raise CannotExplainError(
            f"the pipeline cannot be taken apart: {len(found.mixed)} of {len(found.names)} "
            "engineered columns are made of several raw columns"
        )
    return SplitPipeline(replace(adapter, model=model), front, found)


def _steps(model: Any) -> tuple[list[tuple[str, Any]], Any]:
    """All steps in front of the last model, through pipelines and searches in pipelines."""
    front: list[tuple[str, Any]] = []
    while isinstance(model, Pipeline):
        front += model.steps[:-1]
        model, _ = unwrap(model.steps[-1][1])
    return front, model
