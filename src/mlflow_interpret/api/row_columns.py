"""The columns of a table whose names are text, as the labels that a model knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.option_checks import check_columns


def columns_of(record: Explanation, given: Sequence[Any]) -> list[Any]:
    """The column labels of the model; those of the table if they are taken by position.

    Args:
        record: The explanation.
        given: The names in the table.
    """
    return list(given) if is_by_position(record, given) else _model_columns(record)


def is_by_position(record: Explanation, given: Sequence[Any]) -> bool:
    """Whether a table has no names of the model, and the model takes arrays.

    A table with some of the names is one that lacks the others.
    """
    background = record.background
    takes_arrays = background is not None and background.container in {"array", "sparse"}
    return takes_arrays and {str(label) for label in _model_columns(record)}.isdisjoint(given)


def _model_columns(record: Explanation) -> list[Any]:
    background = record.background
    if background is None:
        return list(record.features)
    return list(background.names if background.columns is None else background.columns)


def labelled(rows: pd.DataFrame, columns: list[Any], argument: str) -> pd.DataFrame:
    """The columns of the model, with its labels.

    Raises:
        OptionError: A column is missing.
    """
    names = [str(label) for label in columns]
    check_columns(argument, list(rows.columns), names, may_have_more=True)
    labelled = rows[names]
    if any(isinstance(label, tuple) for label in columns):
        return labelled.set_axis(pd.MultiIndex.from_tuples(columns), axis=1)
    return labelled.set_axis(columns, axis=1)
