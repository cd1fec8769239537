"""Directions: the sign of the relation between a feature's values and its contributions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import spearmanr

from mlflow_interpret.core.details import Details
from mlflow_interpret.core.directions import Direction, direction, direction_of, directions

FLOATS = arrays.arrays(float, st.integers(2, 40), elements=st.integers(-50, 50).map(float))


@settings(deadline=None)
@given(FLOATS, st.randoms(use_true_random=False))
def test_numbers_have_spearmans_correlation(values, random):
    contributions = np.asarray(random.choices(range(20), k=len(values)), dtype=float)
    result = direction(pd.Series(values), contributions)
    if np.ptp(values) == 0 or np.ptp(contributions) == 0:
        assert result is None
    else:
        expected = spearmanr(values, contributions).statistic
        assert result.correlation == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("contributions", "text"),
    [
        ([1, 2, 3, 4, 5, 6], "higher values raise it"),
        ([6, 5, 4, 3, 2, 1], "higher values lower it"),
        ([3, 2, 1, 1, 2, 3], "mixed"),
    ],
)
def test_the_text_tells_the_direction(contributions, text):
    assert direction(pd.Series(range(6)), np.array(contributions, float)).text == text


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, None, 3], dtype="Int64"),
        pd.Series([1.0, 2.0, np.nan, 3.0]),
        pd.Series([1.0, 2.0, np.inf, 3.0]),
        pd.Series(pd.to_datetime(["2020", "2021", None, "2022"], format="%Y")),
        pd.Series(pd.to_datetime(["2020", "2021", None, "2022"], format="%Y", utc=True)),
        pd.Series(pd.Categorical(["s", "m", None, "l"], ["s", "m", "l"], ordered=True)),
        pd.Series(pd.arrays.SparseArray([0.0, 1.0, np.nan, 3.0])),
    ],
    ids=lambda column: str(column.dtype),
)
def test_missing_values_do_not_count(column):
    result = direction(column, np.array([1.0, 2.0, -50.0, 3.0]))
    assert result == Direction(correlation=1.0)


def test_categories_have_extremes():
    column = pd.Series(["a"] * 5 + ["b"] * 5 + ["c"] * 5 + ["rare"], dtype=object)
    contributions = np.array([1.0] * 5 + [3.0] * 5 + [-2.0] * 5 + [99.0])
    result = direction(column, contributions)
    assert result == Direction(highest="b", lowest="c")
    assert result.text == "highest for b, lowest for c"
    assert direction(column[:5], contributions[:5]) is None


@pytest.mark.parametrize("cells", [["\ud800", "x"], [None, "x"], [b"a", 3], [(1, 2), "x"]])
def test_hostile_categories_do_not_fail(cells):
    column = pd.Series(cells * 6, dtype=object)
    contributions = np.tile([0.0, 1.0], 6)
    result = direction(column, contributions)
    assert result is None or {result.highest, result.lowest} <= {str(cell) for cell in cells}


def test_leading_features_have_directions_that_are_read_back():
    rows = pd.DataFrame({"up": range(10), "none": range(10), "kind": list("aabb") * 2 + ["a", "b"]})
    local = np.column_stack([np.arange(10), np.zeros(10), np.where(rows["kind"] == "a", 1.0, 0.0)])
    values = directions(tuple(rows), np.abs(local).mean(axis=0), rows, local)
    assert values == {"up": {"correlation": 1.0}, "kind": {"highest": "a", "lowest": "b"}}
    details = Details.from_json(Details(directions=values).to_json())
    assert direction_of(details.directions, "kind").text == "highest for a, lowest for b"
    assert direction_of(details.directions, "none") is None
    # Categories are values of rows.
    assert details.without_values().directions == {"up": {"correlation": 1.0}}
