"""Batches of rows with the reported feature names, which restore the user's container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import distinct_names
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.dataframes import (
    Indices,
    as_frame,
    empty_template,
    fill_template,
    is_one_dimensional,
    n_columns,
)


@dataclass(frozen=True, eq=False)
class RowBatch:
    """A batch of rows, as a DataFrame and in the user's container.

    Attributes:
        frame: ``(n_rows, n_features)`` cells, with a column for each reported feature name.
        template: A copy of the user's container without rows, which `restore` fills.
        nulls: The polars columns in which NaN means null.
        numbers: ``(n_rows,)`` numbers of the rows, which subsets keep. Random draws for a row are
            seeded by its number. Default: the positions.
        weights: ``(n_rows,)`` weights of background rows, with mean 1; None for equal ones.
    """

    frame: pd.DataFrame
    template: Any
    nulls: frozenset[str] = frozenset()
    numbers: Indices = field(default=None)  # type: ignore[arg-type]
    weights: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.numbers is None:
            object.__setattr__(self, "numbers", np.arange(len(self.frame)))

    def __len__(self) -> int:
        return len(self.frame)

    def restore(self, frame: pd.DataFrame) -> Any:
        """Convert a frame to the container of ``fit``, with its column names and types."""
        return fill_template(self.template, frame, self.nulls)

    @property
    def original(self) -> Any:
        """The rows in the container that the model expects."""
        return self.restore(self.frame)

    def subset(self, indices: Indices | slice) -> RowBatch:
        """The rows at ``indices``."""
        weights = self.weights
        if weights is not None:
            weights = weights[indices] / weights[indices].mean()
        return RowBatch(
            self.frame.iloc[indices], self.template, self.nulls, self.numbers[indices], weights
        )


def feature_names(X: Any, override: Sequence[str] | None) -> tuple[str, ...]:
    """Unique, non-empty names of the columns.

    Args:
        X: A table in any container.
        override: Names from the user, or None for those of the columns. A table without names gets
            scikit-learn's ``x0``, ``x1``, ..., a container of texts ``text``. A repeated or empty
            name gets a number.

    Raises:
        CannotExplainError: The numbers of names and columns differ.
    """
    width = n_columns(X)
    if override is not None:
        if len(override) != width:
            raise CannotExplainError(
                f"features has {len(override)} names and the training rows have {width} columns; "
                "pass one name for each column, or leave features out"
            )
        return tuple(override)
    columns = getattr(X, "columns", None)
    if is_one_dimensional(X):
        name = getattr(X, "name", None)
        columns = ["text" if name is None else name]
    names = [f"x{i}" for i in range(width)] if columns is None else [_text(c) for c in columns]
    return distinct_names(names)


def _text(column: Any) -> str:
    if isinstance(column, tuple):
        return ", ".join(str(level) for level in column)
    return str(column)


def as_batch(
    rows: Any,
    names: Sequence[str],
    template: Any,
    argument: str = "X",
    nulls: frozenset[str] | None = None,
) -> RowBatch:
    """Make a batch of rows.

    Args:
        rows: The rows, in any container.
        names: The reported feature names.
        template: The training rows, whose container and columns the model expects.
        argument: Name of the user's argument, for messages.
        nulls: The polars columns with nulls, if ``template`` has no rows.

    Raises:
        CannotExplainError: The columns of ``rows`` and ``template`` differ.
    """
    rows = _align(rows, template, argument)
    empty, template_nulls = empty_template(template)
    frame = as_frame(rows).set_axis(list(names), axis=1)
    return RowBatch(frame, empty, template_nulls if nulls is None else nulls)


def _align(rows: Any, template: Any, argument: str) -> Any:
    expected, actual = getattr(template, "columns", None), getattr(rows, "columns", None)
    if expected is None or actual is None:
        if n_columns(rows) != n_columns(template):
            raise CannotExplainError(
                f"{argument} has {n_columns(rows)} columns and the training rows have "
                f"{n_columns(template)}; pass rows with the columns of the training rows"
            )
        return rows
    if list(expected) == list(actual):
        return rows
    missing = [str(column) for column in expected if column not in list(actual)]
    extra = [str(column) for column in actual if column not in list(expected)]
    if missing or extra or len(expected) != len(actual):
        raise CannotExplainError(
            f"{argument} and the training rows have different columns: "
            f"missing {_few(missing)}, unexpected {_few(extra)}"
        )
    if len(set(expected)) != len(expected):
        raise CannotExplainError(
            f"{argument} has the columns of the training rows in another order, and some columns "
            "have the same name; pass them in the order of the training rows"
        )
    return rows[list(expected)]


def _few(names: Sequence[str], limit: int = 5) -> str:
    if not names:
        return "none"
    shown = ", ".join(repr(name[:60]) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
