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


def decode(encoded, n_bytes=2):
    return np.frombuffer(base64.b64decode(encoded), dtype=f"<u{n_bytes}").astype(float)


def decode_range(encoded, n_bytes=2):
    low, high, steps = encoded
    return low + decode(steps, n_bytes) * (high - low) / (256**n_bytes - 1)


def read(explained):
    selection = select(explained)
    return selection, json.loads(json.dumps(page_data(explained, selection)))


@pytest.mark.parametrize(("shape", "n_bytes"), [((6, 40), 2), ((60, 400), 1)], ids=str)
def test_values_and_contributions_are_exact_to_one_step(shape, n_bytes):
    explained = explanation(*shape)
    selection, data = read(explained)
    assert selection.rows.tolist() == list(range(shape[1]))
    assert data["points"]["n_bytes"] == n_bytes
    n_steps = 256**n_bytes - 1
    for index, feature in enumerate(selection.features):
        layer = data["points"]["contributions"][0][index]
        true = explained.local_values[:, feature]
        assert decode_range(layer, n_bytes) == pytest.approx(true, abs=2 * np.ptp(true) / n_steps)
        values = data["points"]["values"][index]
        low, high = values["ends"]
        column = explained.evaluation_rows.iloc[:, feature].clip(low, high)
        positions = decode(values["bytes"], n_bytes) / (n_steps - 1)
        assert low + positions * (high - low) == pytest.approx(
            column.to_numpy(), abs=2 * (high - low) / n_steps
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


def test_contributions_to_two_classes_are_stored_once_if_one_is_the_negative_of_the_other():
    explained = explanation(n_classes=2)
    _, data = read(explained)
    assert data["outputs"][0]["label"] == "contribution to c1"
    assert data["points"]["contributions"][0] == {"layer": 2, "sign": 1}
    assert [isinstance(layer, list) for layer in data["points"]["contributions"][1:]] == [True] * 2
    values = explained.local_values[1]
    _, data = read(replace(explained, local_values=np.stack([-values, values])))
    assert data["points"]["contributions"][:2] == [
        {"layer": 2, "sign": 1},
        {"layer": 2, "sign": -1},
    ]


@pytest.mark.parametrize("kind", ["classes", "targets"])
def test_signed_contributions_to_the_leading_output_are_shown_first(kind):
    names = ("kg", "m", "s")
    explained = replace(explanation(n_classes=3), **{"classes": None, kind: names})
    selection, data = read(explained)
    leading = int(explained.per_class_values.sum(axis=1).argmax())
    assert data["outputs"][0]["label"] == f"contribution to {names[leading]}"
    assert data["points"]["contributions"][0] == {"layer": leading + 1, "sign": 1}
    layer = data["points"]["contributions"][leading + 1]
    assert decode_range(layer[0]) == pytest.approx(
        explained.local_values[leading, :, selection.features[0]], abs=1e-3
    )


def test_base_value_and_contributions_add_up_to_the_output_of_each_row():
    explained = replace(explanation(n_classes=3), expected_values=np.array([0.5, -1.0, 2.0]))
    selection, data = read(explained)
    rows = data["points"]["rows"]
    assert rows["numbers"] is None
    assert rows["count"] == 40
    assert rows["outputs"][0] is None
    for output in range(3):
        base, encoded = rows["outputs"][output + 1]
        assert base == explained.expected_values[output]
        expected = base + explained.local_values[output].sum(axis=1)
        assert decode_range(encoded) == pytest.approx(expected, abs=1e-3)
    single = replace(explanation(8, 5000), expected_values=np.array(3.25))
    selection, data = read(single)
    rows = data["points"]["rows"]
    assert rows["numbers"] == selection.rows.tolist()
    ((base, encoded),) = rows["outputs"]
    assert base == 3.25
    expected = 3.25 + single.local_values[selection.rows].sum(axis=1)
    assert decode_range(encoded) == pytest.approx(expected, abs=1e-3)


def test_unknown_base_values_and_outputs_that_are_not_finite():
    def outputs(**changes):
        return read(replace(explanation(), **changes))[1]["points"]["rows"]["outputs"]

    assert outputs()[0][0] is None
    assert outputs(expected_values=np.array([1.0, 2.0]))[0][0] is None
    assert outputs(expected_values=np.array([np.nan])) == [None]
    local = explanation().local_values.copy()
    local[3, 2] = np.inf
    assert outputs(local_values=local) == [None]


def test_labels_of_rows():
    labels = np.array(["b", "a", "<i>", "a"], dtype=object)
    rows = read(replace(explanation(2, 4, 3), true_labels=labels, predicted=labels[::-1]))[1]
    (true,), (predicted,) = (rows["points"]["rows"][key] for key in ("true", "predicted"))
    assert true["names"] == ["b", "a", "<i>"]
    assert decode(true["codes"]).tolist() == [0, 1, 2, 1]
    assert [predicted["names"][int(i)] for i in decode(predicted["codes"])] == [
        "a",
        "<i>",
        "a",
        "b",
    ]
    numbers = np.array([1.5, 2e9, np.nan, -3])
    rows = read(replace(explanation(2, 4), true_labels=numbers, predicted=None))[1]["points"][
        "rows"
    ]
    assert rows["true"] == [
        {"name": "", "numbers": pytest.approx([1.5, 2e9, np.nan, -3], nan_ok=True)}
    ]
    assert rows["predicted"] is None
    both = replace(explanation(2, 4, 2), task="regression", classes=None, targets=("kg", "m"))
    rows = read(replace(both, true_labels=np.c_[numbers, -numbers]))[1]["points"]["rows"]
    assert [column["name"] for column in rows["true"]] == ["kg", "m"]
    assert rows["true"][1]["numbers"][0] == -1.5


def test_labels_have_the_names_of_renamed_classes():
    probabilities = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    explained = replace(
        explanation(2, 4, 3), classes=("low", "<b>", "high"),
        predicted=np.array([2, 0, 1, 2]), predicted_probabilities=probabilities,
        true_labels=np.array([2, 1, 1, 7]),
    )  # fmt: skip
    rows = read(explained)[1]["points"]["rows"]
    names = {key: [rows[key][0]["names"][int(i)] for i in decode(rows[key][0]["codes"])]
             for key in ("predicted", "true")}  # fmt: skip
    assert names["predicted"] == ["high", "low", "<b>", "high"]
    assert names["true"] == ["high", "<b>", "<b>", "7"]  # the model does not know the last label
    assert decode_range(rows["probability"]) == pytest.approx([0.7, 0.6, 0.5, 0.8], abs=1e-4)
    unclear = replace(explained, predicted=np.array([2, 0, 1, 1]))
    rows = read(unclear)[1]["points"]["rows"]
    assert rows["probability"] is None
    assert rows["predicted"][0]["names"] == ["2", "0", "1"]


@pytest.mark.parametrize(
    ("shape", "n_distributions", "n_rows"),
    [((100, 1000, None), 100, 1000), ((10, 5000, None), 10, 1000), ((500, 1000, 30), 20, 50),
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
    assert (decode(by_kind["category"]["bytes"]) == 65_535).sum() == 40
    assert by_kind["number"]["outside"] == 1


@pytest.mark.parametrize("values", [np.nan, np.inf, 0.0, 1e300])
def test_data_of_unusual_values(values):
    explained = explanation(2, 5, 3)
    strange = np.full_like(explained.local_values, values)
    explained = replace(explained, local_values=strange, per_class_values=strange[:, 0],
                        global_values=strange[0, 0])  # fmt: skip
    assert read(explained)[1]["points"]["contributions"][1][0][2]
