"""The shift of a ranking against a baseline: what moved, how far, and what to mind."""

from __future__ import annotations

import json

import numpy as np
import pytest

from compare.runs import run
from mlflow_interpret.compare.baseline import shift


def test_a_ranking_that_did_not_move():
    found = shift(run("new", [4, 3, 2, 1], [0.1] * 4), run("old", [40, 30, 20, 10], [1] * 4))
    assert (found["spearman"], found["kendall"], found["top_k_overlap"]) == (1, 1, 1)
    assert (found["k"], found["shared_features"]) == (2, 4)
    assert found["riser"] is found["faller"] is None
    assert (found["run_id"], found["run_name"], found["scale"]) == ("old", "run old", "prediction")
    assert found["marks"] == []


def test_the_largest_riser_and_faller():
    found = shift(run("new", [1, 4, 2, 3]), run("old", [4, 1, 2, 3]))
    assert found["riser"] == {
        "feature": "b", "rank_change": 3, "rank": 1, "baseline_rank": 4,
        "share": 0.4, "baseline_share": 0.1,
    }  # fmt: skip
    assert found["faller"]["feature"] == "a"
    assert found["faller"]["rank_change"] == -3
    assert found["spearman"] < 0


def test_moves_far_from_the_top_are_no_news():
    """Of 100 features the last 80 are noise, whose ranks move much and mean nothing."""
    old = np.r_[np.arange(100, 80, -1), np.linspace(0.2, 0.1, 80)].astype(float)
    new = old[np.r_[1, 0, 2:20, 99:19:-1]]
    names = [f"f{i}" for i in range(100)]
    found = shift(run("new", new, features=names), run("old", old, features=names))
    assert found["k"] == 10
    assert (found["riser"]["feature"], found["riser"]["rank_change"]) == ("f1", 1)
    assert found["faller"]["feature"] == "f0"


def test_the_baseline_s_importances_are_kept_for_the_features_on_top_of_either():
    names = [f"f{i}" for i in range(100)]
    old, new = np.arange(100.0, 0, -1), np.arange(1.0, 101)
    found = shift(run("new", new, features=names), run("old", old, old / 10, [*names[:-1], "gone"]))
    listed = [row["feature"] for row in found["importances"]]
    assert listed == [*names[:30], *names[70:99]]
    assert found["importances"][0] == {
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
def test_what_cannot_be_told_is_none_and_all_of_it_is_json(values, features):
    for pair in (("new", "old"), ("old", "new")):
        runs = {"new": run("new", values, features=features), "old": run("old", [3, 2])}
        found = shift(runs[pair[0]], runs[pair[1]])
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert found["spearman"] is None
        assert found["riser"] is found["faller"] is None


def test_what_to_mind_is_marked():
    found = shift(run("new", [1], [1], model_class="Ridge", scale="x"), run("old", [1], [1]))
    assert found["marks"] == ["other model: Ridge", "other scale: x"]
