"""Significance tests: correct against scipy, with few false positives."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from compare.runs import run
from mlflow_interpret.compare import significance, tables


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_significant_and_insignificant_differences():
    reference = run("A", [10, 5, 1], [0.1, 0.1, 0.1])
    table = significance.difference_table(reference, [run("B", [10.1, 8, 1], [0.1, 0.1, 0.1])])
    table = table.set_index("feature")
    assert table["differs"].to_dict() == {"a": False, "b": True, "c": False}
    assert table.loc["b", "difference"] == 3
    assert table.loc["b", "standard_error"] == pytest.approx(np.hypot(0.1, 0.1))
    assert table.loc["b", "low"] < 3 < table.loc["b", "high"]
    assert (table["compared"] == "importance").all()


def test_false_positives_are_rare():
    """Two samples of the same distribution: at most one of 200 features may differ."""
    generator = np.random.default_rng(0)

    def sampled(name):
        values = generator.exponential(size=(100, 200))
        return run(name, values.mean(0), values.std(0, ddof=1) / 10, [f"f{i}" for i in range(200)])

    table = significance.difference_table(sampled("A"), [sampled("B")])
    assert (table["p_value"] < 0.05).sum() > 2  # as one in twenty is, without the adjustment
    assert table["differs"].sum() <= 1


def test_features_unused_in_both_runs_do_not_differ():
    table = significance.difference_table(run("A", [1, 0], [0.1, 0]), [run("B", [1, 0], [0.1, 0])])
    assert table["differs"].tolist() == [False, False]
    table = significance.difference_table(run("A", [1, 0], [0.1, 0]), [run("B", [1, 1], [0.1, 0])])
    assert table["differs"].tolist() == [False, True]


def test_without_standard_errors_significance_is_missing():
    table = significance.difference_table(run("A", [1, 2], [0.1, 0.1]), [run("B", [2, 1])])
    assert table["differs"].isna().all()
    assert table["difference"].tolist() == [1, -1]
    assert table["rank_change"].tolist() == [1, -1]
    assert "no standard errors" in tables.marks(run("A", [1, 2]), run("B", [2, 1]))


def test_standard_errors_of_all_zeros_are_ignored():
    unknown, known = run("A", [1, 2], [0, 0]), run("B", [2, 1], [0.1, 0.1])
    assert tables.marks(known, unknown) == ("no standard errors",)
    table = significance.difference_table(known, [unknown])
    assert table["differs"].isna().all()
    assert table["p_value"].isna().all()


def test_shares_are_compared_if_the_scales_differ():
    reference = run("A", [30, 10], [1, 1])
    other = run("B", [0.3, 0.1, 9], [0.01, 0.01, 0.1], scale="log-odds")
    table = significance.difference_table(reference, [other])
    assert table["compared"].tolist() == ["share", "share"]
    for column in ("reference", "value"):
        assert table[column].tolist() == pytest.approx([0.75, 0.25])
    assert table["differs"].tolist() == [False, False]
    assert "other scale: log-odds" in tables.marks(reference, other)


def test_rank_changes_among_the_shared_features():
    table = significance.difference_table(
        run("A", [3, 2, 1]), [run("B", [9, 1, 3, 2], None, "xabc")]
    )
    moves = table.set_index("feature")["rank_change"]
    assert moves.to_dict() == {"a": -2, "b": 1, "c": 1}


def test_features_that_are_not_finite_in_one_run_are_not_ranked():
    table = significance.difference_table(
        run("A", [np.nan, 2, 1]), [run("B", [9, 3, 2])]
    ).set_index("feature")
    assert table["rank_change"].isna().tolist() == [True, False, False]
    assert table["rank"].dropna().tolist() == [1, 2]
    assert "1 of 3 importances are not finite" in tables.marks(
        run("B", [1, 2]), run("A", [np.nan, 2, 1])
    )


def test_without_shared_features_the_table_is_empty():
    empty = significance.difference_table(run("A", [1]), [run("B", [1], features="x")])
    assert len(empty) == 0
    assert list(empty) == list(significance.difference_table(run("A", [1]), [run("B", [1])]))


def explained(name, local, **changes):
    """A run whose importances are means of ``(n, F)`` absolute contributions."""
    size = np.abs(local)
    n, n_features = size.shape
    errors = size.std(0, ddof=1) / np.sqrt(n)
    features = [f"f{i}" for i in range(n_features)]
    return run(name, size.mean(0), errors, features, rows={"explained": n}, **changes)


@pytest.mark.parametrize("rows", [(3, 7), (40, 5), (200, 200)])
def test_equal_to_the_welch_test_of_scipy(rows):
    generator = np.random.default_rng(0)
    a, b = (generator.normal(size=(n, 6)) for n in rows)
    table = significance.difference_table(explained("A", a), [explained("B", b)])
    expected = stats.ttest_ind(np.abs(b), np.abs(a), equal_var=False)
    interval = expected.confidence_interval()
    np.testing.assert_allclose(table["p_value"], expected.pvalue)
    np.testing.assert_allclose(table["low"], interval.low)
    np.testing.assert_allclose(table["high"], interval.high)


@pytest.mark.parametrize("rows", [2, 5, 100])
@pytest.mark.parametrize("scale", ["prediction", "log-odds"])
def test_family_wise_error_rate_for_samples_of_one_model(rows, scale):
    """A feature of constant absolute contributions has no error, but its share has one."""
    generator = np.random.default_rng(0)

    def sampled(name, **changes):
        local = generator.normal(size=(rows, 8)) * np.arange(8)
        local[:, 0] = np.where(local[:, 1] > 0, 4, -4)
        return explained(name, local, **changes)

    pairs = [(sampled("A"), sampled("B", scale=scale)) for _ in range(200)]
    found = [significance.difference_table(a, [b]) for a, b in pairs]
    assert {table["compared"][0] for table in found} == {
        "importance" if scale == "prediction" else "share"
    }
    assert np.mean([table["differs"].any() for table in found]) <= 0.08
