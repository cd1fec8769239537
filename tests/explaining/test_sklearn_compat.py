"""The private API of scikit-learn that is used, as it is in the installed version."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlflow_interpret.explaining.sklearn_compat import (
    column_order,
    column_transformer_inputs,
    encode_categories,
    one_hot_widths,
    select_columns,
)

TABLE = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", "x"], "c": [0.5, 0.1, 0.2]})


@pytest.mark.parametrize("columns", [["c", "a"], [2, 0], slice(0, 3, 2), [True, False, True]])
def test_inputs_of_a_column_transformer_are_positions(columns):
    transformer = ColumnTransformer(
        [("numbers", StandardScaler(), columns), ("text", OneHotEncoder(), ["b"])]
    ).fit(TABLE)
    inputs = column_transformer_inputs(transformer)
    assert sorted(inputs["numbers"]) == [0, 2]
    assert inputs["text"] == [1]


@pytest.mark.parametrize("convert", [pd.DataFrame, pd.DataFrame.to_numpy], ids=["frame", "array"])
def test_an_integer_selects_a_column_and_a_list_a_table(convert):
    rows = convert(TABLE[["a", "c"]])
    assert np.asarray(select_columns(rows, 1)).tolist() == [0.5, 0.1, 0.2]
    assert np.asarray(select_columns(rows, [1, 0]))[0].tolist() == [0.5, 1.0]


def test_columns_of_a_sparse_table_are_selected():
    rows = sparse.csr_matrix(np.eye(3))
    assert select_columns(rows, [2]).toarray().ravel().tolist() == [0.0, 0.0, 1.0]


def test_widths_count_infrequent_and_dropped_categories():
    X = np.array([["a", "x"]] * 5 + [["b", "y"], ["c", "y"]])
    assert one_hot_widths(OneHotEncoder().fit(X)) == [3, 2]
    assert one_hot_widths(OneHotEncoder(drop="first").fit(X)) == [2, 1]
    assert one_hot_widths(OneHotEncoder(min_frequency=2).fit(X)) == [2, 2]


def test_histogram_boosting_moves_categories_to_the_front():
    model = HistGradientBoostingRegressor(max_iter=1)
    rows = TABLE.astype({"b": "category"})
    model.fit(rows, [1.0, 2.0, 3.0])
    assert column_order(model).tolist() == [1, 0, 2]
    assert encode_categories(model, rows).tolist() == [[1, 0, 0.5], [2, 1, 0.1], [3, 0, 0.2]]
    unknown = rows.assign(b=pd.Categorical(["w", None, "y"]))
    np.testing.assert_array_equal(encode_categories(model, unknown)[:, 1], [np.nan, np.nan, 1])
    model.fit(TABLE[["a", "c"]], [1.0, 2.0, 3.0])
    assert column_order(model).tolist() == [0, 1]
    assert encode_categories(model, TABLE[["a", "c"]]) is None
