"""Explanations by engineered column of pipelines whose last step was explained."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pandas as pd

from mlflow_interpret.core.details import as_notes
from mlflow_interpret.core.directions import directions_of
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray, rank
from mlflow_interpret.explaining.attributions import EngineeredAttributions
from mlflow_interpret.explaining.convergence import interval_record, intervals

_CELLS = 2_000_000
"""Limit of the attributions that a view keeps; those of a vectorizer would take megabytes."""
_WORDS_NOTE = (
    "The features are the words of the texts. The raw view, load_explanation(run_id, raw=True), "
    "has the texts as one column."
)


def by_engineered_column(
    raw: Explanation, engineered: EngineeredAttributions, n_available: int
) -> Explanation:
    """The view of an explanation by engineered column.

    Args:
        raw: The explanation by raw column.
        engineered: The attributions of the engineered columns.
        n_available: The number of rows of which the explained ones are a random sample.
    """
    view = _view(raw, engineered.rows.frame, engineered.local_values, n_available)
    notes = as_notes(["The last step's own columns; raw_explanation_id sums them up."])
    details = replace(view.details, notes=notes, directions=directions_of(view))
    view = replace(view, details=details)
    return view.without_rows() if engineered.local_values.size > _CELLS else view


def by_words(raw: Explanation, engineered: EngineeredAttributions, n_available: int) -> Explanation:
    """The explanation of texts by the columns of their vectorizer.

    It holds the explanation by raw column, that of the texts as a whole.

    Args:
        raw: The explanation of the texts as a single raw column.
        engineered: The attributions of the columns of the vectorizer.
        n_available: The number of rows of which the explained ones are a random sample.
    """
    frame, local_values = engineered.rows.frame, engineered.local_values
    n_leading = max(1, _CELLS // max(local_values[..., 0].size, 1) - 1)
    if frame.shape[1] > n_leading:
        frame, local_values = _leading(frame, local_values, n_leading)
    view = _view(raw, frame, local_values, n_available)
    notes = (*as_notes([_WORDS_NOTE]), *view.details.notes)
    return replace(view, raw=raw, details=replace(view.details, notes=notes))


def _view(
    raw: Explanation, frame: pd.DataFrame, local_values: FloatArray, n_available: int
) -> Explanation:
    features = tuple(frame.columns)
    importances = np.atleast_2d(np.abs(local_values).mean(axis=-2))
    return replace(
        raw,
        id=str(uuid.uuid4()),
        features=features,
        global_values=importances.mean(axis=0),
        per_class_values=None if raw.per_class_values is None else importances,
        local_values=local_values,
        global_errors=None,
        evaluation_rows=frame,
        is_raw=False,
        is_engineered=True,
        background=None,
        groups=None,  # of raw columns
        details=replace(
            raw.details,
            n_features=len(features),
            intervals=interval_record(intervals(features, local_values, n_available), n_available),
            raw_explanation_id=raw.id,
        ),
    )


def _leading(
    frame: pd.DataFrame, local_values: FloatArray, n: int
) -> tuple[pd.DataFrame, FloatArray]:
    """The ``n`` leading columns, and a column with the sum of the others.

    The cell of the others is the number of those that are not 0.
    """
    importances = np.abs(local_values).mean(axis=tuple(range(local_values.ndim - 1)))
    order = rank(importances)
    leading, others = np.sort(order[:n]), np.sort(order[n:])
    counts = np.count_nonzero(frame.to_numpy()[:, others], axis=1)
    name = f"{len(others):,} further columns"
    table = frame.iloc[:, leading].assign(**{name: counts})
    sums = local_values[..., others].sum(axis=-1, keepdims=True)
    return table, np.concatenate([local_values[..., leading], sums], axis=-1)
