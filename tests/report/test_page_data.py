"""Data for the script of the report: compact and equal to the explanation."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from explanations import explanation
from mlflow_interpret.report.page_data import MAX_FEATURES, MAX_OUTPUTS, page_data, select


def decode(encoded):
    return np.frombuffer(base64.b64decode(encoded), dtype=np.uint8).astype(float)


def read(explained):
    selection = select(explained)
    return selection, json.loads(json.dumps(page_data(explained, selection)))


def test_values_and_contributions_are_exact_to_one_byte():
    explained = explanation()
    selection, data = read(explained)
    assert selection.rows.tolist() == list(range(40))
    for index, feature in enumerate(selection.features):
        low, high, encoded = data["points"]["contributions"][0][index]
        true = explained.local_values[:, feature]
        assert (low, high) == pytest.approx((true.min(), true.max()), rel=1e-3)
        step = (high - low) / 255
        assert np.abs(low + decode(encoded) * step - true).max() < step
        values = data["points"]["values"][index]
        ends = values["ends"]
        column = explained.evaluation_rows.iloc[:, feature].clip(*ends)
        positions = decode(values["bytes"]) / 254
        assert (
            np.abs(ends[0] + positions * (ends[1] - ends[0]) - column).max()
            < (ends[1] - ends[0]) / 200
        )


def test_importances_over_all_classes_and_by_class():
    explained = explanation(n_classes=3)
    selection, data = read(explained)
    assert [output["name"] for output in data["outputs"]] == ["", "c0", "c1", "c2"]
    assert data["outputs"][0]["values"] == sorted(data["outputs"][0]["values"], reverse=True)
    for output, values in zip(data["outputs"][1:], explained.per_class_values):
        assert output["values"] == pytest.approx(values[selection.features], rel=1e-3)
    assert data["outputs"][0]["errors"] == pytest.approx(
        explained.standard_errors()[selection.features], rel=1e-2
    )


def test_contributions_to_the_second_of_two_classes_are_stored_once():
    _, data = read(explanation(n_classes=2))
    assert data["outputs"][0]["label"] == "contribution to c1"
    assert data["points"]["contributions"][2] == 0


def test_contributions_to_two_targets():
    both = replace(explanation(n_classes=2), classes=None, targets=("kg", "m"))
    selection, data = read(both)
    assert data["outputs"][0]["label"] == "mean absolute contribution over all targets"
    means = np.abs(both.local_values).mean(axis=0)[:, selection.features[0]]
    assert data["points"]["contributions"][0][0][:2] == pytest.approx(
        [means.min(), means.max()], rel=1e-3
    )
    assert len({json.dumps(layer) for layer in data["points"]["contributions"]}) == 3


@pytest.mark.parametrize(
    ("shape", "n_distributions", "n_rows"),
    [((100, 1000, None), 100, 1000), ((10, 5000, None), 10, 1000), ((500, 1000, 30), 20, 47),
     ((3, 50, 2), 3, 50), ((2000, 10, None), 692, 10)],
    ids=str,
)  # fmt: skip
def test_numbers_of_distributions_and_rows(shape, n_distributions, n_rows):
    selection = select(explanation(*shape))
    assert (selection.n_distributions, len(selection.rows)) == (n_distributions, n_rows)
    assert len(selection.features) == min(shape[0], MAX_FEATURES)


def test_largest_of_very_many_classes_are_selected():
    explained = explanation(5, 4, 200)
    selection, data = read(explained)
    assert len(selection.outputs) == MAX_OUTPUTS
    sums = explained.per_class_values.sum(axis=1)
    assert sums[selection.outputs].min() >= np.delete(sums, selection.outputs).max()
    assert len(data["outputs"]) == len(data["points"]["contributions"]) == MAX_OUTPUTS + 1


def test_no_points_without_rows():
    assert read(explanation(n_classes=3).without_rows())[1]["points"] is None
    _, data = read(replace(explanation(), evaluation_rows=None))
    assert data["points"]["values"] == [None] * 6


def test_categories_missing_values_and_outliers():
    rows = pd.DataFrame({"f0": ["a", None, "<b>"] * 40, "f1": [*range(119), 1e9]})
    _, data = read(explanation(2, 120, rows=rows))
    by_kind = {values["kind"]: values for values in data["points"]["values"]}
    assert by_kind["category"]["categories"] == ["a", "<b>"]
    assert by_kind["category"]["missing"] == 40
    assert (decode(by_kind["category"]["bytes"]) == 255).sum() == 40
    assert by_kind["number"]["outside"] == 1


@pytest.mark.parametrize("values", [np.nan, np.inf, 0.0, 1e300])
def test_data_of_unusual_values(values):
    explained = explanation(2, 5, 3)
    strange = np.full_like(explained.local_values, values)
    explained = replace(explained, local_values=strange, per_class_values=strange[:, 0],
                        global_values=strange[0, 0])  # fmt: skip
    assert read(explained)[1]["points"]["contributions"][0][0][2]
