"""Tables of several runs: what is shared is compared, and what differs is marked."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compare.runs import run
from mlflow_interpret.compare import tables

NUMBERS = st.lists(st.floats(0, 1e6), min_size=2, max_size=8)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_a_row_for_each_run_and_feature_best_first():
    table = tables.tidy([run("A", [1, 3, 2], [0.1, 0.2, 0.3]), run("B", [5, 0], features="ax")])
    assert list(table) == ["feature", "run_id", "importance", "share", "rank", "standard_error"]
    assert list(table["run_id"]) == ["A"] * 3 + ["B"] * 2
    assert list(table["feature"]) == ["b", "c", "a", "a", "x"]
    assert list(table["rank"]) == [1, 2, 3, 1, 2]
    assert list(table["share"]) == [1 / 2, 1 / 3, 1 / 6, 1, 0]
    assert list(table["standard_error"][:3]) == [0.2, 0.3, 0.1]
    assert table["standard_error"][3:].isna().all()


def test_ties_share_the_best_rank_and_what_is_not_finite_has_none():
    table = tables.tidy([run("A", [2, np.nan, 2, 1, np.inf])]).set_index("feature")
    assert table["rank"][["a", "c", "d"]].tolist() == [1, 1, 3]
    assert table["rank"][["b", "e"]].isna().all()
    assert table["share"][["a", "c", "d"]].tolist() == [0.4, 0.4, 0.2]
    assert table.loc["e", "importance"] == np.inf


def test_importances_that_are_all_zero_have_no_share():
    table = tables.tidy([run("A", [0, 0])])
    assert table["share"].tolist() == [0, 0]
    assert tables.marks(run("B", [1, 2], [0.1, 0]), run("A", [0, 0], [0, 0])) == (
        "all importances are 0",
    )


@settings(deadline=None, max_examples=50)
@given(NUMBERS, st.data())
def test_agreement_is_scipy_s(values, data):
    others = data.draw(st.lists(st.floats(0, 1e6), min_size=len(values), max_size=len(values)))
    (row,) = tables.agreement([run("A", values), run("B", others)], 3).itertuples()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spearman = stats.spearmanr(values, others).statistic
        kendall = stats.kendalltau(values, others).statistic
    assert row.spearman == pytest.approx(spearman, nan_ok=True, abs=1e-9)
    assert row.kendall == pytest.approx(kendall, nan_ok=True, abs=1e-9)
    assert 0 <= row.top_k_overlap <= 1 or (row.k == 0 and not any(values + others))
    assert row.shared_features == len(values)


def test_agreement_is_told_of_each_pair_over_what_both_have():
    runs = [
        run("A", [4, 3, 2, 1]),
        run("B", [1, 2, 3, 4]),
        run("C", [9, 4, 3, 2, 1], None, "xabcd"),
    ]
    table = tables.agreement(runs, 10).set_index(["run_a", "run_b"])
    assert list(table.index) == [("A", "B"), ("A", "C"), ("B", "C")]
    assert table["spearman"].tolist() == pytest.approx([-1, 1, -1])
    assert table["kendall"].tolist() == pytest.approx([-1, 1, -1])
    assert table["shared_features"].tolist() == [4, 4, 4]
    assert table["k"].tolist() == [2, 2, 2]  # half of four: of all four, any two have all
    assert table["top_k_overlap"].tolist() == [0, 1, 0]


def test_runs_without_a_shared_feature_do_not_agree_nor_disagree():
    (row,) = tables.agreement([run("A", [1]), run("B", [1], features="x")], 5).itertuples()
    assert (row.shared_features, row.k) == (0, 0)
    assert np.isnan([row.spearman, row.kendall, row.top_k_overlap]).all()


def test_many_runs_are_compared_with_the_first_alone(monkeypatch):
    generator = np.random.default_rng(0)
    runs = [run(str(i), generator.random(6)) for i in range(8)]
    pairs = tables.agreement(runs, 3)
    monkeypatch.setattr(tables, "MOST_PAIRED", 7)
    with_first = tables.agreement(runs, 3)
    assert len(pairs) == 28
    pd.testing.assert_frame_equal(with_first, pairs[pairs["run_a"] == "0"].reset_index(drop=True))


def test_a_run_that_shares_no_feature_has_one_clear_mark():
    reference = run("A", [1, 2], [0.1, 0.1])
    other = run("B", [1, 2], [0.1, 0.1], "xy", scale="log-odds", method="shap_linear")
    mark = "shares no feature with run A"
    assert tables.marks(reference, other) == (mark,)
    told = tables.overview([reference, other])["marks"].tolist()
    assert told == ["", f"{mark}; name another run first"]


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({}, None),
        ({"method": "xgboost_tree"}, "other method: xgboost_tree"),
        ({"scale": None}, "other scale: unknown"),
        ({"features": ("a", "x")}, "other features: 1 more, 1 missing"),
        ({"row_digests": {"a": "same", "b": "else"}}, "other rows: 50 of 100 training rows"),
        ({"row_digests": {"a": "same", "z": "else"}}, None),  # a column more of the same rows
        ({"row_digests": None}, "perhaps other rows: the runs do not say which"),
        ({"row_digests": None, "rows": {"explained": 7}}, "other rows: 7 of 7"),
        ({"row_digests": None, "rows": {}}, "other rows"),
        ({"output_names": ("no", "yes", "perhaps")}, "other classes: 2 more, 1 missing"),
        ({"output_names": ("yes", "no way")}, None),  # in another order
        ({"output_names": None}, None),  # a regression, whose scale is another, or one class alone
        ({"in_run": 3}, "the latest of 3 explanations in its run"),
        ({"model_class": "Ridge"}, None),  # stands in its own column
    ],
)
def test_marks(changes, mark):
    reference = run("A", [1, 2], [0.1, 0.1], output_names=("no way", "yes"))
    other = run("B", [1, 2], [0.1, 0.1], **{"output_names": reference.output_names, **changes})
    assert tables.marks(reference, other) == (() if mark is None else (mark,))
    assert tables.marks(reference, reference) == ()


def test_the_overview_says_what_was_explained_and_how():
    table = tables.overview([run("A", [1, 2], [0.1, 0.1]), run("B", [1], rows={})])
    assert table["name"].tolist() == ["run A", "run B"]
    assert table["rows"].tolist() == [50, pd.NA]
    assert table["features"].tolist() == [2, 1]
    assert table["marks"][0] == ""
    assert "other features" in table["marks"][1]


def test_what_is_0_is_on_top_of_nothing():
    """Sparse models share none of the features that matter, whatever else is 0 in both."""
    first, other, wide, none = np.zeros((4, 26))
    first[:3], other[20:23], wide[1:] = 5, 5, np.arange(25, 0, -1)
    runs = [
        run(name, values) for name, values in zip("ABCD", (first, other, wide, none), strict=True)
    ]
    table = tables.agreement(runs, 10).set_index(["run_a", "run_b"])[["k", "top_k_overlap"]]
    assert table.loc[("A", "B")].tolist() == [3, 0]
    assert table.loc[("A", "C")].tolist() == [3, pytest.approx(2 / 3)]
    assert table.loc[("A", "D")].tolist() == [1, 0]
    (row,) = tables.agreement([runs[3], run("E", none)], 10).itertuples()
    assert row.k == 0
    assert np.isnan(row.top_k_overlap)
