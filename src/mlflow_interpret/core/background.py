"""The background rows of an explanation, and the container in which the model takes its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from mlflow_interpret.core.statistics import FloatArray

Container = Literal["array", "dataframe", "polars", "series", "sparse", "texts"]

CONTAINERS = ("array", "dataframe", "polars", "series", "sparse", "texts")
"""Kinds of tables that a model takes; ``series`` and ``texts`` are one-dimensional."""


@dataclass(frozen=True, eq=False)
class Background:
    """Background rows, with which further rows are explained in the same way.

    Attributes:
        names: The ``F`` reported names of the model's columns.
        container: The container that the model takes.
        columns: The ``F`` column labels in that container, None where they are ``names``.
        is_given: The rows are ``initialization_examples``, not a sample of the training rows.
        rows: ``(n_rows, F)`` background rows, with the columns ``names``; None where the method
            uses none, or where rows of data are not stored.
        weights: ``(n_rows,)`` weights of the rows, None for equal ones.
        n_drawn: The number of background rows of which ``rows`` are a sample, or all.
        engine: The option ``engine`` of the explanation.
        output: The option ``output`` of the explanation.
        labels: ``(C,)`` class labels as the model predicts them, None where they are the classes of
            the explanation.
        not_stored: The reason why a file cannot hold the rows, None where it can.
    """

    names: tuple[str, ...]
    container: Container
    columns: tuple[Any, ...] | None = None
    is_given: bool = False
    rows: pd.DataFrame | None = None
    weights: FloatArray | None = None
    n_drawn: int = 0
    engine: str = "auto"
    output: str = "auto"
    labels: tuple[Any, ...] | None = None
    not_stored: str | None = None

    def without_rows(self) -> Background:
        """Return the names and the container only."""
        return replace(self, rows=None, weights=None)
