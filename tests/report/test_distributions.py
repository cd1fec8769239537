"""Scales of values, swarms, contributions and samples."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.report import distributions
from mlflow_interpret.report.distributions import (
    MAX_CATEGORIES,
    contributions,
    scale,
    swarm_offsets,
)


@given(st.lists(st.one_of(st.floats(allow_infinity=False), st.none()), min_size=1, max_size=50))
def test_numbers_keep_their_order_and_missing_values_have_no_position(cells):
    column = pd.Series(cells, dtype=float)
    positions = scale(column).positions
    known = column.notna().to_numpy()
    assert np.isnan(positions[~known]).all()
    if np.isfinite(positions[known]).all():  # the range may overflow
        assert ((positions[known] >= 0) & (positions[known] <= 1)).all()
        order = np.argsort(column[known].to_numpy(), kind="stable")
        assert (np.diff(positions[known][order]) >= 0).all()


def test_outlier_is_clipped():
    result = scale(pd.Series([*range(1000), 1e9]))
    assert result.n_outside == 1
    assert result.positions[:1000].max() - result.positions[:1000].min() > 0.3
    assert result.positions[-1] == 1.0


@pytest.mark.parametrize(
    ("column", "kind", "positions"),
    [
        (pd.Series([1, 3, 2]), "number", [0, 1, 0.5]),
        (pd.Series([True, False]), "category", [1, 0]),
        (pd.Series([True, None, False], dtype=object), "category", [1, np.nan, 0]),
        (pd.Series([1, None, 3], dtype="Int64"), "number", [0, np.nan, 1]),
        (pd.Series([True, None], dtype="boolean"), "category", [0, np.nan]),
        (pd.Series([Decimal(1), 3, 2.0], dtype=object), "number", [0, 1, 0.5]),
        (pd.Series(pd.arrays.SparseArray([0, 0, 4])), "number", [0, 0, 1]),
        (pd.Series([5, 5]), "number", [0.5, 0.5]),
        (pd.Series(pd.to_datetime(["2020-01-01", None, "2020-01-03"])), "time", [0, np.nan, 1]),
        (pd.Series(pd.to_datetime(["2020-01-01", "2020-01-03"], utc=True)), "time", [0, 1]),
        (pd.Series(pd.to_timedelta([1, 3, 2], "s")), "time", [0, 1, 0.5]),
        (pd.Series(["a", "b", "a", None], dtype=object), "category", [0, 1, 0, np.nan]),
        (pd.Series(["a", "b", "a"], dtype="category"), "category", [0, 1, 0]),
        (pd.Series(pd.Categorical(["m", "s", "l"], ["s", "m", "l"], ordered=True)), "category",
         [0.5, 0, 1]),
        (pd.Series([dt.date(2020, 1, 1), "x"], dtype=object), "category", [0, 1]),
        (pd.Series([1 + 2j]), "category", [0]),
        (pd.Series([[1], [2]], dtype=object), "category", [0, 1]),
        (pd.Series([None, None], dtype=object), "category", [np.nan, np.nan]),
        (pd.Series([np.nan, np.nan]), "number", [np.nan, np.nan]),
        (pd.Series(["\ud800", "b"], dtype=object), "category", [0, 1]),
    ],
)  # fmt: skip
def test_every_kind_of_column_has_a_scale(column, kind, positions):
    result = scale(column)
    assert result.kind == kind
    assert result.positions == pytest.approx(positions, nan_ok=True)


def test_rare_categories_share_the_last_position():
    cells = [f"c{i}" for i in range(40) for _ in range(40 - i)]
    result = scale(pd.Series(cells, dtype=object))
    assert len(result.categories) == MAX_CATEGORIES
    assert result.categories[:2] == ("c0", "c1")
    assert result.categories[-1] == "29 others"
    assert result.positions[cells.index("c39")] == result.positions[cells.index("c11")] == 1.0


@pytest.mark.parametrize(
    ("column", "categories", "is_ordered"),
    [
        (pd.Series(["10", "9", "10", "-1.5"]), ("-1.5", "9", "10"), True),
        (pd.Series([30, 4, 30, 200]).astype("category"), ("4", "30", "200"), True),
        (pd.Series(["b", "a", "b", "10"]), ("b", "a", "10"), False),  # the most frequent first
        (pd.Series(["10", "nan", "10", "2"]), ("10", "nan", "2"), False),
        (pd.Series(["yes", "no", "yes"]), ("yes", "no"), True),
        (pd.Series(pd.Categorical(["m", "l"], ["s", "m", "l"], ordered=True)), ("m", "l"), True),
        (pd.Series([str(i % 40) for i in range(200)]), None, False),  # rare ones are together
        (pd.Series([1.0, 2.0]), (), True),
    ],
)
def test_order_of_categories(column, categories, is_ordered):
    result = scale(column)
    assert result.is_ordered == is_ordered
    if categories is not None:
        assert result.categories == categories
    else:
        assert list(result.categories[:-1]) == sorted(result.categories[:-1], key=float)


def test_ends_of_a_time_scale():
    result = scale(pd.Series(pd.to_datetime(["2020-01-01", "2021-05-06"])))
    assert (result.low[:10], result.high[:10]) == ("2020-01-01", "2021-05-06")


@given(st.lists(st.floats(-10, 10), max_size=60))
def test_swarm_stays_within_its_row_and_separates_equal_values(values):
    values = np.array(values)
    offsets = swarm_offsets(values, -10.0, 10.0)
    assert (np.abs(offsets) <= 0.5 + 1e-9).all()
    pairs = list(zip(values, offsets))
    assert len(set(pairs)) == len(pairs)


def test_sample_is_seeded_and_sorted():
    assert sample_rows(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    sample = sample_rows(1000, 20, 7)
    assert len(set(sample.tolist())) == 20
    assert sample.tolist() == sorted(sample.tolist()) == sample_rows(1000, 20, 7).tolist()
    assert sample.tolist() != sample_rows(1000, 20, 8).tolist()


def explanation(n_classes):
    values = np.random.default_rng(0).normal(size=(n_classes, 20, 3))
    sizes = np.abs(values).mean(axis=1)
    return Explanation(
        "m", "classification", None, ("a", "b", "c"), sizes.mean(axis=0), tuple(range(n_classes)),
        per_class_values=sizes, local_values=values,
    )  # fmt: skip


def test_default_contributions_with_several_outputs():
    two, four = explanation(2), explanation(4)
    assert (contributions(two, None) == two.local_values[1]).all()
    assert contributions(four, None).mean(axis=0) == pytest.approx(four.global_values)
    assert (contributions(four, 2) == four.local_values[2]).all()
    single = replace(two, local_values=two.local_values[0])
    assert (contributions(single, None) == two.local_values[0]).all()
    assert contributions(two.without_rows(), None) is None


def test_label_of_a_class_that_is_not_a_word():
    named = replace(explanation(4), classes=("Adelie", 1, "2.5", True))
    labels = [distributions.output_label(named, position) for position in range(4)]
    assert labels == ["Adelie", "class 1", "class 2.5", "class True"]
    targets = replace(named, classes=None, targets=("0", "kg", "m", "s"))
    assert distributions.output_label(targets, 0) == "target 0"


def test_seed_of_the_explanation():
    assert (
        distributions.seed_of(
            replace(explanation(2), details=Details.from_json({"random_state": 5}))
        )
        == 5
    )
    assert distributions.seed_of(explanation(2)) == 0
