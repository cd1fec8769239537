"""Encoding and decoding of cells of any type."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_interpret.explaining.encoding import Encoding, is_numeric, numbers

quick = settings(deadline=None, max_examples=40)


def frame(columns, n=2):
    return pd.DataFrame([list(range(len(columns)))] * n, columns=columns)


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


class TestEncoding:
    @pytest.mark.parametrize("kind", COLUMNS)
    def test_cells_are_restored_with_their_types(self, kind):
        rows = pd.DataFrame({"column": COLUMNS[kind], "number": [1.0, 2.0, 3.0, 4.0]})
        coding = Encoding(rows)
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
        coding = Encoding(rows)
        numbers = coding.encode(rows)
        numbers[:, 0] = numbers[::-1, 0]
        decoded = coding.decode(numbers)
        for got, wanted in zip(decoded["column"], rows["column"][::-1], strict=True):
            assert cells_equal(got, wanted)
        assert decoded["number"].tolist() == [1.0, 2.0, 3.0, 4.0]

    def test_numbers_are_not_encoded(self):
        rows = pd.DataFrame({"a": [3], "b": [1.5], "c": [True]})
        assert Encoding(rows).encode(rows).tolist() == [[3.0, 1.5, 1.0]]

    def test_codes_keep_the_order_of_values(self):
        rows = pd.DataFrame({"a": ["m", "s", "l", "s"]})
        assert Encoding(rows).encode(rows)[:, 0].tolist() == [1, 2, 0, 2]
        sizes = pd.Categorical(["m", "s", "l", "s"], categories=["s", "m", "l"], ordered=True)
        rows = pd.DataFrame({"a": sizes})
        assert Encoding(rows).encode(rows)[:, 0].tolist() == [1, 0, 2, 0]

    def test_values_of_all_frames_are_encoded(self):
        rows, background = pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": ["y", "x", None]})
        coding = Encoding(rows, background)
        for part in (rows, background):
            decoded = coding.decode(coding.encode(part))
            assert [*map(cells_equal, decoded["a"], part["a"])] == [True] * len(part)

    def test_a_type_holds_the_cells_of_all_frames(self):
        whole, halves = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [0.5, 1.5]})
        for order in ((whole, halves), (halves, whole)):
            coding = Encoding(*order)
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
    def test_mixed_objects_are_restored(self, cells):
        rows = pd.DataFrame({"a": pd.Series(cells, dtype=object)})
        coding = Encoding(rows)
        decoded = coding.decode(coding.encode(rows))
        assert all(map(cells_equal, decoded["a"], cells))


class TestNumericTables:
    @pytest.mark.parametrize(
        "kind", ["floats with gaps", "strings", "categories", "times", "complex"]
    )
    def test_is_numeric(self, kind):
        rows = pd.DataFrame({"a": [1, 2, 3, 4], "b": COLUMNS[kind]})
        assert is_numeric(rows[["a"]])
        assert is_numeric(rows) is (kind == "floats with gaps")

    def test_missing_numbers_of_any_kind_become_nan(self):
        rows = pd.DataFrame({"a": [1.5, None], "b": pd.array([1, None], dtype="Int64")})
        np.testing.assert_array_equal(numbers(rows), [[1.5, 1.0], [np.nan, np.nan]])
