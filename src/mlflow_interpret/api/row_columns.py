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
    background = record.background
    names = list(record.features if background is None else background.names)
    if background is not None and background.columns is not None:
        names = list(background.columns)
    # With some of the names, the table has names of the model, and lacks the others.
    has_names = background is None or background.container not in {"array", "sparse"}
    if has_names or {str(name) for name in names} & set(given):
        return names
    return list(given)


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
