"""Order of the features in each run, and labels of runs."""

from __future__ import annotations

import numpy as np
import pytest

from compare.runs import run
from mlflow_interpret.compare.ranking import order_in_runs, run_labels, share_table


def test_positions_among_drawn_features_and_ranks_among_all():
    order = order_in_runs([run("A", [4, 3, 1, 2]), run("B", [1, 4, 2, 3])], 3)
    assert order.features == ("b", "a", "d")
    assert order.positions.tolist() == [[2, 1, 3], [1, 3, 2]]
    assert order.ranks.tolist() == [[2, 1, 3], [1, 4, 2]]


def test_a_missing_feature_has_no_position():
    order = order_in_runs([run("A", [3, 2, 1]), run("B", [3, 1], features="ac")], 3)
    assert order.features == ("a", "c", "b")
    np.testing.assert_array_equal(order.positions, [[1, 3, 2], [1, 2, np.nan]])
    assert order.position_changes().tolist() == [0, 1, 0]
    assert order.last_position == 3


def test_last_position_of_runs_without_shared_features():
    order = order_in_runs([run("A", [3, 2, 1]), run("B", [2, 1], features="xy")], 10)
    assert len(order.features) == 5
    assert order.last_position == 3


def test_largest_mean_share_comes_first():
    table = share_table([run("A", [1, 3]), run("B", [6, 2])])
    assert list(table.index) == ["a", "b"]
    assert table.loc["a"].tolist() == pytest.approx([0.25, 0.75])


def test_labels_of_runs_with_the_same_name_differ():
    twins = [run("1234567890", [1], run_name="twin"), run("abcdefghij", [1], run_name="twin")]
    assert run_labels(twins) == ["twin 12345678", "twin abcdefgh"]
