"""Containers of rows: selection, and conversion without a changed cell."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.dataframes import as_rows, n_columns, n_rows, take
from mlflow_interpret.explaining.encoding import Encoding

quick = settings(deadline=None, max_examples=40)


def frame(columns, n=2):
    return pd.DataFrame([list(range(len(columns)))] * n, columns=columns)


class TestRows:
    def test_lists_of_rows_become_an_array(self):
        rows = as_rows([[1, 2], [3, 4]])
        assert isinstance(rows, np.ndarray)
        assert (n_rows(rows), n_columns(rows)) == (2, 2)

    @pytest.mark.parametrize("rows", [[1, 2, 3], "rows", np.zeros((2, 2, 2)), pd.Series([1, 2])])
    def test_other_objects_are_refused(self, rows):
        with pytest.raises(CannotExplainError, match="initialization_examples is not a table"):
            as_rows(rows, "initialization_examples")

    @pytest.mark.parametrize(
        "values",
        [
            pd.Series(list("abc"), index=[7, 7, 9]),
            np.array(list("abc")),
            list("abc"),
            pd.DataFrame({"a": list("abc")}, index=[7, 7, 9]),
            sparse.coo_matrix(np.arange(6).reshape(3, 2)),
        ],
        ids=lambda values: type(values).__name__,
    )
    def test_rows_are_selected_by_position(self, values):
        taken = take(values, np.array([2, 0]))
        assert n_rows(taken) == 2
        dense = taken.toarray() if sparse.issparse(taken) else np.asarray(taken)
        whole = values.toarray() if sparse.issparse(values) else np.asarray(values)
        assert (dense == whole[[2, 0]]).all()

    @quick
    @given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 2**32 - 1))
    def test_sample_is_ordered_without_repetition_and_seeded(self, n, size, seed):
        rows = sample_rows(n, size, seed)
        assert len(rows) == min(n, size)
        assert (np.diff(rows) > 0).all()
        assert rows[0] >= 0
        assert rows[-1] < n
        assert np.array_equal(rows, sample_rows(n, size, seed))

    def test_different_seeds_choose_different_rows(self):
        assert not np.array_equal(sample_rows(1000, 10, 0), sample_rows(1000, 10, 1))


class TestContainer:
    """The model gets rows in the container of fit."""

    @pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8", "bool", "object"])
    def test_array_keeps_its_type(self, dtype):
        rows = np.array([[0, 1], [1, 0]]).astype(dtype)
        restored = as_batch(rows, ("a", "b"), rows).original
        assert restored.dtype == rows.dtype
        assert np.array_equal(restored, rows)

    def test_array_of_strings_is_restored(self):
        rows = np.array([["red", "s"], ["blue", "m"]])
        assert np.array_equal(as_batch(rows, ("a", "b"), rows).original, rows)

    def test_array_of_mixed_objects_is_restored(self):
        rows = np.array([["red", 1, None, 2.5], ["blue", 2, "x", np.nan]], dtype=object)
        restored = as_batch(rows, tuple("abcd"), rows).original
        assert restored.dtype == object
        assert [[repr(cell) for cell in row] for row in restored] == [
            [repr(cell) for cell in row] for row in rows
        ]

    @pytest.mark.parametrize(
        ("template", "given_rows"),
        [
            (np.array([[1, 2]]), np.array([[0.5, 2.25]])),
            (np.array([[1, 2]], dtype=np.uint8), np.array([[300, -1]])),
            (np.array([[1.0, 2.0]], dtype=np.float32), np.array([[1e300, 0.1]])),
            (np.array([["red"]]), np.array([["reddish"]])),
            (np.array([[1, 2]]), np.array([[np.nan, 1.0]])),
        ],
        ids=["fractions", "range", "precision", "length", "missing"],
    )
    def test_casts_do_not_change_cells(self, template, given_rows):
        names = tuple("ab")[: template.shape[1]]
        restored = as_batch(given_rows, names, template).original
        if restored.dtype.kind == "f":
            np.testing.assert_array_equal(restored, given_rows)
        else:
            assert (restored == given_rows).all()

    @pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix])
    def test_sparse_rows_stay_sparse(self, make):
        rows = make(np.array([[0, 0, 1.5], [2, 0, 0]]))
        restored = as_batch(rows, tuple("abc"), rows).original
        assert sparse.issparse(restored)
        assert restored.dtype == rows.dtype
        assert np.array_equal(restored.toarray(), rows.toarray())

    def test_dataframe_keeps_columns_and_types(self):
        rows = pd.DataFrame(
            {
                0: np.array([1, 2], dtype=np.int32),
                "b": ["x", "y"],
                ("c", 1): pd.Categorical(["u", "v"], categories=["v", "u", "w"], ordered=True),
                "d": pd.array([1, None], dtype="Int64"),
                "e": pd.to_datetime(["2020-01-01", "2021-01-01"]),
            }
        )
        rows.columns = pd.Index([0, "b", ("c", 1), "d", "e"], tupleize_cols=False)
        restored = as_batch(rows, tuple("ABCDE"), rows).original
        pd.testing.assert_frame_equal(restored, rows)

    def test_index_of_the_rows_is_ignored(self):
        rows = pd.DataFrame({"a": [1, 2, 3]}, index=[9, 9, 1])
        restored = as_batch(rows, ("a",), rows).subset(np.array([0, 2])).original
        assert restored["a"].tolist() == [1, 3]

    def test_categories_are_those_of_the_training_rows(self):
        training = pd.DataFrame({"a": pd.Categorical(["x", "y", "z"])})
        for rows in (
            pd.DataFrame({"a": pd.Categorical(["z"])}),
            pd.DataFrame({"a": ["z"]}),
            np.array([["z"]]),
        ):
            restored = as_batch(rows, ("a",), training).original
            assert restored["a"].dtype == training["a"].dtype
            assert restored["a"].tolist() == ["z"]

    @pytest.mark.parametrize("is_ordered", [False, True])
    def test_unseen_categories_follow_those_of_the_training_rows(self, is_ordered):
        dtype = pd.CategoricalDtype(["y", "x"], ordered=is_ordered)
        training = pd.DataFrame({"a": pd.Series(["x", "y"], dtype=dtype)})
        cells = ["x", "new", None, "y"]
        for column in (pd.Series(cells, dtype=object), pd.Series(cells, dtype="category")):
            restored = as_batch(pd.DataFrame({"a": column}), ("a",), training).original["a"]
            assert restored.dtype == pd.CategoricalDtype(["y", "x", "new"], ordered=is_ordered)
            assert restored.dropna().tolist() == ["x", "new", "y"]
            assert restored.isna().tolist() == [False, False, True, False]

    @pytest.mark.parametrize("container", ["frame", "array"])
    def test_model_gets_rows_without_warnings(self, container):
        X, y = load_diabetes(return_X_y=True, as_frame=True)
        X = X if container == "frame" else X.to_numpy()
        model = RandomForestRegressor(2, random_state=0).fit(X, y)
        names = tuple(f"renamed {i}" for i in range(10))
        rows = as_batch(X, names, X)
        coding = Encoding(rows.frame)
        decoded = rows.restore(coding.decode(coding.encode(rows.frame)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            predicted = model.predict(decoded)
        assert np.array_equal(predicted, model.predict(X))

    def test_pipeline_gets_the_original_column_names(self):
        X = pd.DataFrame({"k": ["a", "b", "a"], 7: [1.0, 2.0, 3.0]})
        encoder = make_column_transformer((OneHotEncoder(), [0]), remainder="passthrough")
        model = make_pipeline(encoder, RandomForestRegressor(2)).fit(
            X.rename(columns=str), [1, 2, 3]
        )
        rows = as_batch(X.rename(columns=str), ("kind", "size"), X.rename(columns=str))
        assert list(rows.frame) == ["kind", "size"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.predict(rows.original)


def test_polars_rows_stay_polars():
    pl = pytest.importorskip("polars")
    rows = pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"], "c": [1.5, None, 2.5]})
    prepared = as_batch(rows, ("A", "B", "C"), rows)
    assert list(prepared.frame) == ["A", "B", "C"]
    assert prepared.original.equals(rows)
    coding = Encoding(prepared.frame)
    assert prepared.restore(coding.decode(coding.encode(prepared.frame))).equals(rows)
    assert take(rows, np.array([2, 0]))["a"].to_list() == [3, 1]
    assert feature_names(rows, None) == ("a", "b", "c")
