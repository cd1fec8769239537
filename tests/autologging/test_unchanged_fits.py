"""Fits of arbitrary tables are the same with and without `autolog`, and are never lost silently."""

from __future__ import annotations

import os
import pickle
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from scipy import sparse

import mlflow_interpret

from .tables import fits

# The full search takes minutes; every run of the tests takes a part of it.
N_TABLES = int(os.environ.get("FUZZED_TABLES", "40"))


@dataclass
class Outcome:
    """The visible results of a fit."""

    is_fitted: bool
    error: tuple[type, str] | None
    attributes: bytes
    predictions: bytes
    warnings: list[tuple[type, str]]
    rows: str
    targets: str


@contextmanager
def recorded_warnings() -> Iterator[list[Any]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def content(table: Any) -> str:
    """All cells, names, types and labels of rows. A pickle would show the caches of pandas, too."""
    if sparse.issparse(table):
        table = (type(table), table.data, table.indices, table.indptr, table.shape)
    if isinstance(table, pd.DataFrame):
        labels = (table.index, list(table.columns), table.columns.names, list(table.dtypes))
        return f"{labels!r} {[table.iloc[:, i].tolist() for i in range(table.shape[1])]!r}"
    return f"{type(table)} {table.rows() if hasattr(table, 'rows') else table!r}"


def fitted(make: Callable[[], Any], data: Callable[[], tuple[Any, Any]]) -> Outcome:
    model, (X, y) = make(), data()
    is_fitted, error, predictions = False, None, b""
    with recorded_warnings() as caught:
        try:
            returned = model.fit(X, y)
            assert returned is model
            is_fitted = True
            predictions = pickle.dumps(np.asarray(model.predict(X)))
        except Exception as failure:
            error = (type(failure), str(failure))
    return Outcome(
        is_fitted,
        error,
        pickle.dumps(model),
        predictions,
        [(warning.category, str(warning.message)) for warning in caught],
        content(X),
        content(y),
    )


@pytest.fixture
def automatic() -> Iterator[Callable[[bool], None]]:
    def switch(is_on: bool) -> None:
        mlflow_interpret.autolog(
            disable=not is_on, silent=True, log_figures=False, log_report=False, max_rows=3
        )

    yield switch
    mlflow_interpret.autolog(disable=True)


@pytest.mark.slow
def test_fits_are_unchanged_and_have_an_explanation_or_a_reason(store, automatic):
    counts: Counter[tuple[str, str | None]] = Counter()

    @settings(
        max_examples=N_TABLES, deadline=None, database=None, derandomize=N_TABLES <= 40,
        suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip
    @given(fits())
    def check(fit: Any) -> None:
        make, data = fit
        try:
            data()
        except Exception:  # no such table: polars has no column of mixed types, for example
            assume(False)
        threads = set(threading.enumerate())
        automatic(False)
        expected = fitted(make, data)
        automatic(True)
        with mlflow.start_run() as run:
            found = fitted(make, data)
        automatic(False)
        assert found == expected
        assert set(threading.enumerate()) <= threads | set(threading.enumerate()[:1])
        tags = mlflow.get_run(run.info.run_id).data.tags
        status = tags.get("mlflow_interpret.status")
        counts["fitted" if expected.is_fitted else "raises", status] += 1
        assert status in ({"complete", "skipped"} if expected.is_fitted else {None})

    check()
    print(dict(counts))
    assert counts["fitted", "complete"] > N_TABLES / 4  # most strategies give tables that fit
    assert counts["raises", None] > 0
