"""The user's rows: names, samples, and the way back to the container the model was fitted with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import distinct_names
from mlflow_interpret.explaining.dataframes import Indices, as_frame, emptied, n_columns, refilled


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Some rows, as a DataFrame with the reported names and in the user's own container.

    Attributes:
        frame: ``(n_rows, n_features)``, one column for each reported feature name.
        template: A row-less copy of the user's container, which `restore` fills.
        nulls: The columns of a polars container that hold nulls; NaN is NaN in the others.
        numbers: ``(n_rows,)`` numbers that the rows keep when some are taken; what an engine draws
            for a row is seeded by its number. Default: their positions.
    """

    frame: pd.DataFrame
    template: Any
    nulls: frozenset[str] = frozenset()
    numbers: Indices = field(default=None)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if self.numbers is None:
            object.__setattr__(self, "numbers", np.arange(len(self.frame)))

    def __len__(self) -> int:
        return len(self.frame)

    def restore(self, frame: pd.DataFrame) -> Any:
        """``frame`` in the container, with the column names and types, that ``fit`` was given."""
        return refilled(self.template, frame, self.nulls)

    @property
    def original(self) -> Any:
        """These rows as the model takes them."""
        return self.restore(self.frame)

    def subset(self, indices: Indices | slice) -> RowBatch:
        """The rows at ``indices``."""
        return RowBatch(self.frame.iloc[indices], self.template, self.nulls, self.numbers[indices])


def feature_names(X: Any, override: Sequence[str] | None) -> tuple[str, ...]:
    """One unique, non-empty name for each column of ``X``.

    Names come from ``override``, else from the columns; a table without names gets
    scikit-learn's ``x0``, ``x1``, ... A repeated or empty name gets a number.

    Raises:
        CannotExplainError: ``override`` has another length than ``X`` has columns.
    """
    width = n_columns(X)
    if override is not None:
        if len(override) != width:
            raise CannotExplainError(
                f"features has {len(override)} names and the training rows have {width} columns; "
                "give one name for each column, or leave features out"
            )
        return tuple(override)
    columns = getattr(X, "columns", None)
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
    """``rows`` under the reported ``names``, to be given to the model as ``template`` was.

    Args:
        rows: The rows, in any container.
        names: The reported feature names.
        template: The training rows, whose container and columns the model expects.
        argument: What the user calls ``rows``.
        nulls: The columns of a polars template that held nulls, where its rows are gone.

    Raises:
        CannotExplainError: ``rows`` has other columns than ``template``.
    """
    rows = _align(rows, template, argument)
    empty, found = emptied(template)
    frame = as_frame(rows).set_axis(list(names), axis=1)
    return RowBatch(frame, empty, found if nulls is None else nulls)


def _align(rows: Any, template: Any, argument: str) -> Any:
    wanted, got = getattr(template, "columns", None), getattr(rows, "columns", None)
    if wanted is None or got is None:
        if n_columns(rows) != n_columns(template):
            raise CannotExplainError(
                f"{argument} has {n_columns(rows)} columns and the training rows have "
                f"{n_columns(template)}; give rows with the columns the model was fitted on"
            )
        return rows
    if list(wanted) == list(got):
        return rows
    missing = [str(column) for column in wanted if column not in list(got)]
    extra = [str(column) for column in got if column not in list(wanted)]
    if missing or extra or len(wanted) != len(got):
        raise CannotExplainError(
            f"{argument} has other columns than the training rows: "
            f"missing {_few(missing)}, unexpected {_few(extra)}"
        )
    if len(set(wanted)) != len(wanted):
        raise CannotExplainError(
            f"{argument} has the columns of the training rows in another order, and some of them "
            "have the same name; give them in the order of the training rows"
        )
    return rows[list(wanted)]


def _few(names: Sequence[str], limit: int = 5) -> str:
    if not names:
        return "none"
    shown = ", ".join(repr(name[:60]) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
