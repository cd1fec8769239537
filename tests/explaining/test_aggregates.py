"""Aggregates over rows: bins of values, and sums that do not depend on how the rows were cut."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlflow_interpret.explaining.aggregates import Bins, aggregate, histograms, merge
from mlflow_interpret.explaining.attributions import Attributions


def test_missing_and_unknown_values_have_bins_of_their_own():
    numbers = Bins.of(pd.Series([1.0, 2.0, 3.0, np.nan]))
    assert numbers.labels[-1] == "missing"
    assert numbers.places(pd.Series([np.nan]))[0] == len(numbers.labels) - 1
    words = Bins.of(pd.Series(["a", "b", "a"]))
    assert words.labels == ["a", "b", "other"]
    assert words.places(pd.Series(["c", "a", None])).tolist() == [2, 0, 2]


def block_of(values, errors):
    return Attributions(values, np.array([0.5, 0.25]), values.sum(axis=2).T, "probability", errors)


@pytest.mark.parametrize("cuts", [[], [1], [7, 8], [3, 11, 19]])
def test_sums_do_not_depend_on_the_cuts(cuts):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"number": draw.normal(size=20), "word": draw.choice(list("abc"), 20)})
    values, errors = draw.normal(size=(2, 20, 2)), draw.random((2, 20, 2))
    keys, numbers = draw.random(20), np.arange(20)
    bins = [Bins.of(frame[name]) for name in frame]
    found = None
    for some in np.split(numbers, cuts):
        block = block_of(values[:, some], errors[:, some])
        one = aggregate(block, frame.iloc[some].reset_index(drop=True), some, keys[some], bins, 5)
        found = merge(5, found, one)
    assert found.n == 20
    importances = np.abs(values).mean(axis=1)
    np.testing.assert_allclose(found.importances(), importances)
    deviation = np.abs(values).mean(axis=0).std(axis=0, ddof=1)
    np.testing.assert_allclose(found.errors(), deviation / np.sqrt(20))
    kept = np.sort(np.argsort(keys)[:5])
    np.testing.assert_array_equal(found.sample.numbers, kept)
    np.testing.assert_array_equal(found.sample.local_values, values[:, kept])
    pd.testing.assert_frame_equal(found.sample.frame, frame.iloc[kept].reset_index(drop=True))
    for one in histograms(found, bins, ("number", "word"), 2):
        assert sum(one["rows"]) == 20


def test_no_rows_add_nothing():
    assert merge(5, None, None) is None
