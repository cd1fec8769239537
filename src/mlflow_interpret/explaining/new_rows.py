"""Inputs for new rows, which are explained as the rows of an earlier explanation were."""

from __future__ import annotations

from typing import Any

from mlflow_interpret.core.background import Background, Container
from mlflow_interpret.core.errors import CannotExplainError, OptionError
from mlflow_interpret.core.explanation import Explanation, TrainingContext
from mlflow_interpret.core.option_checks import check_columns
from mlflow_interpret.explaining.background_rows import in_container
from mlflow_interpret.explaining.dataframes import as_rows, n_columns
from mlflow_interpret.explaining.model_adapter import ModelAdapter

_ONE_DIMENSIONAL = ("series", "texts")


def context_of(
    model: Any, record: Explanation, rows: Any, labels: Any, initialization_examples: Any
) -> TrainingContext:
    """The context in which new rows are explained.

    Args:
        model: The model of the explanation.
        record: The explanation.
        rows: ``(n_rows, n_features)`` rows, or None for those of the explanation.
        labels: ``(n_rows,)`` true labels of the rows, or None.
        initialization_examples: Rows in place of the stored background rows, or None.

    Raises:
        OptionError: The background rows were not stored, or rows have other columns.
    """
    background = record.background
    groups = record.groups  # of words, where the rows are texts
    record = record.raw or record
    if background is None:  # of an earlier version, or of another package
        container: Container = "dataframe" if hasattr(rows, "columns") else "array"
        background = Background(record.features, container)
    training_rows, weights = _training_rows(record, background, rows, initialization_examples)
    _check_columns("initialization_examples", initialization_examples, background)
    _check_columns("rows", rows, background)
    is_table = background.container not in _ONE_DIMENSIONAL
    return TrainingContext(
        model=model,
        X=training_rows,
        sample_weight=weights,
        evaluation_examples=rows,
        evaluation_labels=labels,
        initialization_examples=training_rows if background.is_given else None,
        features=background.names if is_table else None,
        classes=record.classes,
        feature_groups=None if groups is None else groups.columns,
        are_groups_required=False,  # other words may lead in the new texts
    )


def _training_rows(
    record: Explanation, background: Background, rows: Any, initialization_examples: Any
) -> tuple[Any, Any]:
    """Rows in the container of the training rows, and their weights or None."""
    if initialization_examples is not None:
        return initialization_examples, None
    if background.rows is not None:
        return in_container(background, background.rows), background.weights
    details = record.details
    if details.engine is None or details.background_rows is not None:
        raise OptionError(
            "initialization_examples must be the training rows of the model, or a sample of them: "
            f"the explanation {record.id} holds none, because "
            f"{background.not_stored or 'it was logged without rows, or by an earlier version'}. "
            "Got None.",
            argument="initialization_examples",
        )
    # The method needs the container and the types of the columns only.
    explained = record.evaluation_rows
    if explained is None or explained.shape[1] != len(background.names):
        return rows, None
    return in_container(background, explained), None


def _check_columns(argument: str, rows: Any, background: Background) -> None:
    """Check that rows have the columns of the model, in any order.

    Raises:
        OptionError: They have others.
    """
    if rows is None:
        return
    expected = list(background.names if background.columns is None else background.columns)
    columns = getattr(rows, "columns", None)
    if columns is None or background.container not in {"dataframe", "polars"}:
        width = n_columns(as_rows(rows, argument))
        if width != len(expected):
            raise OptionError(
                f"{argument} must have the {len(expected)} columns of the model, got {width}.",
                argument=argument,
            )
        return
    check_columns(argument, list(columns), expected)


def check_model(adapter: ModelAdapter, record: Explanation) -> None:
    """Check that a model is of the class that an explanation is about.

    Raises:
        CannotExplainError: It is of another class, or has other outputs.
    """
    if record.model_class is None:
        return
    if adapter.class_path != record.model_class:
        raise CannotExplainError(
            f"the model is a {adapter.class_path} and the explanation {record.id} is of a "
            f"{record.model_class}; name the explained model, or another explanation_id"
        )
