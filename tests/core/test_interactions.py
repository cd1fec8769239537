"""The record of interactions: ranked, written, read back, and checked."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from explanations import explanation
from mlflow_interpret import InvalidExplanationError
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.interactions import Interactions, interaction_table

VALUES = np.array([[0.0, 0.1, 1 / 3], [0.1, 0.0, 0.0], [1 / 3, 0.0, 0.0]])
INTERACTIONS = Interactions(("f2", "f0", "f5"), VALUES, VALUES / 10, 40, is_sampled=False)
RECORD = replace(explanation(), interactions=INTERACTIONS)


def written(folder, record=RECORD):
    explanation_io.write(record, folder)
    return explanation_io.read(folder)


def test_pairs_are_ranked_with_their_shares():
    rows = interaction_table(INTERACTIONS)["data"]
    assert rows == [
        ["f2", "f5", 0.3333, 0.7692, 0.033],
        ["f2", "f0", 0.1, 0.2308, 0.01],
        ["f0", "f5", 0.0, 0.0, 0.0],
    ]
    without_errors = replace(INTERACTIONS, errors=None, values=np.zeros((3, 3)))
    assert interaction_table(without_errors)["data"][0] == ["f2", "f0", 0.0, 0.0, None]


def test_partners():
    partners = [INTERACTIONS.strongest_partner(name) for name in ("f2", "f0", "f5", "f1")]
    assert partners == ["f5", "f2", "f2", None]


@pytest.mark.parametrize("errors", [VALUES / 10, None])
def test_the_record_is_read_as_it_was_written(tmp_path, errors):
    interactions = replace(INTERACTIONS, errors=errors)
    read = written(tmp_path, replace(RECORD, interactions=interactions)).interactions
    assert (read.features, read.n_rows, read.is_sampled) == (("f2", "f0", "f5"), 40, False)
    np.testing.assert_array_equal(read.values, VALUES)
    assert errors is None or np.array_equal(read.errors, errors)
    table = json.loads((tmp_path / explanation_io.INTERACTIONS).read_text("utf-8"))
    assert table["columns"][:3] == ["feature_1", "feature_2", "interaction"]
    assert table["data"][0][:2] == ["f2", "f5"]


def test_the_aggregates_stay_without_rows(tmp_path):
    assert written(tmp_path, RECORD.without_rows()).interactions.features == ("f2", "f0", "f5")


def test_an_explanation_without_interactions_has_no_table(tmp_path):
    assert written(tmp_path, explanation()).interactions is None
    assert not (tmp_path / explanation_io.INTERACTIONS).exists()


@pytest.mark.parametrize(
    "change",
    [
        {"features": ["f2", "f0"]},
        {"features": ["f2", 0, "f5"]},
        {"features": "f2 f0 f5"},
        {"features": []},
        {"values": [[0.0, 1.0], [1.0, 0.0]]},
        {"values": None},
        {"values": "x"},
        {"errors": [1.0, 2.0, 3.0]},
        {"rows": "40"},
        {"sampled": None},
    ],
)
def test_a_damaged_entry_is_refused(tmp_path, change):
    explanation_io.write(RECORD, tmp_path)
    path = tmp_path / explanation_io.EXPLANATION
    summary = json.loads(path.read_text("utf-8"))
    summary["interactions"].update(change)
    path.write_text(json.dumps(summary), "utf-8")
    with pytest.raises(InvalidExplanationError, match=r"^explanation.json"):
        explanation_io.read(tmp_path)
    path.write_text(json.dumps({**summary, "interactions": []}), "utf-8")
    with pytest.raises(InvalidExplanationError, match="'interactions' is not a map"):
        explanation_io.read(tmp_path)
