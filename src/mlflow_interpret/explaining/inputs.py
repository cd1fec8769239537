"""Draw the inputs of an explanation from a training context: the model and a sample of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import get_config

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.core.feature_groups import FeatureGroups
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.batch import RowBatch, as_batch, feature_names
from mlflow_interpret.explaining.dask_rows import in_memory
from mlflow_interpret.explaining.dataframes import (
    Indices,
    as_rows,
    empty_template,
    is_one_dimensional,
    n_rows,
    take,
)
from mlflow_interpret.explaining.grouping import Grouping
from mlflow_interpret.explaining.model_adapter import ModelAdapter, adapt_model
from mlflow_interpret.explaining.partitions import is_partitioned

_MAX_CELLS = 10_000_000
"""Limit of the dense cells of a sample: the sparse table of a vectorizer may be far larger."""
_CANDIDATE_ROWS = 3_000
_BACKGROUND_ROWS = 10_000
"""Background rows at most; an explainer whose cost grows with them takes fewer."""


@dataclass(frozen=True, eq=False)
class ExplainInputs:
    """A fitted model and a few rows, from which its explanation is computed.

    They are drawn without calling the model, so drawing is cheap, and they can be pickled to be
    explained in another process. Rows are in the container of the user.

    Attributes:
        estimator: The object whose ``fit`` was called.
        classes: Names that replace the model's class labels, or None.
        targets: Names of the targets, if the labels were a table with column names.
        names: The reported feature names.
        template: The container of the training rows without rows.
        null_columns: The columns of a polars container that hold nulls.
        example: One training row, or None.
        rows: The rows of which some are explained, or all rows in partitions.
        labels: The true labels of ``rows``, or None.
        background: Rows that stand for "feature unknown".
        origin: Where the rows come from, and how many there were.
        settings: scikit-learn's settings, on which the steps of pipelines depend.
        is_background_given: Whether the background rows are ``initialization_examples``.
        notes: Sentences about the rows for the status record.
        background_weights: ``(n_background,)`` weights of the background rows, or None.
        groups: Groups of features, whose importances are computed, too, or None.
        groups_missing: The reason why there are no groups although they were asked for, or None.
        text_grouping: Groups of texts in memory, whose words are known once they are explained, or
            None.
    """

    estimator: Any
    classes: Sequence[Any] | None
    targets: Sequence[str] | None
    names: tuple[str, ...]
    template: Any
    null_columns: frozenset[str]
    example: Any
    rows: Any
    labels: Any
    background: Any
    origin: Mapping[str, Any]
    settings: Mapping[str, Any]
    is_background_given: bool = False
    notes: tuple[str, ...] = ()
    background_weights: FloatArray | None = None
    groups: FeatureGroups | None = None
    groups_missing: str | None = None
    text_grouping: Grouping | None = None

    def adapter(self) -> ModelAdapter:
        """The part of the model that is explained.

        Raises:
            CannotExplainError: No part can be explained.
        """
        return adapt_model(self.estimator, self.classes, self.example, self.targets)

    def candidate_rows(self) -> RowBatch:
        """The rows of which some are explained.

        Raises:
            CannotExplainError: They have other columns than the training rows.
        """
        return self._batch(self.rows, "evaluation_examples")

    def background_rows(self) -> RowBatch:
        """The background rows.

        Raises:
            CannotExplainError: They have other columns than the training rows.
        """
        batch = self._batch(self.background, "initialization_examples")
        return replace(batch, weights=self.background_weights)

    def _batch(self, rows: Any, argument: str) -> RowBatch:
        return as_batch(rows, self.names, self.template, argument, self.null_columns)


def draw_inputs(context: TrainingContext, plan: Plan) -> ExplainInputs:
    """Draw the model and the rows that its explanation needs.

    Args:
        context: The model and its rows.
        plan: The number of rows and the seed.

    Raises:
        CannotExplainError: There are no rows, or the arguments do not fit together.
        OptionError: Required groups of features are not allowed.
    """
    context = in_memory(context, plan.random_state)
    training_rows = as_rows(context.X)
    names = feature_names(training_rows, context.features)
    groups, groups_missing, text_grouping = _groups(context, training_rows, names)
    limit = max(1, _MAX_CELLS // (len(names) * _n_outputs(context)))
    template, null_columns = empty_template(training_rows)
    if is_partitioned(context.evaluation_examples):
        rows, labels, origin = context.evaluation_examples, None, {"source": "evaluation_examples"}
    else:
        rows, labels, origin = _draw_candidates(context, training_rows, limit, plan)
    background, weights, weights_notes = _draw_background(
        context, training_rows, limit, plan.random_state
    )
    return ExplainInputs(
        estimator=context.model,
        classes=context.classes,
        targets=_target_names(context),
        names=names,
        template=template,
        null_columns=null_columns,
        example=take(training_rows, np.arange(1)) if n_rows(training_rows) else None,
        rows=rows,
        labels=labels,
        background=background,
        origin=origin,
        settings=get_config(),
        is_background_given=context.initialization_examples is not None,
        background_weights=weights,
        notes=(*context.notes, *weights_notes),
        groups=groups,
        groups_missing=groups_missing,
        text_grouping=text_grouping,
    )


def _groups(
    context: TrainingContext, training_rows: Any, names: tuple[str, ...]
) -> tuple[FeatureGroups | None, str | None, Grouping | None]:
    """The groups, the reason why there are none, and the groups of texts to resolve later."""
    if context.feature_groups is None:
        return None, None, None
    grouping = Grouping(context.feature_groups, context.are_groups_required)
    if is_one_dimensional(training_rows) and not is_partitioned(context.evaluation_examples):
        return None, None, grouping
    return (*grouping.resolve(names), None)


def _draw_candidates(
    context: TrainingContext, training_rows: Any, limit: int, plan: Plan
) -> tuple[Any, Any, dict[str, Any]]:
    """A sample of the rows, its true labels, and the origin of the rows."""
    if context.evaluation_examples is None:
        rows, labels, source = training_rows, _as_column(context.y), context.rows_source
    else:
        rows = as_rows(context.evaluation_examples, "evaluation_examples")
        labels, source = _as_column(context.evaluation_labels), "evaluation_examples"
    total = n_rows(rows)
    if total == 0:
        raise CannotExplainError("there are no rows to explain")
    if labels is not None and n_rows(labels) != total:
        raise CannotExplainError(
            f"evaluation_examples has {total} rows and {n_rows(labels)} labels"
        )
    size = min(max(plan.max_rows or 0, _CANDIDATE_ROWS), limit)
    indices = sample_rows(total, size, plan.random_state)
    labels = None if labels is None else np.asarray(take(labels, indices))
    return take(rows, indices), labels, {"source": source, "available": total}


def _draw_background(
    context: TrainingContext, training_rows: Any, limit: int, seed: int
) -> tuple[Any, FloatArray | None, tuple[str, ...]]:
    """Background rows, their weights or None, and notes on weights that are not used."""
    weights, notes = _row_weights(context.sample_weight, n_rows(training_rows))
    rows = training_rows
    if context.initialization_examples is not None:
        rows = as_rows(context.initialization_examples, "initialization_examples")
        if weights is not None:
            notes = ("initialization_examples are not weighted by the sample_weight of fit.",)
        weights = None
    candidates = np.arange(n_rows(rows)) if weights is None else np.flatnonzero(weights)
    picked = sample_rows(len(candidates), min(_BACKGROUND_ROWS, limit), seed)
    indices: Indices = candidates[picked]
    weights = None if weights is None else weights[indices] / weights[indices].mean()
    return take(rows, indices), weights, notes


def _row_weights(sample_weight: Any, n: int) -> tuple[FloatArray | None, tuple[str, ...]]:
    """``(n,)`` weights, None where they are equal or not known, and notes on the reason."""
    if sample_weight is None:
        return None, ()
    try:
        weights: FloatArray = np.asarray(sample_weight, dtype=np.float64).ravel()
    except Exception:  # other objects, such as a collection of another library
        problem = "they are no array of numbers"
    else:
        if len(weights) != n:
            problem = f"there are {len(weights)} weights for {n} rows"
        elif not np.isfinite(weights).all() or (weights < 0).any():
            problem = "there are missing or negative weights"
        else:
            return (weights if np.ptp(weights) > 0 else None), ()
    return None, (f"The sample_weight of fit does not weigh the background rows: {problem}.",)


def _n_outputs(context: TrainingContext) -> int:
    """Number of attributions of a cell, as far as it is known without a prediction."""
    shape: tuple[int, ...] = getattr(context.y, "shape", ())
    targets = int(shape[-1]) if len(shape) == 2 else 1
    try:
        classes = context.model.classes_
    except Exception:  # a property may raise anything
        return max(targets, 1)
    if isinstance(classes, list):
        return max(sum(np.size(labels) for labels in classes), 1)
    return max(int(np.size(classes)), 2 * targets if targets > 1 else 1)


def _target_names(context: TrainingContext) -> list[str] | None:
    """The names of the targets, if the labels are a table with column names."""
    labels = context.evaluation_labels if context.y is None else context.y
    columns = getattr(labels, "columns", None)
    return None if columns is None else [str(column) for column in columns]


def _as_column(labels: Any) -> Any:
    """Labels without the table of one column that scikit-learn allows around them."""
    shape = getattr(labels, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != 1:
        return labels
    return labels.iloc[:, 0] if hasattr(labels, "iloc") else np.asarray(labels)[:, 0]
