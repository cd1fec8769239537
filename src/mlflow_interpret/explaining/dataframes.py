"""Containers of rows: pandas, polars, NumPy and sparse tables, to a DataFrame and back.

Texts in front of a vectorizer are a table of one column, in a one-dimensional container.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.pandas_compat import as_subclass

Indices = npt.NDArray[np.intp]


def as_rows(X: Any, name: str = "X") -> Any:
    """Return a table unchanged, and a list of rows or texts as an array.

    Args:
        X: A table in any container, a list of rows, or a Series, array or list of texts.
        name: Name of the argument, for messages.

    Raises:
        CannotExplainError: ``X`` is not a table.
    """
    if _is_polars(X) and len(X.shape) == 1:
        X = np.asarray(X.to_list(), dtype=object)
    if isinstance(X, pd.DataFrame) or sparse.issparse(X) or _is_polars(X) or _is_texts(X):
        return X
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise CannotExplainError(f"{name} is not a table of rows and columns", error) from error
    if array.dtype.names is not None:
        raise CannotExplainError(
            f"{name} is a structured array, which has fields instead of columns; pass a DataFrame"
        )
    if array.ndim == 0:
        raise CannotExplainError(
            f"{name} is not a table of rows and columns: {type(X).__name__}; pass a DataFrame or "
            "an array"
        )
    if array.ndim != 2 and not _is_texts(array):
        raise CannotExplainError(
            f"{name} is not a table of rows and columns: {type(X).__name__} of shape {array.shape}"
        )
    if array.dtype.kind in "US" and not hasattr(X, "dtype"):
        return np.asarray(X, dtype=object)  # NumPy converts the numbers of a mixed list to text
    return array


def _is_texts(X: Any) -> bool:
    """Whether ``X`` is a one-dimensional container of texts, or of objects that are no numbers."""
    if not isinstance(X, (pd.Series, np.ndarray)) or X.ndim != 1:
        return False
    is_number = X.dtype.kind in "biufcmMV" or isinstance(X.dtype, pd.CategoricalDtype)
    return not is_number and not isinstance(next(iter(X), ""), Number)


def is_one_dimensional(X: Any) -> bool:
    """Whether a table is a one-dimensional container of texts."""
    return len(X.shape) == 1


def n_columns(X: Any) -> int:
    """The number of columns of a table."""
    return 1 if is_one_dimensional(X) else int(X.shape[1])


def n_rows(X: Any) -> int:
    """The number of rows of a table or of a column of labels."""
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape else len(X)


def take(values: Any, indices: Indices) -> Any:
    """Select rows of a table, or labels, without copying all of them.

    Args:
        values: A table or a column in any container.
        indices: ``(n,)`` positions.
    """
    if isinstance(values, (pd.DataFrame, pd.Series)):
        return values.iloc[indices]
    if sparse.issparse(values):
        return _take_sparse(values, indices)
    if _is_polars(values):
        return values[indices.tolist()]
    return np.asarray(values)[indices]


def concatenate(parts: Sequence[Any]) -> Any:
    """Join tables of the same container, or columns of labels, by rows.

    Raises:
        CannotExplainError: There is no part, or they are of different containers.
    """
    if not parts:
        raise CannotExplainError("there are no rows to explain")
    first = parts[0]
    if len(parts) == 1:
        return first
    try:
        if isinstance(first, (pd.DataFrame, pd.Series)):
            return pd.concat(parts, ignore_index=True)
        if sparse.issparse(first):
            return sparse.vstack(parts, format=first.format)
        if _is_polars(first):
            return functools.reduce(lambda table, part: table.vstack(part), parts)
        return np.concatenate(parts)
    except Exception as error:
        raise CannotExplainError("the batches have different columns or types", error) from error


def _take_sparse(values: Any, indices: Indices) -> Any:
    if values.format in ("csr", "csc", "lil"):
        return values[indices]
    values = values if values.format == "coo" else values.tocoo(copy=False)
    n = values.shape[0]
    is_selected, positions = np.zeros(n, dtype=bool), np.zeros(n, dtype=np.intp)
    is_selected[indices], positions[indices] = True, np.arange(len(indices))
    selected = np.flatnonzero(is_selected[values.row])
    cells = (values.data[selected], (positions[values.row[selected]], values.col[selected]))
    return type(values)(cells, shape=(len(indices), values.shape[1]))


def as_frame(rows: Any) -> pd.DataFrame:
    """Convert rows in any container to a plain DataFrame, without changing a cell."""
    if isinstance(rows, pd.DataFrame):
        return pd.DataFrame(rows).reset_index(drop=True)  # not a subclass
    if sparse.issparse(rows):
        return pd.DataFrame(rows.toarray())
    if _is_polars(rows):
        return _from_polars(rows)
    if is_one_dimensional(rows):
        return pd.DataFrame({0: pd.Series(rows).reset_index(drop=True)})
    if not rows.dtype.isnative:  # pandas needs native byte order, which data of files may not have
        rows = rows.astype(rows.dtype.newbyteorder("="))
    frame = pd.DataFrame(rows, dtype=rows.dtype if rows.dtype == object else None)
    if rows.dtype == object:
        frame = pd.DataFrame({name: _as_numbers(column) for name, column in frame.items()})
    return frame


def _as_numbers(column: pd.Series) -> pd.Series:
    """Convert a column of objects that are all numbers; None must not become NaN."""
    numbers = column.infer_objects()
    is_exact = numbers.dtype.kind in "biuf" and not any(cell is None for cell in column)
    return numbers if is_exact else column


def empty_template(rows: Any) -> tuple[Any, frozenset[str]]:
    """Return a copy of a container without rows, and the polars columns that hold nulls."""
    if sparse.issparse(rows):  # most sparse formats, such as COO, cannot be sliced
        return type(rows)((0, n_columns(rows)), dtype=rows.dtype), frozenset()
    if _is_polars(rows):
        return rows[:0], frozenset(c.name for c in rows.get_columns() if c.null_count())
    return rows[:0], frozenset()


def fill_template(template: Any, frame: pd.DataFrame, nulls: frozenset[str]) -> Any:
    """Convert a DataFrame to the container of ``template``, with its column names and types.

    Args:
        template: A container without rows, from `empty_template`.
        frame: The rows.
        nulls: Names of the polars columns in which NaN means null.
    """
    if isinstance(template, pd.DataFrame):
        columns = _as_fitted(frame, template.dtypes).set_axis(template.columns, axis=1)
        return as_subclass(columns, template)
    if isinstance(template, pd.Series):
        return _cast(frame.iloc[:, 0], template.dtype).rename(template.name)
    if sparse.issparse(template):
        return type(template)(_as_array(frame, template.dtype))
    if is_one_dimensional(template):
        return _as_array(frame, template.dtype)[:, 0]
    if _is_polars(template):
        return _as_polars(frame, template, nulls)
    return _as_array(frame, np.asarray(template).dtype)


def _as_fitted(frame: pd.DataFrame, dtypes: pd.Series) -> pd.DataFrame:
    """Cast columns to the types of the training rows, if these hold all of their cells."""
    if list(frame.dtypes) == list(dtypes):
        return frame
    columns = {i: _cast(frame.iloc[:, i], wanted) for i, wanted in enumerate(dtypes)}
    return pd.DataFrame(columns, index=frame.index)


def _cast(column: pd.Series, wanted: Any) -> pd.Series:
    """Cast a column, or return it unchanged if the cast would change a cell."""
    if column.dtype == wanted:
        return column
    if isinstance(wanted, pd.CategoricalDtype):
        return _as_categories(column, wanted)
    try:
        with np.errstate(all="ignore"):
            cast = column.astype(wanted)
            is_equal = cast.astype(column.dtype).equals(column)
    except Exception:  # extension types raise errors of various classes
        return column
    return cast if is_equal and cast.isna().equals(column.isna()) else column


def _as_categories(column: pd.Series, wanted: pd.CategoricalDtype) -> pd.Series:
    """Cast a column to categories; unseen ones come last, and the model decides about them."""
    cells = column.dropna()
    try:
        unseen = cells[~cells.isin(wanted.categories)].unique().tolist()
        if not unseen:
            return column.astype(wanted)
        categories = [*wanted.categories, *unseen]
        return column.astype(pd.CategoricalDtype(categories, ordered=wanted.ordered))
    except TypeError:  # a cell that cannot be hashed is no category
        return column


def _as_polars(frame: pd.DataFrame, template: Any, nulls: frozenset[str]) -> Any:
    import polars as pl

    columns = {}
    for i, (name, dtype) in enumerate(template.schema.items()):
        column = frame.iloc[:, i]
        if column.dtype == object and not isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
            columns[name] = pl.Series(column.tolist(), dtype=dtype, strict=False)
        else:
            columns[name] = pl.from_pandas(column, nan_to_null=name in nulls).cast(dtype)
    return pl.DataFrame(columns)


def _from_polars(rows: Any) -> pd.DataFrame:
    """Convert a polars table; polars itself rounds large integers in columns with nulls."""
    return pd.DataFrame({i: _column_of_polars(c) for i, c in enumerate(rows.get_columns())})


def _column_of_polars(column: Any) -> Any:
    import polars as pl

    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Int128, pl.Decimal):
        cells = np.empty(len(column), dtype=object)
        cells[:] = column.to_list()
        return pd.Series(cells, dtype=object)
    if column.dtype.is_integer() and column.null_count():
        nullable = str(column.dtype)  # polars and pandas use the same names
        return pd.Series(column.to_list(), dtype=nullable)
    return column.to_pandas()


def _as_array(frame: pd.DataFrame, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Convert a DataFrame to an array, of another type if ``dtype`` would change a cell."""
    values: npt.NDArray[Any] = frame.to_numpy()
    if dtype.kind in "US":
        cells = values.astype(object).astype(dtype.kind)
        return cells.astype(max(cells.dtype, dtype, key=lambda text: text.itemsize))
    if values.dtype.kind not in "biuf" or dtype.kind not in "biuf":
        return np.asarray(frame.to_numpy(dtype=dtype))
    with np.errstate(all="ignore"):
        cast = values.astype(dtype)
    return cast if np.array_equal(cast, values, equal_nan=True) else values


def _is_polars(rows: Any) -> bool:
    return type(rows).__module__.partition(".")[0] == "polars"
