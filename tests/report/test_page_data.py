"""What the report's script reads is small, and says the same as the explanation."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from explanations import explanation
from mlflow_interpret.report.page_data import BLOCKS, FEATURES, choose, data


def decoded(coded):
    return np.frombuffer(base64.b64decode(coded), dtype=np.uint8).astype(float)


def read(explained):
    shown = choose(explained)
    return shown, json.loads(json.dumps(data(explained, shown)))


def test_values_and_contributions_come_back_within_a_byte():
    explained = explanation()
    shown, found = read(explained)
    assert shown.rows.tolist() == list(range(40))
    for place, feature in enumerate(shown.listed):
        low, high, coded = found["points"]["contributions"][0][place]
        true = explained.local_values[:, feature]
        assert (low, high) == pytest.approx((true.min(), true.max()), rel=1e-3)
        step = (high - low) / 255
        assert np.abs(low + decoded(coded) * step - true).max() < step
        values = found["points"]["values"][place]
        ends = values["ends"]
        column = explained.evaluation_rows.iloc[:, feature].clip(*ends)
        places = decoded(values["bytes"]) / 254
        assert (
            np.abs(ends[0] + places * (ends[1] - ends[0]) - column).max()
            < (ends[1] - ends[0]) / 200
        )


def test_importances_are_listed_from_the_largest_on_for_all_and_each_class():
    explained = explanation(n_classes=3)
    shown, found = read(explained)
    assert [block["name"] for block in found["blocks"]] == ["", "c0", "c1", "c2"]
    assert found["blocks"][0]["values"] == sorted(found["blocks"][0]["values"], reverse=True)
    for block, values in zip(found["blocks"][1:], explained.per_class_values):
        assert block["values"] == pytest.approx(values[shown.listed], rel=1e-3)
    assert found["blocks"][0]["errors"] == pytest.approx(
        explained.standard_errors()[shown.listed], rel=1e-2
    )


def test_of_two_classes_the_second_stands_for_both_and_is_there_once():
    _, found = read(explanation(n_classes=2))
    assert found["blocks"][0]["toward"] == "contribution to c1"
    assert found["points"]["contributions"][2] == 0


def test_two_targets_are_told_apart():
    both = replace(explanation(n_classes=2), classes=None, targets=("kg", "m"))
    shown, found = read(both)
    assert found["blocks"][0]["toward"] == "mean size of the contributions to all targets"
    means = np.abs(both.local_values).mean(axis=0)[:, shown.listed[0]]
    assert found["points"]["contributions"][0][0][:2] == pytest.approx(
        [means.min(), means.max()], rel=1e-3
    )
    assert len({json.dumps(layer) for layer in found["points"]["contributions"]}) == 3


@pytest.mark.parametrize(
    ("shape", "n_distributions", "n_rows"),
    [((100, 1000, None), 100, 1000), ((10, 5000, None), 10, 1000), ((500, 1000, 30), 20, 47),
     ((3, 50, 2), 3, 50), ((2000, 10, None), 692, 10)],
    ids=str,
)  # fmt: skip
def test_the_bytes_are_shared_out(shape, n_distributions, n_rows):
    shown = choose(explanation(*shape))
    assert (shown.n_distributions, len(shown.rows)) == (n_distributions, n_rows)
    assert len(shown.listed) == min(shape[0], FEATURES)


def test_of_very_many_classes_the_largest_can_be_chosen():
    explained = explanation(5, 4, 200)
    shown, found = read(explained)
    assert len(shown.blocks) == BLOCKS
    sums = explained.per_class_values.sum(axis=1)
    assert sums[shown.blocks].min() >= np.delete(sums, shown.blocks).max()
    assert len(found["blocks"]) == len(found["points"]["contributions"]) == BLOCKS + 1


def test_without_rows_or_values_there_are_no_points():
    assert read(explanation(n_classes=3).without_rows())[1]["points"] is None
    _, found = read(replace(explanation(), evaluation_rows=None))
    assert found["points"]["values"] == [None] * 6


def test_categories_missing_values_and_outliers_are_told():
    rows = pd.DataFrame({"f0": ["a", None, "<b>"] * 40, "f1": [*range(119), 1e9]})
    _, found = read(explanation(2, 120, rows=rows))
    by_kind = {values["kind"]: values for values in found["points"]["values"]}
    assert by_kind["category"]["categories"] == ["a", "<b>"]
    assert by_kind["category"]["missing"] == 40
    assert (decoded(by_kind["category"]["bytes"]) == 255).sum() == 40
    assert by_kind["number"]["beyond"] == 1


@pytest.mark.parametrize("values", [np.nan, np.inf, 0.0, 1e300])
def test_any_values_make_data(values):
    explained = explanation(2, 5, 3)
    strange = np.full_like(explained.local_values, values)
    explained = replace(explained, local_values=strange, per_class_values=strange[:, 0],
                        global_values=strange[0, 0])  # fmt: skip
    assert read(explained)[1]["points"]["contributions"][0][0][2]
