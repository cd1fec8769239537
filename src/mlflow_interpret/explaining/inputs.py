"""What of a training context explaining takes: the model, and the rows that are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import get_config

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining.batch import RowBatch, as_batch, feature_names
from mlflow_interpret.explaining.dataframes import Indices, as_rows, empty_template, n_rows, take
from mlflow_interpret.explaining.model_adapter import ModelAdapter, adapt_model
from mlflow_interpret.explaining.row_sources import is_partitioned

_CELLS = 10_000_000  # dense cells: a vectorizer's sparse table may be far larger
_CANDIDATES = 3_000  # rows to choose from
_BACKGROUND_ROWS = 10_000  # the engines that pay for each row take fewer of them


@dataclass(frozen=True, eq=False)
class ExplainInputs:
    """A fitted model and a few rows: all that its explanation is computed from.

    It is drawn without a call of the model, so that it costs next to nothing, and can be pickled to
    be explained elsewhere or later. Rows are in the user's own containers.

    Attributes:
        estimator: What ``fit`` was called on.
        classes: Names that replace the model's class labels, or None.
        targets: The names of the targets, where the labels came as a table with names.
        names: The reported feature names.
        template: The training rows' container without its rows.
        nulls: The columns of a polars container that hold nulls.
        first: One training row, or None.
        rows: The rows that an engine may choose from, or all in partitions.
        labels: Their true labels, or None.
        background: The rows that stand for "feature unknown".
        source: Where the rows come from, and how many there were.
        settings: scikit-learn's settings, which the steps of pipelines depend on.
    """

    estimator: Any
    classes: Sequence[Any] | None
    targets: Sequence[str] | None
    names: tuple[str, ...]
    template: Any
    nulls: frozenset[str]
    first: Any
    rows: Any
    labels: Any
    background: Any
    source: Mapping[str, Any]
    settings: Mapping[str, Any]

    def adapter(self) -> ModelAdapter:
        """The part of the model that is explained.

        Raises:
            CannotExplainError: There is none.
        """
        return adapt_model(self.estimator, self.classes, self.first, self.targets)

    def to_explain(self) -> RowBatch:
        """The rows that an engine may choose from.

        Raises:
            CannotExplainError: They have other columns than the training rows.
        """
        return self._table(self.rows, "evaluation_examples")

    def known(self) -> RowBatch:
        """The background rows.

        Raises:
            CannotExplainError: They have other columns than the training rows.
        """
        return self._table(self.background, "initialization_examples")

    def _table(self, rows: Any, argument: str) -> RowBatch:
        return as_batch(rows, self.names, self.template, argument, self.nulls)


def draw_inputs(context: TrainingContext, plan: Plan) -> ExplainInputs:
    """Draw the rows that a context's model is explained with.

    Args:
        context: The model and its rows.
        plan: How many rows at most, and the seed.

    Raises:
        CannotExplainError: There are no rows, or what was given does not fit together.
    """
    given = as_rows(context.X)
    names = feature_names(given, context.features)
    limit = max(1, _CELLS // (len(names) * _n_blocks(context)))
    template, nulls = empty_template(given)
    if is_partitioned(context.evaluation_examples):
        rows, labels, origin = context.evaluation_examples, None, {"source": "evaluation_examples"}
    else:
        rows, labels, origin = _drawn(context, given, limit, plan)
    return ExplainInputs(
        estimator=context.model,
        classes=context.classes,
        targets=_targets(context),
        names=names,
        template=template,
        nulls=nulls,
        first=take(given, np.arange(1)) if n_rows(given) else None,
        rows=rows,
        labels=labels,
        background=_background(context, given, limit, plan.random_state),
        source=origin,
        settings=get_config(),
    )


def _drawn(
    context: TrainingContext, given: Any, limit: int, plan: Plan
) -> tuple[Any, Any, dict[str, Any]]:
    """Some rows, their true labels, and where they come from."""
    if context.evaluation_examples is None:
        source, labels, origin = given, _column(context.y), "training rows"
    else:
        source = as_rows(context.evaluation_examples, "evaluation_examples")
        labels, origin = _column(context.evaluation_labels), "evaluation_examples"
    total = n_rows(source)
    if total == 0:
        raise CannotExplainError("there are no rows to explain")
    if labels is not None and n_rows(labels) != total:
        raise CannotExplainError(
            f"evaluation_examples has {total} rows and {n_rows(labels)} labels"
        )
    indices = sample_rows(
        total, min(max(plan.max_rows or 0, _CANDIDATES), limit), plan.random_state
    )
    labels = None if labels is None else np.asarray(take(labels, indices))
    return take(source, indices), labels, {"source": origin, "available": total}


def _background(context: TrainingContext, given: Any, limit: int, seed: int) -> Any:
    source = context.initialization_examples
    source = given if source is None else as_rows(source, "initialization_examples")
    indices: Indices = sample_rows(n_rows(source), min(_BACKGROUND_ROWS, limit), seed)
    return take(source, indices)


def _n_blocks(context: TrainingContext) -> int:
    """How many values a cell may get, as far as can be told without a prediction."""
    shape: tuple[int, ...] = getattr(context.y, "shape", ())
    targets = int(shape[-1]) if len(shape) == 2 else 1
    try:
        classes = context.model.classes_
    except Exception:  # a property may raise anything
        return max(targets, 1)
    if isinstance(classes, list):
        return max(sum(np.size(labels) for labels in classes), 1)
    return max(int(np.size(classes)), 2 * targets if targets > 1 else 1)


def _targets(context: TrainingContext) -> list[str] | None:
    """The names of the targets, where the labels came as a table with names."""
    labels = context.evaluation_labels if context.y is None else context.y
    columns = getattr(labels, "columns", None)
    return None if columns is None else [str(column) for column in columns]


def _column(labels: Any) -> Any:
    """Labels that came as a table of one column, as scikit-learn allows, without the table."""
    shape = getattr(labels, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != 1:
        return labels
    return labels.iloc[:, 0] if hasattr(labels, "iloc") else np.asarray(labels)[:, 0]
