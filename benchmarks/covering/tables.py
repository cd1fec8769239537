"""Section 5: kinds of tables, names of columns, and sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.covering import data
from benchmarks.covering.case import Case, Fitted, Missing
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

Build = Callable[[], Fitted]


def _encoded(encoder: Any, last: Any, columns: Any = None) -> Any:
    pick = columns or data.TEXTS
    return make_pipeline(make_column_transformer((encoder, pick), remainder="passthrough"), last)


def _one_hot() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore")


def _texts(dtype: Any) -> Fitted:
    X, y = data.diamonds()
    X = X.astype(dict.fromkeys(data.TEXTS, dtype))
    return Fitted(_encoded(_one_hot(), Ridge()).fit(X, y), X)


def _native_categories() -> Fitted:
    X, y = data.diamonds()
    X = X.astype(dict.fromkeys(data.TEXTS, "category"))
    model = HistGradientBoostingRegressor(categorical_features="from_dtype")
    return Fitted(model.fit(X, y), X)


def _booleans(dtype: str, make: Callable[[], Any]) -> Fitted:
    X, y = data.cancer()
    frame = (X > 0).astype(dtype)
    return Fitted(make().fit(frame, y), frame)


def _days(frame: pd.DataFrame) -> Any:
    return np.column_stack([frame["day"].dt.month, frame["day"].dt.dayofweek])


def _dates(*, missing: bool) -> Fitted:
    X, y = data.diabetes()
    days = pd.Series(pd.date_range("2024-01-01", periods=len(X), freq="D"))
    if missing:
        days[::9] = pd.NaT
    frame = X.assign(day=days)
    columns = make_column_transformer((FunctionTransformer(_days), ["day"]),
                                      remainder="passthrough")  # fmt: skip
    model = make_pipeline(columns, HistGradientBoostingRegressor())
    return Fitted(model.fit(frame, y), frame)


def _nullable(dtype: str, make: Callable[[], Any], share: float) -> Fitted:
    X, y = data.cancer()
    frame = X.astype(dtype)
    if share:
        frame = frame.mask(np.random.default_rng(0).random(X.shape) < share)
    return Fitted(make().fit(frame, y), frame)


def _nullable_integers() -> Fitted:
    X, y = data.cancer()
    frame = (X * 10).round().astype("Int64")
    return Fitted(LogisticRegression().fit(frame, y), frame)


def _arrow_mixed() -> Fitted:
    X, y = data.diamonds()
    frame = X.convert_dtypes(dtype_backend="pyarrow")
    return Fitted(_encoded(_one_hot(), Ridge()).fit(frame, y), frame)


def _missing(make: Callable[[], Any]) -> Fitted:
    X, y = data.cancer()
    frame = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
    return Fitted(make().fit(frame, y), frame)


def _all_missing() -> Fitted:
    X, y = data.cancer()
    frame = X.assign(empty=np.nan)
    return Fitted(_forest().fit(frame, y), frame)


def _none_texts() -> Fitted:
    X, y = data.diamonds()
    frame = X.astype(dict.fromkeys(data.TEXTS, object))
    frame.loc[::7, "cut"] = None
    return Fitted(_encoded(_one_hot(), Ridge()).fit(frame, y), frame)


def _array(dtype: Any, order: str = "C") -> Fitted:
    X, y = data.cancer()
    cells = np.asarray(X.to_numpy() * 10, dtype=dtype, order=order)  # type: ignore[call-overload]
    return Fitted(RandomForestClassifier(20, random_state=0).fit(cells, y), cells)


def _object_array() -> Fitted:
    X, y = data.diamonds()
    cells = X.to_numpy(dtype=object)
    return Fitted(_encoded(_one_hot(), Ridge(), [1, 2, 3]).fit(cells, y), cells)


def _lists() -> Fitted:
    X, y = data.cancer()
    rows = X.to_numpy().tolist()
    return Fitted(LogisticRegression().fit(rows, y), rows)


def _sparse(container: Callable[[Any], Any], make: Callable[[], Any]) -> Fitted:
    X, y = data.cancer()
    matrix = container(X.where(X > 0, 0.0).to_numpy())
    return Fitted(make().fit(matrix, y), matrix)


def _polars(*, texts: bool) -> Fitted:
    try:
        import polars as pl
    except ImportError as error:
        raise Missing("polars") from error
    X, y = data.diamonds()
    frame = pl.DataFrame({c: X[c].tolist() for c in (X.columns if texts else data.NUMBERS)})
    model = _encoded(_one_hot(), Ridge()) if texts else RandomForestRegressor(10, random_state=0)
    return Fitted(model.fit(frame, y), frame)


def _names(names: list[Any], make: Callable[[], Any]) -> Fitted:
    X, y = data.cancer()
    frame = X.iloc[:, : len(names)].set_axis(names, axis=1)
    return Fitted(make().fit(frame, y), frame)


def _tuples() -> Fitted:
    X, y = data.cancer()
    columns = pd.MultiIndex.from_tuples([("a", i) for i in range(X.shape[1])])
    frame = X.set_axis(columns, axis=1)
    return Fitted(LogisticRegression().fit(frame, y), frame)


def _one_column(make: Callable[[], Any]) -> Fitted:
    X, y = data.cancer()
    return Fitted(make().fit(X.iloc[:, :1], y), X.iloc[:, :1])


def _many_columns(make: Callable[[], Any], width: int) -> Fitted:
    X, y = data.cancer()
    noise = np.random.default_rng(0).normal(size=(len(X), width - X.shape[1]))
    cells = np.hstack([X.to_numpy(), noise])
    frame = pd.DataFrame(cells, columns=[f"column {i}" for i in range(width)])
    return Fitted(make().fit(frame, y), frame)


def _few_rows(make: Callable[[], Any], rows: int) -> Fitted:
    X, y = data.cancer()
    picked = np.r_[np.flatnonzero(y == 0)[: rows // 2], np.flatnonzero(y == 1)][:rows]
    return Fitted(make().fit(X.iloc[picked], y[picked]), X.iloc[picked])


def _many_rows(make: Callable[[], Any], *, classes: bool, texts: bool) -> Fitted:
    X, y = data.diamonds(1_000_000)
    frame = X if texts else X[data.NUMBERS]
    target = np.where(y > np.median(y), "dear", "cheap") if classes else y
    return Fitted(make().fit(frame, target), frame)


def _index(index: Callable[[int], Any]) -> Fitted:
    X, y = data.cancer()
    frame = X.set_axis(index(len(X)), axis=0)
    return Fitted(RandomForestClassifier(20, random_state=0).fit(frame, y), frame)


def _duplicates() -> Fitted:
    X, y = data.cancer()
    frame = X.set_axis(["a", "a", "b", "b", "b", "c", "d", "e"], axis=1)
    return Fitted(RandomForestClassifier(20, random_state=0).fit(frame, y), frame)


def _constant_column() -> Fitted:
    X, y = data.cancer()
    frame = X.assign(constant=1.0)
    return Fitted(SVC(probability=False).fit(frame, y), frame)


def _large_integers() -> Fitted:
    X, y = data.cancer()
    frame = X.assign(id=np.arange(len(X)) + 2**60)
    return Fitted(DecisionTreeClassifier(max_depth=3, random_state=0).fit(frame, y), frame)


def _huge_values() -> Fitted:
    X, y = data.diabetes()
    return Fitted(LinearRegression().fit(X * 1e200, y), X * 1e200)


def _forest() -> RandomForestClassifier:
    return RandomForestClassifier(20, random_state=0)


_CELLS: tuple[tuple[str, Build], ...] = (
    ("text columns, dtype str", partial(_texts, "str")),
    ("text columns, dtype object", partial(_texts, object)),
    ("text columns, dtype string (nullable)", partial(_texts, "string")),
    ("text columns, dtype string[pyarrow]", partial(_texts, "string[pyarrow]")),
    ("text columns, dtype category", partial(_texts, "category")),
    ("categorical columns, HistGradientBoostingRegressor", _native_categories),
    ("text columns with None", _none_texts),
    ("booleans, forest", partial(_booleans, "bool", _forest)),
    ("booleans, LogisticRegression", partial(_booleans, "bool", LogisticRegression)),
    ("booleans, SVC", partial(_booleans, "bool", SVC)),
    ("nullable booleans, forest", partial(_booleans, "boolean", _forest)),
    ("dates behind a FunctionTransformer", partial(_dates, missing=False)),
    ("dates with NaT", partial(_dates, missing=True)),
    ("Float64, LogisticRegression", partial(_nullable, "Float64", LogisticRegression, 0.0)),
    ("Float64 with NA, HistGradientBoostingClassifier",
     partial(_nullable, "Float64", HistGradientBoostingClassifier, 0.1)),
    ("Int64, LogisticRegression", _nullable_integers),
    ("double[pyarrow], forest", partial(_nullable, "double[pyarrow]", _forest, 0.0)),
    ("double[pyarrow] with NA, HistGradientBoostingClassifier",
     partial(_nullable, "double[pyarrow]", HistGradientBoostingClassifier, 0.1)),
    ("all columns Arrow, texts and numbers", _arrow_mixed),
    ("missing cells, forest", partial(_missing, _forest)),
    ("missing cells, HistGradientBoostingClassifier",
     partial(_missing, HistGradientBoostingClassifier)),
    ("missing cells, a decision tree", partial(_missing, DecisionTreeClassifier)),
    ("a column that is all missing", _all_missing),
    ("a constant column, SVC", _constant_column),
    ("a column of integers above 2**53", _large_integers),
    ("values of 1e200, LinearRegression", _huge_values),
)  # fmt: skip

_CONTAINERS: tuple[tuple[str, Build], ...] = (
    ("numpy float64", partial(_array, np.float64)),
    ("numpy float32", partial(_array, np.float32)),
    ("numpy int16", partial(_array, np.int16)),
    ("numpy float64, Fortran order", partial(_array, np.float64, "F")),
    ("numpy objects, texts and numbers", _object_array),
    ("a list of lists", _lists),
    ("csr_matrix, LogisticRegression", partial(_sparse, sparse.csr_matrix, LogisticRegression)),
    ("csc_matrix, forest", partial(_sparse, sparse.csc_matrix, _forest)),
    ("csr_array, forest", partial(_sparse, sparse.csr_array, _forest)),
    ("coo_matrix, LogisticRegression", partial(_sparse, sparse.coo_matrix, LogisticRegression)),
    ("csr_matrix, SVC", partial(_sparse, sparse.csr_matrix, SVC)),
    ("csr_matrix, KNeighborsClassifier",
     partial(_sparse, sparse.csr_matrix, KNeighborsClassifier)),
    ("polars, numbers", partial(_polars, texts=False)),
    ("polars, texts and numbers", partial(_polars, texts=True)),
)  # fmt: skip

_NAMES: tuple[tuple[str, Build], ...] = (
    ("names 0 to 7 (integers), forest", partial(_names, list(range(8)), _forest)),
    ("names 0 to 7 (integers), SVC", partial(_names, list(range(8)), SVC)),
    ("tuples (MultiIndex), LogisticRegression", _tuples),
    ("names that repeat, forest", _duplicates),
    ("empty names, SVC", partial(_names, ["", " ", "a", "b"], SVC)),
    ("names of 500 characters, forest",
     partial(_names, [f"{'long ' * 100}{i}" for i in range(8)], _forest)),
    ('names with | / \\ " ä 漢 and a line break, SVC',
     partial(_names, ["a|b", "c/d", "e\\f", 'g"h', "ä", "漢", "i\nj", "[k]<l>"], SVC)),
    ("index of dates", partial(_index, lambda n: pd.date_range("2024-01-01", periods=n))),
    ("index that repeats", partial(_index, lambda n: [0] * n)),
)  # fmt: skip


def _boosting() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=20)


def _prices() -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=20)


_SIZES: tuple[tuple[str, Build], ...] = (
    ("1 column, LogisticRegression", partial(_one_column, LogisticRegression)),
    ("1 column, forest", partial(_one_column, _forest)),
    ("1 column, SVC", partial(_one_column, SVC)),
    ("5 rows, forest", partial(_few_rows, _forest, 5)),
    ("5 rows, LogisticRegression", partial(_few_rows, LogisticRegression, 5)),
    ("5 rows, SVC", partial(_few_rows, SVC, 5)),
    ("2 rows, LogisticRegression", partial(_few_rows, LogisticRegression, 2)),
    ("2 rows, SVC", partial(_few_rows, SVC, 2)),
    ("1,000 columns, SVC", partial(_many_columns, SVC, 1_000)),
    ("10,000 columns, LogisticRegression",
     partial(_many_columns, LogisticRegression, 10_000)),
    ("10,000 columns, forest", partial(_many_columns, _forest, 10_000)),
    ("10,000 columns, DummyClassifier (constant)",
     partial(_many_columns, DummyClassifier, 10_000)),
    ("10,000 columns, SVC", partial(_many_columns, SVC, 10_000)),
    ("1,000,000 rows, LogisticRegression",
     partial(_many_rows, LogisticRegression, classes=True, texts=False)),
    ("1,000,000 rows, HistGradientBoostingClassifier",
     partial(_many_rows, _boosting, classes=True, texts=False)),
    ("1,000,000 rows, texts, OneHotEncoder and Ridge", partial(
        _many_rows, lambda: _encoded(_one_hot(), Ridge()), classes=False, texts=True)),
    ("1,000,000 rows, texts, OrdinalEncoder and HistGradientBoostingRegressor", partial(
        _many_rows, lambda: _encoded(OrdinalEncoder(), _prices()), classes=False, texts=True)),
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Cells, containers, names, sizes."""
    groups = {
        "Tables: cells": _CELLS,
        "Tables: containers": _CONTAINERS,
        "Tables: names": _NAMES,
        "Tables: sizes": _SIZES,
    }
    for section, rows in groups.items():
        for name, build in rows:
            yield Case(section, name, build)
