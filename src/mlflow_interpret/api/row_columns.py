"""The columns of a table whose names are text, as the labels that a model knows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Explanation


def columns_of(record: Explanation, rows: pd.DataFrame) -> list[Any]:
    """The column labels of the model, by name; those of the table for a model without names."""
    background = record.background
    names = list(record.features if background is None else background.names)
    if background is not None and background.columns is not None:
        names = list(background.columns)
    is_named = {str(name) for name in names} <= set(rows.columns)
    if not is_named and background is not None and background.container in {"array", "sparse"}:
        return list(rows.columns)
    return names


def labelled(rows: pd.DataFrame, columns: list[Any], argument: str) -> pd.DataFrame:
    """The columns of the model, with its labels.

    Raises:
        OptionError: A column is missing.
    """
    missing = [str(label) for label in columns if str(label) not in rows.columns]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise OptionError(
            f"{argument} must have the {len(columns)} columns of the model, got a table without "
            f"{', '.join(map(repr, missing[:5]))}{more}.",
            argument=argument,
        )
    labelled = rows[[str(label) for label in columns]]
    if any(isinstance(label, tuple) for label in columns):
        return labelled.set_axis(pd.MultiIndex.from_tuples(columns), axis=1)
    return labelled.set_axis(columns, axis=1)
