"""The order of features in runs, and what runs are called."""

from __future__ import annotations

import numpy as np
import pytest

from compare.runs import run
from mlflow_interpret.compare.ranking import by_share, labels_of, order_in_runs


def test_places_are_among_the_drawn_features_and_ranks_among_all():
    order = order_in_runs([run("A", [4, 3, 1, 2]), run("B", [1, 4, 2, 3])], 3)
    assert order.features == ("b", "a", "d")
    assert order.places.tolist() == [[2, 1, 3], [1, 3, 2]]
    assert order.ranks.tolist() == [[2, 1, 3], [1, 4, 2]]


def test_what_a_run_lacks_has_no_place_and_what_keeps_its_place_no_colour():
    order = order_in_runs([run("A", [3, 2, 1]), run("B", [3, 1], features="ac")], 3)
    assert order.features == ("a", "c", "b")
    np.testing.assert_array_equal(order.places, [[1, 3, 2], [1, 2, np.nan]])
    assert [bool(colour) for colour in order.colours] == [False, True, False]
    assert order.deepest == 3


def test_runs_that_share_nothing_are_no_deeper_than_each_of_them():
    order = order_in_runs([run("A", [3, 2, 1]), run("B", [2, 1], features="xy")], 10)
    assert len(order.features) == 5
    assert order.deepest == 3


def test_the_largest_mean_share_comes_first():
    table = by_share([run("A", [1, 3]), run("B", [6, 2])])
    assert list(table.index) == ["a", "b"]
    assert table.loc["a"].tolist() == pytest.approx([0.25, 0.75])


def test_runs_of_one_name_are_told_apart():
    twins = [run("1234567890", [1], run_name="twin"), run("abcdefghij", [1], run_name="twin")]
    assert labels_of(twins) == ["twin 12345678", "twin abcdefgh"]
