"""The user's rows: names, samples, and the way back to the container the model was fitted with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from mlflow_interpret.errors import CannotExplainError
from mlflow_interpret.records import distinct_names

Indices = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """Some rows, as a DataFrame with the reported names and in the user's own container.

    Attributes:
        frame: ``(n_rows, n_features)``, one column for each reported feature name.
        template: A row-less copy of the user's container, which `restore` fills.
    """

    frame: pd.DataFrame
    template: Any

    def __len__(self) -> int:
        return len(self.frame)

    def restore(self, frame: pd.DataFrame) -> Any:
        """``frame`` in the container, with the column names and types, that ``fit`` was given."""
        if isinstance(self.template, pd.DataFrame):
            return _as_categorical(frame, self.template.dtypes).set_axis(
                self.template.columns, axis=1
            )
        if sparse.issparse(self.template):
            return sparse.csr_matrix(_as_array(frame, self.template.dtype))
        if _is_polars(self.template):
            import polars as pl

            columns = frame.set_axis(self.template.columns, axis=1)
            return pl.from_pandas(columns).cast(dict(self.template.schema))
        return _as_array(frame, np.asarray(self.template).dtype)

    @property
    def original(self) -> Any:
        """These rows as the model takes them."""
        return self.restore(self.frame)

    def subset(self, indices: Indices) -> Table:
        """The rows at ``indices``."""
        return Table(self.frame.iloc[indices], self.template)


def _as_categorical(frame: pd.DataFrame, dtypes: pd.Series) -> pd.DataFrame:
    """``frame`` with the categories of the training rows, where these hold all of its cells."""
    if not any(isinstance(dtype, pd.CategoricalDtype) for dtype in dtypes):
        return frame
    columns = {}
    for i, wanted in enumerate(dtypes):
        column = frame.iloc[:, i]
        if isinstance(wanted, pd.CategoricalDtype) and column.dtype != wanted:
            known = column.dropna().isin(wanted.categories).all()
            column = column.astype(wanted) if known else column
        columns[i] = column
    return pd.DataFrame(columns, index=frame.index)


def _as_array(frame: pd.DataFrame, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """``frame`` as an array of ``dtype``, or of its own where that would change a cell."""
    values: npt.NDArray[Any] = frame.to_numpy()
    if dtype.kind in "US":  # as wide as the cells need
        return values.astype(object).astype(dtype.kind)
    if values.dtype.kind not in "biuf" or dtype.kind not in "biuf":
        return np.asarray(frame.to_numpy(dtype=dtype))
    with np.errstate(all="ignore"):
        cast = values.astype(dtype)
    return cast if np.array_equal(cast, values, equal_nan=True) else values


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


def as_rows(X: Any, name: str = "X") -> Any:
    """``X`` if it is a table, a 2-D array made of it if it is a list of rows.

    Raises:
        CannotExplainError: ``X`` is no table of rows and columns.
    """
    if isinstance(X, pd.DataFrame) or sparse.issparse(X) or _is_polars(X):
        return X
    array = np.asarray(X)
    if array.ndim != 2:
        raise CannotExplainError(
            f"{name} is no table of rows and columns: {type(X).__name__} of shape {array.shape}"
        )
    return array


def n_columns(X: Any) -> int:
    """The number of columns of a table."""
    return int(X.shape[1])


def n_rows(X: Any) -> int:
    """The number of rows of a table or of a column of labels."""
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape else len(X)


def sample(n: int, size: int, seed: int) -> Indices:
    """``size`` of ``n`` row numbers, without repetition, rising; all when ``n <= size``."""
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))


def take(values: Any, indices: Indices) -> Any:
    """The rows of a table, or the labels, at ``indices``; never a copy of the whole."""
    if isinstance(values, (pd.DataFrame, pd.Series)):
        return values.iloc[indices]
    if sparse.issparse(values):
        return values.tocsr()[indices]
    if _is_polars(values):
        return values[indices.tolist()]
    return np.asarray(values)[indices]


def table(rows: Any, names: Sequence[str], template: Any, argument: str = "X") -> Table:
    """``rows`` under the reported ``names``, to be given to the model as ``template`` was.

    Args:
        rows: The rows, in any container.
        names: The reported feature names.
        template: The training rows, whose container and columns the model expects.
        argument: What the user calls ``rows``.

    Raises:
        CannotExplainError: ``rows`` has other columns than ``template``.
    """
    rows = _align(rows, template, argument)
    if isinstance(rows, pd.DataFrame):
        frame = rows.reset_index(drop=True)
    elif sparse.issparse(rows):
        frame = pd.DataFrame(rows.toarray())
    elif _is_polars(rows):
        frame = rows.to_pandas()
    else:
        frame = pd.DataFrame(rows, dtype=rows.dtype if rows.dtype == object else None)
        if rows.dtype == object:
            frame = pd.DataFrame({name: _as_numbers(column) for name, column in frame.items()})
    if sparse.issparse(template):  # most sparse formats, as hstack's, cannot be sliced
        empty = sparse.csr_matrix((0, n_columns(template)), dtype=template.dtype)
    else:
        empty = template[:0]
    return Table(frame.set_axis(list(names), axis=1), empty)


def _as_numbers(column: pd.Series) -> pd.Series:
    """A column of objects as numbers where all its cells are; nothing else keeps None as it is."""
    numbers = column.infer_objects()
    exact = numbers.dtype.kind in "biuf" and not any(cell is None for cell in column)
    return numbers if exact else column


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


def _is_polars(rows: Any) -> bool:
    return type(rows).__module__.partition(".")[0] == "polars"


_EXACT = 2**53  # larger integers, as identifiers may be, are no floating point numbers


class Coding:
    """Turns rows of any types into numbers, one column for one column, and back.

    Explainers sample and mix cells as numbers. Numeric columns without missing values stay as
    they are; any other column becomes the position of its value among the values seen, so that
    the model gets the very cells back that the user's rows hold.
    """

    def __init__(self, *frames: pd.DataFrame) -> None:
        both = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        self._names = list(both.columns)
        self._dtypes = [both.iloc[:, i].dtype for i in range(both.shape[1])]
        self._values: list[pd.Series | None] = [
            None if _is_plain(both.iloc[:, i]) else _distinct(both.iloc[:, i])
            for i in range(both.shape[1])
        ]

    def encode(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """``(n_rows, n_features)`` numbers."""
        columns = [
            frame.iloc[:, i].to_numpy(dtype=np.float64) if values is None
            else _codes(frame.iloc[:, i], values)
            for i, values in enumerate(self._values)
        ]  # fmt: skip
        return np.column_stack(columns)

    def decode(self, numbers: npt.NDArray[np.float64]) -> pd.DataFrame:
        """The rows that ``numbers`` stand for, in types that hold the cells of all frames."""
        columns: dict[int, Any] = {}
        for i, values in enumerate(self._values):
            column = numbers[:, i]
            if values is None:
                columns[i] = pd.Series(column).astype(self._dtypes[i])
            else:
                columns[i] = values.take(column.astype(np.intp)).reset_index(drop=True)
        return pd.DataFrame(columns).set_axis(self._names, axis=1)


def is_numeric(frame: pd.DataFrame) -> bool:
    """Whether all cells are real numbers, or missing in a column of numbers."""
    return all(_is_real(frame.iloc[:, i]) for i in range(frame.shape[1]))


def numbers(frame: pd.DataFrame) -> Numbers:
    """The cells of a numeric frame, NaN where one is missing."""
    cells: Numbers = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return cells


def _is_real(column: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return False
    if pd.api.types.is_integer_dtype(column.dtype):
        known = column.dropna()
        return known.empty or bool((known.max() <= _EXACT) and (known.min() >= -_EXACT))
    return not pd.api.types.is_complex_dtype(column.dtype)


def _is_plain(column: pd.Series) -> bool:
    return _is_real(column) and not column.isna().any()


def _distinct(column: pd.Series) -> pd.Series:
    if column.dtype != object:
        return column.drop_duplicates().sort_values(na_position="last").reset_index(drop=True)
    # Not left to pandas: it may turn None into NaN where the other objects are all texts.
    cells = list({_key(value): value for value in column}.values())
    missing = [cell for cell in cells if pd.isna(cell)]
    present = [cell for cell in cells if not pd.isna(cell)]
    with suppress(TypeError):  # values of types that have no order among them
        present.sort()
    return pd.Series(present + missing, dtype=object)


def _codes(column: pd.Series, values: pd.Series) -> npt.NDArray[np.float64]:
    known = {_key(value): code for code, value in enumerate(values)}
    return np.array([known[_key(value)] for value in column], dtype=np.float64)


def _key(value: Any) -> Any:
    # Missing values do not equal themselves; None and NaN, 1 and True do not stand for each other.
    kind = type(value).__name__
    return ("missing", kind) if pd.isna(value) else (kind, value)
