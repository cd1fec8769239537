"""The user's rows: names, order, samples, and every cell back as it was."""

from __future__ import annotations

import datetime as dt
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

from mlflow_interpret.errors import CannotExplainError
from mlflow_interpret.explaining.tables import (
    Coding,
    as_rows,
    feature_names,
    is_numeric,
    n_columns,
    n_rows,
    numbers,
    sample,
    table,
    take,
)

quick = settings(deadline=None, max_examples=40)


def frame(columns, n=2):
    return pd.DataFrame([list(range(len(columns)))] * n, columns=columns)


class TestNames:
    def test_columns_give_their_own_names(self):
        assert feature_names(frame(["age", "bmi"]), None) == ("age", "bmi")

    @pytest.mark.parametrize(
        "rows", [np.zeros((2, 3)), sparse.csr_matrix((2, 3))], ids=["array", "sparse"]
    )
    def test_a_table_without_names_gets_scikit_learn_s(self, rows):
        assert feature_names(rows, None) == ("x0", "x1", "x2")

    def test_whole_numbers_and_tuples_become_text(self):
        assert feature_names(frame([0, 1, 2]), None) == ("0", "1", "2")
        levels = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])
        assert feature_names(frame(levels), None) == ("a, 1", "a, 2")

    def test_a_number_and_its_text_stay_two_features(self):
        names = feature_names(frame([1, "1"]), None)
        assert names[0] == "1"
        assert len(set(names)) == 2

    def test_very_long_names_are_kept(self):
        long = "n" * 10_000
        assert feature_names(frame([long, "b"]), None) == (long, "b")

    @quick
    @given(st.lists(st.sampled_from(["", "a", "a.2", "x0", "x1", "a.2.2"]), min_size=1, max_size=8))
    def test_names_are_unique_not_empty_and_the_user_s_where_they_can_be(self, given_names):
        names = feature_names(frame(given_names), None)
        assert len(set(names)) == len(names) == len(given_names)
        assert all(names)
        for position, name in enumerate(given_names):
            if name and given_names.index(name) == position:
                assert names[position] == name

    def test_override_wins(self):
        assert feature_names(frame(["a", "b"]), ["x", "y"]) == ("x", "y")

    def test_override_of_another_length_says_both_lengths(self):
        with pytest.raises(
            CannotExplainError, match="3 names and the training rows have 2 columns"
        ):
            feature_names(frame(["a", "b"]), ["x", "y", "z"])


class TestRows:
    def test_lists_of_rows_become_an_array(self):
        rows = as_rows([[1, 2], [3, 4]])
        assert isinstance(rows, np.ndarray)
        assert (n_rows(rows), n_columns(rows)) == (2, 2)

    @pytest.mark.parametrize("rows", [[1, 2, 3], "rows", np.zeros((2, 2, 2)), pd.Series([1, 2])])
    def test_anything_else_is_refused_by_its_name(self, rows):
        with pytest.raises(CannotExplainError, match="initialization_examples is no table"):
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
    def test_rows_are_taken_by_position(self, values):
        taken = take(values, np.array([2, 0]))
        assert n_rows(taken) == 2
        dense = taken.toarray() if sparse.issparse(taken) else np.asarray(taken)
        whole = values.toarray() if sparse.issparse(values) else np.asarray(values)
        assert (dense == whole[[2, 0]]).all()

    @quick
    @given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 2**32 - 1))
    def test_a_sample_has_each_row_once_in_order_and_its_seed_decides(self, n, size, seed):
        rows = sample(n, size, seed)
        assert len(rows) == min(n, size)
        assert (np.diff(rows) > 0).all()
        assert rows[0] >= 0
        assert rows[-1] < n
        assert np.array_equal(rows, sample(n, size, seed))

    def test_different_seeds_choose_different_rows(self):
        assert not np.array_equal(sample(1000, 10, 0), sample(1000, 10, 1))


class TestAlignment:
    template = frame(["a", "b", "c"])

    def test_columns_in_another_order_are_put_in_that_of_the_fit(self):
        rows = pd.DataFrame({"c": [3], "a": [1], "b": [2]})
        aligned = table(rows, ("A", "B", "C"), self.template)
        assert aligned.frame.to_dict("records") == [{"A": 1, "B": 2, "C": 3}]
        assert list(aligned.original) == ["a", "b", "c"]

    def test_rows_without_names_go_by_position(self):
        aligned = table(np.array([[1.0, 2.0, 3.0]]), ("A", "B", "C"), self.template)
        assert aligned.original.to_dict("records") == [{"a": 1, "b": 2, "c": 3}]

    def test_missing_and_unexpected_columns_are_named_with_the_argument(self):
        rows = frame(["a", "c", "d"])
        with pytest.raises(
            CannotExplainError, match=r"evaluation_examples .* missing 'b', unexpected 'd'"
        ):
            table(rows, ("a", "b", "c"), self.template, "evaluation_examples")

    def test_many_missing_columns_are_named_in_part(self):
        wide = frame([f"column{i}" for i in range(50)])
        with pytest.raises(CannotExplainError, match="'column4' and 45 more, unexpected 'a'"):
            table(self.template, ("a", "b", "c"), wide)

    def test_another_number_of_columns_is_refused_by_its_name(self):
        with pytest.raises(CannotExplainError, match=r"initialization_examples has 2 .* have 3"):
            table(np.zeros((1, 2)), ("a", "b", "c"), self.template, "initialization_examples")

    def test_repeated_names_in_another_order_are_refused_rather_than_guessed(self):
        with pytest.raises(CannotExplainError, match="the same name"):
            table(frame(["b", "a", "a"]), ("a", "a.2", "b"), frame(["a", "a", "b"]))

    def test_repeated_names_in_the_same_order_are_fine(self):
        rows = table(frame(["a", "a", "b"]), ("a", "a.2", "b"), frame(["a", "a", "b"]))
        assert list(rows.original) == ["a", "a", "b"]


class TestContainer:
    """The model gets what it was fitted with."""

    @pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8", "bool", "object"])
    def test_an_array_comes_back_with_its_type(self, dtype):
        rows = np.array([[0, 1], [1, 0]]).astype(dtype)
        restored = table(rows, ("a", "b"), rows).original
        assert restored.dtype == rows.dtype
        assert np.array_equal(restored, rows)

    def test_an_array_of_strings_comes_back(self):
        rows = np.array([["red", "s"], ["blue", "m"]])
        assert np.array_equal(table(rows, ("a", "b"), rows).original, rows)

    def test_an_array_of_mixed_objects_comes_back_cell_by_cell(self):
        rows = np.array([["red", 1, None, 2.5], ["blue", 2, "x", np.nan]], dtype=object)
        restored = table(rows, tuple("abcd"), rows).original
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
    def test_no_cell_is_changed_to_fit_the_type_of_the_training_rows(self, template, given_rows):
        names = tuple("ab")[: template.shape[1]]
        restored = table(given_rows, names, template).original
        if restored.dtype.kind == "f":
            np.testing.assert_array_equal(restored, given_rows)
        else:
            assert (restored == given_rows).all()

    @pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix])
    def test_sparse_rows_come_back_sparse(self, make):
        rows = make(np.array([[0, 0, 1.5], [2, 0, 0]]))
        restored = table(rows, tuple("abc"), rows).original
        assert sparse.issparse(restored)
        assert restored.dtype == rows.dtype
        assert np.array_equal(restored.toarray(), rows.toarray())

    def test_a_dataframe_comes_back_with_its_columns_and_types(self):
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
        restored = table(rows, tuple("ABCDE"), rows).original
        pd.testing.assert_frame_equal(restored, rows)

    def test_the_index_of_the_rows_does_not_matter(self):
        rows = pd.DataFrame({"a": [1, 2, 3]}, index=[9, 9, 1])
        restored = table(rows, ("a",), rows).subset(np.array([0, 2])).original
        assert restored["a"].tolist() == [1, 3]

    def test_categories_are_those_of_the_training_rows(self):
        training = pd.DataFrame({"a": pd.Categorical(["x", "y", "z"])})
        for rows in (
            pd.DataFrame({"a": pd.Categorical(["z"])}),
            pd.DataFrame({"a": ["z"]}),
            np.array([["z"]]),
        ):
            restored = table(rows, ("a",), training).original
            assert restored["a"].dtype == training["a"].dtype
            assert restored["a"].tolist() == ["z"]

    def test_an_unknown_category_stays_what_it_is(self):
        training = pd.DataFrame({"a": pd.Categorical(["x", "y"])})
        rows = pd.DataFrame({"a": pd.Categorical(["new", "x"])})
        assert table(rows, ("a",), training).original["a"].tolist() == ["new", "x"]

    @pytest.mark.parametrize("container", ["frame", "array"])
    def test_the_model_has_nothing_to_warn_of(self, container):
        X, y = load_diabetes(return_X_y=True, as_frame=True)
        X = X if container == "frame" else X.to_numpy()
        model = RandomForestRegressor(2, random_state=0).fit(X, y)
        names = tuple(f"renamed {i}" for i in range(10))
        rows = table(X, names, X)
        coding = Coding(rows.frame)
        decoded = rows.restore(coding.decode(coding.encode(rows.frame)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            predicted = model.predict(decoded)
        assert np.array_equal(predicted, model.predict(X))

    def test_a_pipeline_finds_its_columns_by_their_original_names(self):
        X = pd.DataFrame({"k": ["a", "b", "a"], 7: [1.0, 2.0, 3.0]})
        encoder = make_column_transformer((OneHotEncoder(), [0]), remainder="passthrough")
        model = make_pipeline(encoder, RandomForestRegressor(2)).fit(
            X.rename(columns=str), [1, 2, 3]
        )
        rows = table(X.rename(columns=str), ("kind", "size"), X.rename(columns=str))
        assert list(rows.frame) == ["kind", "size"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.predict(rows.original)


def cells_equal(one, other):
    if one is other or (pd.isna(one) and pd.isna(other) and type(one) is type(other)):
        return True
    return type(one) is type(other) and bool(one == other)


COLUMNS = {
    "strings": pd.Series(["b", "a", "b", ""]),
    "strings with gaps": pd.Series(["b", None, "b", "a"]),
    "whole numbers": pd.Series([3, -1, 3, 2**40]),
    "small numbers": pd.Series([3, 1, 3, 2], dtype=np.int8),
    "floats": pd.Series([0.1, -0.0, 1e300, 5e-324]),
    "floats with gaps": pd.Series([0.1, np.nan, np.inf, -np.inf]),
    "single precision": pd.Series([0.1, 2.5, 3, 4], dtype=np.float32),
    "booleans": pd.Series([True, False, True, True]),
    "categories": pd.Series(pd.Categorical(["b", "a", "b", "a"], ["z", "b", "a"], ordered=True)),
    "categories with gaps": pd.Series(pd.Categorical(["b", None, "b", "a"])),
    "categories of numbers": pd.Series(pd.Categorical([3, 1, 3, 2])),
    "times": pd.Series(
        [pd.Timestamp("2020-01-01"), pd.Timestamp("1999-12-31 23:59:59.5"), None, pd.NaT]
    ),
    "times in a zone": pd.Series(pd.date_range("2020-03-28", periods=4, tz="Europe/Berlin")),
    "durations": pd.Series(pd.to_timedelta([1, 2, None, 1], unit="h")),
    "nullable whole numbers": pd.Series([1, None, 3, 1], dtype="Int64"),
    "nullable floats": pd.Series([1.5, None, 3, 1], dtype="Float64"),
    "nullable booleans": pd.Series([True, None, False, True], dtype="boolean"),
    "nullable without gaps": pd.Series([1, 2, 3, 1], dtype="Int64"),
    "nullable strings": pd.Series(["a", None, "b", "a"], dtype="string"),
    "dates": pd.Series([dt.date(2020, 1, 1), dt.date(1999, 1, 1), None, dt.date(2020, 1, 1)]),
    "mixed": pd.Series([1, "1", True, 1.0], dtype=object),
    "kinds of nothing": pd.Series([None, np.nan, "a", pd.NaT], dtype=object),
    "all missing": pd.Series([np.nan] * 4),
    "complex": pd.Series([1j, 2, 1j, 3]),
}


class TestCoding:
    @pytest.mark.parametrize("kind", COLUMNS)
    def test_every_cell_comes_back_with_its_type(self, kind):
        rows = pd.DataFrame({"column": COLUMNS[kind], "number": [1.0, 2.0, 3.0, 4.0]})
        coding = Coding(rows)
        numbers = coding.encode(rows)
        assert numbers.shape == (4, 2)
        assert numbers.dtype == np.float64
        assert np.isfinite(numbers[~np.isinf(rows["number"])]).all() or kind == "floats"
        decoded = coding.decode(numbers)
        assert decoded["column"].dtype == rows["column"].dtype
        for got, wanted in zip(decoded["column"], rows["column"], strict=True):
            assert cells_equal(got, wanted), (got, wanted)

    @pytest.mark.parametrize("kind", COLUMNS)
    def test_mixing_rows_mixes_cells(self, kind):
        rows = pd.DataFrame({"column": COLUMNS[kind], "number": [1.0, 2.0, 3.0, 4.0]})
        coding = Coding(rows)
        numbers = coding.encode(rows)
        numbers[:, 0] = numbers[::-1, 0]
        decoded = coding.decode(numbers)
        for got, wanted in zip(decoded["column"], rows["column"][::-1], strict=True):
            assert cells_equal(got, wanted)
        assert decoded["number"].tolist() == [1.0, 2.0, 3.0, 4.0]

    def test_numbers_need_no_code(self):
        rows = pd.DataFrame({"a": [3], "b": [1.5], "c": [True]})
        assert Coding(rows).encode(rows).tolist() == [[3.0, 1.5, 1.0]]

    def test_codes_keep_the_order_of_values(self):
        rows = pd.DataFrame({"a": ["m", "s", "l", "s"]})
        assert Coding(rows).encode(rows)[:, 0].tolist() == [1, 2, 0, 2]
        sizes = pd.Categorical(["m", "s", "l", "s"], categories=["s", "m", "l"], ordered=True)
        rows = pd.DataFrame({"a": sizes})
        assert Coding(rows).encode(rows)[:, 0].tolist() == [1, 0, 2, 0]

    def test_values_of_all_frames_have_a_code(self):
        rows, background = pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": ["y", "x", None]})
        coding = Coding(rows, background)
        for part in (rows, background):
            decoded = coding.decode(coding.encode(part))
            assert [*map(cells_equal, decoded["a"], part["a"])] == [True] * len(part)

    def test_a_type_holds_the_cells_of_all_frames(self):
        whole, halves = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [0.5, 1.5]})
        for order in ((whole, halves), (halves, whole)):
            coding = Coding(*order)
            assert coding.decode(coding.encode(halves))["a"].tolist() == [0.5, 1.5]
            assert coding.decode(coding.encode(whole))["a"].tolist() == [1, 2]

    @quick
    @given(
        st.lists(
            st.one_of(
                st.none(),
                st.booleans(),
                st.integers(-3, 3),
                st.floats(),
                st.text(max_size=3),
                st.dates(),
            ),
            min_size=1,
            max_size=20,
        )
    )
    def test_any_mix_of_objects_comes_back(self, cells):
        rows = pd.DataFrame({"a": pd.Series(cells, dtype=object)})
        coding = Coding(rows)
        decoded = coding.decode(coding.encode(rows))
        assert all(map(cells_equal, decoded["a"], cells))


def test_polars_rows_come_back_as_polars():
    pl = pytest.importorskip("polars")
    rows = pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"], "c": [1.5, None, 2.5]})
    prepared = table(rows, ("A", "B", "C"), rows)
    assert list(prepared.frame) == ["A", "B", "C"]
    assert prepared.original.equals(rows)
    coding = Coding(prepared.frame)
    assert prepared.restore(coding.decode(coding.encode(prepared.frame))).equals(rows)
    assert take(rows, np.array([2, 0]))["a"].to_list() == [3, 1]
    assert feature_names(rows, None) == ("a", "b", "c")


class TestNumericTables:
    @pytest.mark.parametrize(
        "kind", ["floats with gaps", "strings", "categories", "times", "complex"]
    )
    def test_a_table_is_numeric_if_all_cells_are_real_or_missing(self, kind):
        rows = pd.DataFrame({"a": [1, 2, 3, 4], "b": COLUMNS[kind]})
        assert is_numeric(rows[["a"]])
        assert is_numeric(rows) is (kind == "floats with gaps")

    def test_missing_numbers_of_any_kind_become_nan(self):
        rows = pd.DataFrame({"a": [1.5, None], "b": pd.array([1, None], dtype="Int64")})
        np.testing.assert_array_equal(numbers(rows), [[1.5, 1.0], [np.nan, np.nan]])
