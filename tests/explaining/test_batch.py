"""Batches of rows: names and order of the columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.batch import as_batch, feature_names

quick = settings(deadline=None, max_examples=40)


def frame(columns, n=2):
    return pd.DataFrame([list(range(len(columns)))] * n, columns=columns)


class TestNames:
    def test_columns_give_their_own_names(self):
        assert feature_names(frame(["age", "bmi"]), None) == ("age", "bmi")

    @pytest.mark.parametrize(
        "rows", [np.zeros((2, 3)), sparse.csr_matrix((2, 3))], ids=["array", "sparse"]
    )
    def test_table_without_names_gets_default_names(self, rows):
        assert feature_names(rows, None) == ("x0", "x1", "x2")

    def test_whole_numbers_and_tuples_become_text(self):
        assert feature_names(frame([0, 1, 2]), None) == ("0", "1", "2")
        levels = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])
        assert feature_names(frame(levels), None) == ("a, 1", "a, 2")

    def test_number_and_its_text_stay_different(self):
        names = feature_names(frame([1, "1"]), None)
        assert names[0] == "1"
        assert len(set(names)) == 2

    def test_very_long_names_are_kept(self):
        long = "n" * 10_000
        assert feature_names(frame([long, "b"]), None) == (long, "b")

    @quick
    @given(st.lists(st.sampled_from(["", "a", "a.2", "x0", "x1", "a.2.2"]), min_size=1, max_size=8))
    def test_names_are_unique_and_not_empty(self, given_names):
        names = feature_names(frame(given_names), None)
        assert len(set(names)) == len(names) == len(given_names)
        assert all(names)
        for position, name in enumerate(given_names):
            if name and given_names.index(name) == position:
                assert names[position] == name

    def test_override_wins(self):
        assert feature_names(frame(["a", "b"]), ["x", "y"]) == ("x", "y")

    def test_override_of_another_length_is_refused(self):
        with pytest.raises(
            CannotExplainError, match="3 names and the training rows have 2 columns"
        ):
            feature_names(frame(["a", "b"]), ["x", "y", "z"])


class TestAlignment:
    template = frame(["a", "b", "c"])

    def test_columns_are_reordered_as_at_fit(self):
        rows = pd.DataFrame({"c": [3], "a": [1], "b": [2]})
        aligned = as_batch(rows, ("A", "B", "C"), self.template)
        assert aligned.frame.to_dict("records") == [{"A": 1, "B": 2, "C": 3}]
        assert list(aligned.original) == ["a", "b", "c"]

    def test_rows_without_names_are_matched_by_position(self):
        aligned = as_batch(np.array([[1.0, 2.0, 3.0]]), ("A", "B", "C"), self.template)
        assert aligned.original.to_dict("records") == [{"a": 1, "b": 2, "c": 3}]

    def test_missing_and_unexpected_columns_are_named_with_the_argument(self):
        rows = frame(["a", "c", "d"])
        with pytest.raises(
            CannotExplainError, match=r"evaluation_examples .* missing 'b', unexpected 'd'"
        ):
            as_batch(rows, ("a", "b", "c"), self.template, "evaluation_examples")

    def test_many_missing_columns_are_named_in_part(self):
        wide = frame([f"column{i}" for i in range(50)])
        with pytest.raises(CannotExplainError, match="'column4' and 45 more, unexpected 'a'"):
            as_batch(self.template, ("a", "b", "c"), wide)

    def test_another_number_of_columns_is_refused(self):
        with pytest.raises(CannotExplainError, match=r"initialization_examples has 2 .* have 3"):
            as_batch(np.zeros((1, 2)), ("a", "b", "c"), self.template, "initialization_examples")

    def test_repeated_names_in_another_order_are_refused(self):
        with pytest.raises(CannotExplainError, match="the same name"):
            as_batch(frame(["b", "a", "a"]), ("a", "a.2", "b"), frame(["a", "a", "b"]))

    def test_repeated_names_in_the_same_order_are_accepted(self):
        rows = as_batch(frame(["a", "a", "b"]), ("a", "a.2", "b"), frame(["a", "a", "b"]))
        assert list(rows.original) == ["a", "a", "b"]
