"""Tables of several runs: importances, agreement and caveats."""

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


def test_one_row_for_each_run_and_feature():
    table = tables.importance_table(
        [run("A", [1, 3, 2], [0.1, 0.2, 0.3]), run("B", [5, 0], features="ax")]
    )
    assert list(table) == [
        "feature",
        "name",
        "run_id",
        "importance",
        "share",
        "rank",
        "standard_error",
    ]
    assert list(table["run_id"]) == ["A"] * 3 + ["B"] * 2
    assert list(table["feature"]) == ["b", "c", "a", "a", "x"]
    assert list(table["rank"]) == [1, 2, 3, 1, 2]
    assert list(table["share"]) == [1 / 2, 1 / 3, 1 / 6, 1, 0]
    assert list(table["standard_error"][:3]) == [0.2, 0.3, 0.1]
    assert table["standard_error"][3:].isna().all()


def test_ties_share_the_best_rank_and_nonfinite_values_have_none():
    table = tables.importance_table([run("A", [2, np.nan, 2, 1, np.inf])]).set_index("feature")
    assert table["rank"][["a", "c", "d"]].tolist() == [1, 1, 3]
    assert table["rank"][["b", "e"]].isna().all()
    assert table["share"][["a", "c", "d"]].tolist() == [0.4, 0.4, 0.2]
    assert table.loc["e", "importance"] == np.inf


def test_shares_of_zero_importances_are_zero():
    table = tables.importance_table([run("A", [0, 0])])
    assert table["share"].tolist() == [0, 0]
    assert tables.marks(run("B", [1, 2], [0.1, 0]), run("A", [0, 0], [0, 0])) == (
        "all importances are 0",
    )


@settings(deadline=None, max_examples=50)
@given(NUMBERS, st.data())
def test_correlations_are_equal_to_those_of_scipy(values, data):
    others = data.draw(st.lists(st.floats(0, 1e6), min_size=len(values), max_size=len(values)))
    (row,) = tables.agreement_table([run("A", values), run("B", others)], 3).itertuples()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spearman = stats.spearmanr(values, others).statistic
        kendall = stats.kendalltau(values, others).statistic
    assert row.spearman == pytest.approx(spearman, nan_ok=True, abs=1e-9)
    assert row.kendall == pytest.approx(kendall, nan_ok=True, abs=1e-9)
    assert 0 <= row.top_k_overlap <= 1 or (row.k == 0 and not any(values + others))
    assert row.shared_features == len(values)


def test_agreement_of_each_pair_over_the_shared_features():
    runs = [
        run("A", [4, 3, 2, 1]),
        run("B", [1, 2, 3, 4]),
        run("C", [9, 4, 3, 2, 1], None, "xabcd"),
    ]
    table = tables.agreement_table(runs, 10).set_index(["run_a", "run_b"])
    assert list(table.index) == [("A", "B"), ("A", "C"), ("B", "C")]
    assert table["spearman"].tolist() == pytest.approx([-1, 1, -1])
    assert table["kendall"].tolist() == pytest.approx([-1, 1, -1])
    assert table["shared_features"].tolist() == [4, 4, 4]
    assert table["k"].tolist() == [2, 2, 2]  # half of four: of all four, any two have all
    assert table["top_k_overlap"].tolist() == [0, 1, 0]


def test_agreement_without_shared_features_is_missing():
    (row,) = tables.agreement_table([run("A", [1]), run("B", [1], features="x")], 5).itertuples()
    assert (row.shared_features, row.k) == (0, 0)
    assert np.isnan([row.spearman, row.kendall, row.top_k_overlap]).all()


def test_many_runs_are_compared_with_the_first_only(monkeypatch):
    generator = np.random.default_rng(0)
    runs = [run(str(i), generator.random(6)) for i in range(8)]
    pairs = tables.agreement_table(runs, 3)
    monkeypatch.setattr(tables, "MAX_RUNS_IN_PAIRS", 7)
    with_first = tables.agreement_table(runs, 3)
    assert len(pairs) == 28
    pd.testing.assert_frame_equal(with_first, pairs[pairs["run_a"] == "0"].reset_index(drop=True))


def test_single_mark_of_a_run_without_shared_features():
    reference = run("A", [1, 2], [0.1, 0.1])
    other = run("B", [1, 2], [0.1, 0.1], "xy", scale="log-odds", method="shap_linear")
    mark = "shares no feature with run A"
    assert tables.marks(reference, other) == (mark,)
    run_marks = tables.run_table([reference, other])["marks"].tolist()
    assert run_marks == ["", f"{mark}; name another run first"]


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({}, None),
        ({"method": "xgboost_tree"}, "other method: xgboost_tree"),
        ({"scale": None}, "other scale: unknown"),
        ({"features": ("a", "x")}, "other features: 1 more, 1 missing"),
        ({"row_digests": {"a": "same", "b": "else"}}, "other rows: 50 of 100 training rows"),
        ({"row_digests": {"a": "same", "z": "else"}}, None),  # the same rows with one more column
        ({"row_digests": None}, "perhaps other rows: the runs do not say which"),
        ({"row_digests": None, "rows": {"explained": 7}}, "other rows: 7 of 7"),
        ({"row_digests": None, "rows": {}}, "other rows"),
        ({"output_names": ("no", "yes", "perhaps")}, "other classes: 2 more, 1 missing"),
        ({"output_names": ("yes", "no way")}, None),  # in a different order
        ({"output_names": None}, None),  # a regression, or a single class
        ({"in_run": 3}, "the latest of 3 explanations in its run"),
        ({"model_class": "Ridge"}, None),  # has its own column
    ],
)
def test_marks(changes, mark):
    reference = run("A", [1, 2], [0.1, 0.1], output_names=("no way", "yes"))
    other = run("B", [1, 2], [0.1, 0.1], **{"output_names": reference.output_names, **changes})
    assert tables.marks(reference, other) == (() if mark is None else (mark,))
    assert tables.marks(reference, reference) == ()


def test_run_table_describes_model_rows_and_caveats():
    table = tables.run_table([run("A", [1, 2], [0.1, 0.1]), run("B", [1], rows={})])
    assert table["name"].tolist() == ["run A", "run B"]
    assert table["rows"].tolist() == [50, pd.NA]
    assert table["features"].tolist() == [2, 1]
    assert table["marks"][0] == ""
    assert "other features" in table["marks"][1]


def test_zero_importances_are_never_among_the_top():
    """Sparse models have no top feature in common, although other features are 0 in both."""
    first, other, wide, none = np.zeros((4, 26))
    first[:3], other[20:23], wide[1:] = 5, 5, np.arange(25, 0, -1)
    runs = [
        run(name, values) for name, values in zip("ABCD", (first, other, wide, none), strict=True)
    ]
    table = tables.agreement_table(runs, 10).set_index(["run_a", "run_b"])[["k", "top_k_overlap"]]
    assert table.loc[("A", "B")].tolist() == [3, 0]
    assert table.loc[("A", "C")].tolist() == [3, pytest.approx(2 / 3)]
    assert table.loc[("A", "D")].tolist() == [1, 0]
    (row,) = tables.agreement_table([runs[3], run("E", none)], 10).itertuples()
    assert row.k == 0
    assert np.isnan(row.top_k_overlap)
