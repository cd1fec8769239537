"""Comparison with a baseline: agreement, rank changes and caveats."""

from __future__ import annotations

import json

import numpy as np
import pytest

from compare.runs import run
from mlflow_interpret.compare.baseline import compare_with_baseline


def test_equal_rankings():
    result = compare_with_baseline(
        run("new", [4, 3, 2, 1], [0.1] * 4), run("old", [40, 30, 20, 10], [1] * 4)
    )
    assert (result["spearman"], result["kendall"], result["top_k_overlap"]) == (1, 1, 1)
    assert (result["k"], result["shared_features"]) == (2, 4)
    assert result["riser"] is result["faller"] is None
    assert (result["run_id"], result["run_name"], result["scale"]) == (
        "old",
        "run old",
        "prediction",
    )
    assert result["marks"] == []


def test_largest_riser_and_faller():
    result = compare_with_baseline(run("new", [1, 4, 2, 3]), run("old", [4, 1, 2, 3]))
    assert result["riser"] == {
        "feature": "b", "rank_change": 3, "rank": 1, "baseline_rank": 4,
        "share": 0.4, "baseline_share": 0.1,
    }  # fmt: skip
    assert result["faller"]["feature"] == "a"
    assert result["faller"]["rank_change"] == -3
    assert result["spearman"] < 0


def test_rank_changes_below_the_top_are_ignored():
    """The last 80 of 100 features are noise whose ranks change a lot."""
    old = np.r_[np.arange(100, 80, -1), np.linspace(0.2, 0.1, 80)].astype(float)
    new = old[np.r_[1, 0, 2:20, 99:19:-1]]
    names = [f"f{i}" for i in range(100)]
    result = compare_with_baseline(run("new", new, features=names), run("old", old, features=names))
    assert result["k"] == 10
    assert (result["riser"]["feature"], result["riser"]["rank_change"]) == ("f1", 1)
    assert result["faller"]["feature"] == "f0"


def test_baseline_importances_are_stored_for_the_top_features_of_either_ranking():
    names = [f"f{i}" for i in range(100)]
    old, new = np.arange(100.0, 0, -1), np.arange(1.0, 101)
    result = compare_with_baseline(
        run("new", new, features=names), run("old", old, old / 10, [*names[:-1], "gone"])
    )
    listed = [row["feature"] for row in result["importances"]]
    assert listed == [*names[:30], *names[70:99]]
    assert result["importances"][0] == {
        "feature": "f0", "importance": 100.0, "share": 100 / 5050, "rank": 1,
        "standard_error": 10.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "features"),
    [
        ([np.nan, np.inf], "ab"),
        ([0, 0], "ab"),
        ([1.0], "a"),
        ([1.0, 2.0], "xy"),
        ([1, np.nan], "ab"),
    ],
)
def test_undefined_values_are_none_and_the_result_is_json(values, features):
    for pair in (("new", "old"), ("old", "new")):
        runs = {"new": run("new", values, features=features), "old": run("old", [3, 2])}
        result = compare_with_baseline(runs[pair[0]], runs[pair[1]])
        assert json.loads(json.dumps(result, allow_nan=False)) == result
        assert result["spearman"] is None
        assert result["riser"] is result["faller"] is None


def test_caveats_are_marked():
    result = compare_with_baseline(
        run("new", [1], [1], model_class="Ridge", scale="x"), run("old", [1], [1])
    )
    assert result["marks"] == ["other model: Ridge", "other scale: x"]
