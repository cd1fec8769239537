"""Limit of the matrices of interactions of all columns that packages compute."""

from __future__ import annotations

from mlflow_interpret.core.errors import CannotExplainError

_MAX_CELLS = 50_000_000
"""Limit of the cells of the matrices for a call."""


def n_rows_of_call(n_columns: int, n_outputs: int) -> int:
    """Return the number of rows whose matrices a call may compute.

    Args:
        n_columns: Number of columns of the model.
        n_outputs: Number of outputs with matrices of their own.

    Raises:
        CannotExplainError: The matrices of a single row have too many cells.
    """
    n_rows = _MAX_CELLS // (n_outputs * (n_columns + 1) ** 2)  # the bias takes a column
    if n_rows == 0:
        outputs = "" if n_outputs == 1 else f" and {n_outputs:,} outputs"
        raise CannotExplainError(
            f"its exact interactions are those of all {n_columns:,} columns{outputs}, which are "
            "too many"
        )
    return n_rows
