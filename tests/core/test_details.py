"""The record of how an explanation was computed, and its JSON."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError

import pytest

from mlflow_interpret.core.details import (
    AttributionCheck,
    Details,
    ModelInfo,
    Note,
    RowCounts,
    as_notes,
    note_because,
)
from mlflow_interpret.core.errors import LEFT_OUT, CannotExplainError

COMPUTED = Details(
    model=ModelInfo("GridSearchCV", "GridSearchCV.best_estimator_", "Ridge"),
    engine="an explainer",
    output_scale="prediction",
    additivity_error=1e-9,
    rows=RowCounts("training rows", 200, 100),
    attribution_check=AttributionCheck("passed", "a library", rows=10, columns=3),
    stopped="settled",
    has_converged=True,
    partial=False,
    n_features=3,
    random_state=7,
    notes=as_notes(["A note.", Note("It quotes 5.", "It quotes a value.")]),
    seconds=1.5,
    extra={"later": [1, 2]},
)


def test_json_round_trips():
    assert Details.from_json(json.loads(json.dumps(COMPUTED.to_json()))) == COMPUTED
    assert Details.from_json(Details().to_json()) == Details()


def test_keys_are_those_of_the_storage_format():
    entries = COMPUTED.to_json()
    assert (entries["settled"], entries["features"]) == (True, 3)
    assert entries["rows"] == {"source": "training rows", "available": 200, "explained": 100}
    check = {"outcome": "passed", "explainer": "a library", "rows": 10, "columns": 3}
    assert entries["attribution_check"] == check
    assert entries["notes"] == ["A note.", "It quotes 5."]
    assert entries["later"] == [1, 2]


def test_entries_of_a_computed_explanation_are_null_rather_than_missing():
    assert COMPUTED.to_json()["sampling_error"] is None
    assert Details(notes=as_notes(["Read from elsewhere."])).to_json() == {
        "notes": ["Read from elsewhere."]
    }


def test_nothing_can_be_changed():
    with pytest.raises(FrozenInstanceError):
        COMPUTED.seconds = 2.0


def test_a_file_of_the_first_version_is_read_without_values_on_request():
    text = "could not convert string to float: 'planted-cell'"
    entries = {"notes": [f"Not exact, because {text}."], "quoted": [text], "settled": False}
    details = Details.from_json(entries)
    assert (str(details.notes[0]), details.has_converged) == (entries["notes"][0], False)
    assert details.without_values().notes == (Note(LEFT_OUT),)


@pytest.mark.parametrize("entries", [{"rows": 3, "model": "Ridge"}, {"notes": None}, {}])
def test_entries_of_unexpected_types_are_passed_over(entries):
    details = Details.from_json(entries)
    assert (details.rows, details.model, details.notes) == (None, None, ())


def test_a_note_quotes_the_error_of_another_package_in_its_text_alone():
    error = CannotExplainError("the pipeline failed", ValueError("cell 'x' is unknown"))
    note = note_because("Explained as a black box", error)
    assert "cell 'x'" in note.text
    assert "cell 'x'" not in str(note.public_text)
    assert note_because("Slow", CannotExplainError("it is large")).public_text is None


def test_errors_keep_both_texts_on_their_way_between_processes():
    inner = CannotExplainError("the step failed", ValueError("cell 'x'."))
    outer = pickle.loads(pickle.dumps(CannotExplainError("the pipeline failed", inner)))
    assert str(outer) == "the pipeline failed: the step failed: cell 'x'"
    assert outer.public_message == f"the pipeline failed: the step failed: ValueError {LEFT_OUT}"
