"""Directions: the sign of the relation between a feature's values and its contributions."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import spearmanr

from mlflow_interpret.core.details import Details
from mlflow_interpret.core.directions import (
    Direction,
    direction,
    direction_of,
    directions,
    directions_of,
)
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.importance_tables import global_table, per_class_table

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
        pd.Series(pd.PeriodIndex(["2020", "2021", None, "2022"], freq="Y")),
        pd.Series(pd.to_timedelta([1, 2, None, 3], unit="D")),
        pd.Series([1, 2.5, None, Decimal(3)], dtype=object),
        pd.Series(
            [dt.date(2020, 1, 1), dt.date(2021, 1, 1), None, dt.date(2022, 1, 1)], dtype=object
        ),
        pd.Series([dt.time(1), dt.time(2), pd.NaT, dt.time(3)], dtype=object),
    ],
    ids=lambda column: f"{column.dtype} of {type(column[0]).__name__}",
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


@pytest.mark.parametrize("dtype", ["bool", "boolean", object])
def test_booleans_have_an_order(dtype):
    column = pd.Series([False, True, True, False], dtype=dtype)
    assert direction(column, np.array([1.0, 3.0, 3.0, 1.0])) == Direction(correlation=1.0)


@pytest.mark.parametrize(
    "column", [pd.Series([7.0] * 9), pd.Series(["a"] * 9), pd.Series([None] * 9)]
)
def test_a_constant_column_has_none(column):
    assert direction(column, np.arange(9.0)) is None


def several_outputs():
    """An explanation of three classes; the last column is a category."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(60, 2)), columns=["x", "noise"])
    rows["kind"] = np.array(list("abc") * 20, dtype=object)
    effect = rows["kind"].map({"a": 0.0, "b": 1.0, "c": 5.0}).to_numpy()
    first = np.column_stack([rows["x"], rng.normal(size=60), effect])
    local = np.stack([first, -2 * first, rng.normal(size=(60, 3))])
    sizes = np.abs(local).mean(axis=1)
    return Explanation(
        "m", "classification", None, tuple(rows), sizes.mean(axis=0), classes=(0, "high", "x"),
        per_class_values=sizes, local_values=local, evaluation_rows=rows,
    )  # fmt: skip


def test_several_outputs_have_a_direction_each():
    record = several_outputs()
    values = directions_of(record)
    for position, name in enumerate(["0", "high", "x"]):
        for i, feature in enumerate(["x", "noise"]):
            expected = spearmanr(
                record.evaluation_rows[feature], record.local_values[position, :, i]
            )
            correlation = values[feature]["outputs"][name]["correlation"]
            assert correlation == pytest.approx(expected.statistic, abs=6e-4)
        means = pd.Series(record.local_values[position, :, 2]).groupby(
            record.evaluation_rows["kind"]
        )
        extremes = {"highest": means.mean().idxmax(), "lowest": means.mean().idxmin()}
        assert values["kind"]["outputs"][name] == extremes
    details = Details.from_json(Details(directions=values).to_json())
    assert direction_of(details.directions, "x").text == "higher values raise 0, lower high"
    text = direction_of(details.directions, "kind").text
    assert text == "high: highest for a, lowest for c; 0: highest for c, lowest for a; and 1 more"
    assert direction_of(details.directions, "noise").text == "mixed"
    assert set(details.without_values().directions) == {"x", "noise"}


def test_tables_have_the_direction_of_each_class():
    record = several_outputs()
    record = replace(record, details=Details(directions=directions_of(record)))
    table = per_class_table(record)
    by_class = {(row[0], row[1]): row[4] for row in table["data"]}
    assert table["columns"][-1] == "direction"
    assert by_class[0, "x"] == "higher values raise it"
    assert by_class["high", "x"] == "higher values lower it"
    assert by_class["high", "kind"] == "highest for a, lowest for c"
    assert {row[0]: row[5] for row in global_table(record)["data"]}["x"] == (
        "higher values raise 0, lower high"
    )


def test_the_first_of_two_classes_has_the_opposite_direction():
    record = several_outputs()
    local = record.local_values[0]
    local = np.stack([local, -local])
    sizes = np.abs(local).mean(axis=1)
    record = replace(record, classes=("no", "yes"), local_values=local, per_class_values=sizes,
                     global_values=sizes[0])  # fmt: skip
    record = replace(record, details=Details(directions=directions_of(record)))
    assert record.details.directions["x"] == {"correlation": -1.0}
    texts = {(row[0], row[1]): row[4] for row in per_class_table(record)["data"]}
    assert texts["yes", "x"] == "higher values lower it"
    assert texts["no", "x"] == "higher values raise it"
    assert texts["yes", "kind"] == "highest for a, lowest for c"
    assert texts["no", "kind"] == "highest for c, lowest for a"


def test_many_rows_are_sampled_and_many_features_limited():
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(12_000, 120)))
    rows = rows.set_axis([f"f{i}" for i in range(120)], axis=1)
    values = directions(tuple(rows), np.arange(120.0, 0, -1), rows, rows.to_numpy())
    assert list(values) == [f"f{i}" for i in range(100)]
    assert set(map(str, values.values())) == {"{'correlation': 1.0}"}
