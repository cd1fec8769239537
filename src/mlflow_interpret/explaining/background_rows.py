"""Background rows that an explanation stores, and the container of the model made of them again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mlflow_interpret.core.background import Background, Container
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining.attributions import AttributionResult
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.inputs import ExplainInputs
from mlflow_interpret.explaining.model_adapter import ModelAdapter

_MAX_BYTES = 20_000_000
"""Memory of the stored rows, at most; of a wide table fewer rows are stored."""


def stored_background(
    inputs: ExplainInputs,
    adapter: ModelAdapter,
    background: RowBatch,
    result: AttributionResult,
    plan: Plan,
) -> Background:
    """The background rows with which the attributions can be computed again.

    Args:
        inputs: The model and its rows.
        adapter: The explained part of the model.
        background: The background rows of the request.
        result: The attributions of the explained rows.
        plan: The options; explainers draw some of the background rows with its seed.
    """
    template = inputs.template
    rows = weights = None
    if result.background_rows is not None:
        used = background.subset(_stored_indices(background, result, plan.random_state))
        rows, weights = used.frame.reset_index(drop=True), used.weights
    labels = getattr(template, "columns", None)
    columns = None if labels is None else tuple(labels)
    return Background(
        names=inputs.names,
        container=_container_of(template),
        columns=None if columns == inputs.names else columns,
        is_given=inputs.is_background_given,
        rows=rows,
        weights=weights,
        n_drawn=len(background),
        engine=plan.engine,
        output=plan.output,
        labels=_labels_of(adapter),
    )


def _labels_of(adapter: ModelAdapter) -> tuple[Any, ...] | None:
    """The labels of a model of one target whose classes have other names, else None."""
    if adapter.labels is None or adapter.targets is not None:
        return None
    (labels,) = adapter.labels
    return None if labels == adapter.classes else labels


def _stored_indices(background: RowBatch, result: AttributionResult, seed: int) -> Any:
    n_rows = len(background)
    n_bytes = int(background.frame.memory_usage(deep=True).sum())
    limit = max(1, n_rows * _MAX_BYTES // max(n_bytes, 1))
    if result.sampling_error is not None:
        # Samplers draw their background in the same way; parts of a model may differ in theirs.
        limit = min(limit, result.background_rows or n_rows)
    return sample_rows(n_rows, limit, seed)


def _container_of(template: Any) -> Container:
    if isinstance(template, pd.DataFrame):
        return "dataframe"
    if isinstance(template, pd.Series):
        return "series"
    if sparse.issparse(template):
        return "sparse"
    if type(template).__module__.partition(".")[0] == "polars":
        return "polars"
    return "texts" if np.ndim(template) == 1 else "array"


def in_container(background: Background, rows: pd.DataFrame) -> Any:
    """Rows in the container that the model takes.

    Args:
        background: The container and its column labels.
        rows: ``(n_rows, F)`` rows.
    """
    labels = list(background.names if background.columns is None else background.columns)
    if background.container == "dataframe":
        frame = rows.copy(deep=False)
        is_nested = any(isinstance(label, tuple) for label in labels)
        frame.columns = pd.MultiIndex.from_tuples(labels) if is_nested else pd.Index(labels)
        return frame
    if background.container == "polars":
        import polars as pl

        return pl.from_pandas(rows.set_axis([str(label) for label in labels], axis=1))
    if background.container == "series":
        return rows.iloc[:, 0].rename(background.names[0])
    if background.container == "texts":
        return rows.iloc[:, 0].to_numpy(dtype=object)
    cells = rows.to_numpy()
    return sparse.csr_matrix(cells) if background.container == "sparse" else cells
