"""Hypothesis strategies of tables, models and targets: cells of every kind, in every container."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

Column = Callable[[int, np.random.Generator], Any]
START = pd.Timestamp("2020-02-28 23:00")


def _objects(*values: Any) -> Column:
    def column(n: int, draw: np.random.Generator) -> Any:
        cells = np.empty(n, dtype=object)
        cells[:] = [values[i] for i in draw.integers(len(values), size=n)]
        return pd.Series(cells, dtype=object)

    return column


def _of_dtype(dtype: Any, *values: Any) -> Column:
    return lambda n, draw: _objects(*values)(n, draw).astype(dtype)


def _floats(*special: float) -> Column:
    def column(n: int, draw: np.random.Generator) -> Any:
        cells = draw.normal(size=n).round(2)
        cells[draw.random(n) < 0.3] = special[draw.integers(len(special))] if special else 0.0
        return pd.Series(cells)

    return column


NUMBERS: dict[str, Column] = {
    "floats": _floats(),
    "integers": lambda n, draw: pd.Series(draw.integers(-5, 5, size=n)),
    "booleans": lambda n, draw: pd.Series(draw.random(n) < 0.5),
    "constant": lambda n, draw: pd.Series(np.full(n, 3.0)),
    "single precision": lambda n, draw: pd.Series(draw.normal(size=n).astype(np.float32)),
    "unsigned bytes": lambda n, draw: pd.Series(draw.integers(0, 255, size=n).astype(np.uint8)),
    "missing": _floats(np.nan),
    "infinite": _floats(np.inf, -np.inf),
    "huge": _floats(1e300, -1e300),
    "all missing": lambda n, draw: pd.Series(np.full(n, np.nan)),
}
COLUMNS: dict[str, Column] = NUMBERS | {
    "mixed": _objects(1, "1", None, 2.5, ("a",)),
    "texts": _objects("a", "b", "", "é中"),
    "empty texts": _objects(""),
    "bytes": _objects(b"", b"\x00\xff"),
    "decimals": _objects(decimal.Decimal("1.10"), decimal.Decimal("NaN"), decimal.Decimal(7)),
    "huge integers": _objects(10**30, -(10**25), 1),
    "complex": lambda n, draw: pd.Series(draw.normal(size=n) + 1j),
    "lists": _objects([1, [2]], [], ["a"]),
    "dictionaries": _objects({"a": 1}, {}),
    "dates": _objects(dt.date(2020, 2, 29), dt.date(1, 1, 1)),
    "datetimes": _of_dtype("datetime64[ns]", START, pd.NaT, START + pd.Timedelta("1h")),
    "zoned datetimes": _of_dtype(
        "datetime64[ns, Europe/Berlin]", START.tz_localize("UTC"), pd.Timestamp(0, tz="UTC")
    ),
    "timedeltas": _of_dtype("timedelta64[ns]", pd.Timedelta("1D"), pd.NaT),
    "periods": _of_dtype("period[M]", pd.Period("2020-01", "M"), pd.Period("1999-12", "M")),
    "intervals": _of_dtype("interval", pd.Interval(0, 1), pd.Interval(1, 2)),
    "categories": _of_dtype("category", "x", "y", "z"),
    "ordered categories": _of_dtype(pd.CategoricalDtype([3, 1, 2, 9], ordered=True), 1, 2, 3),
    "nullable integers": _of_dtype("Int64", 1, 2, None),
    "nullable booleans": _of_dtype("boolean", True, False, None),
    "strings": _of_dtype("string", "a", "b", None),
    "arrow strings": _of_dtype("string[pyarrow]", "a", "", None),
    "sparse": _of_dtype(pd.SparseDtype(float, 0.0), 0.0, 0.0, 1.5),
}
NAMES = ("a", "", "a", 7, "x/y\n<b>", ("deep", 1), None, "é", "importance/a")


def _frame(kinds: list[str], names: list[Any], n: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    columns = [COLUMNS[kind](n, draw) for kind in kinds]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(n))
    frame.columns = pd.Index(names, tupleize_cols=False, dtype=object)
    return frame


CONTAINERS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "texts as names": lambda frame: frame.set_axis(
        [f"c{i}" for i in range(frame.shape[1])], axis=1
    ),
    "repeated index": lambda frame: frame.set_axis(np.zeros(len(frame), int), axis=0),
    "levels of rows": lambda frame: frame.set_axis(
        pd.MultiIndex.from_arrays([np.arange(len(frame)) % 2, np.arange(len(frame))]), axis=0
    ),
    "levels of columns": lambda frame: frame.set_axis(
        pd.MultiIndex.from_arrays([["top"] * frame.shape[1], range(frame.shape[1])]), axis=1
    ),
    "array": lambda frame: frame.to_numpy(),
    "objects": lambda frame: frame.to_numpy(dtype=object),
    "lists": lambda frame: frame.to_numpy(dtype=object).tolist(),
    "polars": lambda frame: pl.from_pandas(
        frame.set_axis([f"c{i}" for i in range(frame.shape[1])], axis=1)
    ),
    "sparse": lambda frame: sparse.csr_matrix(frame.to_numpy(dtype=float)),
    "sparse by column": lambda frame: sparse.csc_array(frame.to_numpy(dtype=float)),
}


def _cells(X: Any) -> list[list[Any]]:
    if sparse.issparse(X):
        return X.toarray().tolist()
    if hasattr(X, "rows"):
        return [list(row) for row in X.rows()]
    return [list(row) for row in (X.itertuples(index=False) if hasattr(X, "iloc") else X)]


class AnyCells(RegressorMixin, BaseEstimator):
    """Takes any cells: the prediction depends on the text of each of them."""

    def fit(self, X: Any, y: Any) -> AnyCells:
        self.mean_ = float(np.mean([len(str(label)) for label in y]))
        return self

    def predict(self, X: Any) -> Any:
        texts = [[len(repr(cell)) % 7 for cell in row] for row in _cells(X)]
        return self.mean_ + np.array([float(sum(row)) for row in texts])


class AnyLabels(ClassifierMixin, BaseEstimator):
    """A classifier that takes any cells."""

    def fit(self, X: Any, y: Any) -> AnyLabels:
        self.classes_ = np.unique(np.asarray(y))
        return self

    def predict(self, X: Any) -> Any:
        return self.classes_[[len(repr(row)) % len(self.classes_) for row in _cells(X)]]


MODELS: dict[str, Callable[[], Any]] = {
    "any cells": AnyCells,
    "any labels": AnyLabels,
    "mean": DummyRegressor,
    "most frequent": DummyClassifier,
    "tree": lambda: DecisionTreeRegressor(max_depth=3, random_state=0),
    "classifying tree": lambda: DecisionTreeClassifier(max_depth=3, random_state=0),
    "forest": lambda: RandomForestClassifier(3, max_depth=3, random_state=0),
    "boosting": lambda: HistGradientBoostingRegressor(max_iter=3, random_state=0),
    "linear": LinearRegression,
    "logistic": lambda: LogisticRegression(max_iter=20),
    # A tree of neighbours counts its queries, also those of an explanation.
    "neighbours": lambda: KNeighborsRegressor(2, algorithm="brute"),
    "support vectors": SVR,
    "codes": lambda: make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression()),
    "scaled": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=20)),
}
TARGETS: dict[str, Column] = {
    "floats": _floats(),
    "classes": _objects("no", "yes"),
    "flags": NUMBERS["booleans"],
    "integers": NUMBERS["integers"],
    "missing": NUMBERS["missing"],
    "mixed": COLUMNS["mixed"],
}


@st.composite
def fits(draw: st.DrawFn) -> tuple[Callable[[], Any], Callable[[], tuple[Any, Any]]]:
    """A function that makes an estimator, and one that makes its rows and targets, afresh."""
    some = st.sampled_from(sorted(NUMBERS)) | st.sampled_from(sorted(COLUMNS))
    kinds = draw(st.lists(some, min_size=1, max_size=4), label="columns")
    names = draw(st.lists(st.sampled_from(NAMES), min_size=len(kinds), max_size=len(kinds)))
    n = draw(st.sampled_from([20, 20, 20, 8, 2, 1, 0]), label="rows")
    seed = draw(st.integers(0, 9), label="seed")
    container = draw(st.sampled_from(sorted(CONTAINERS)), label="container")
    target = draw(st.sampled_from(sorted(TARGETS)), label="target")
    model = draw(st.sampled_from(sorted(MODELS)), label="model")

    def data() -> tuple[Any, Any]:
        frame = _frame(kinds, names, n, seed)
        y = TARGETS[target](n, np.random.default_rng(seed + 1))
        return CONTAINERS[container](frame), y.to_numpy()

    return MODELS[model], data
