"""Files of an explanation that were damaged or changed: a clear error, or a bounded read."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.explanations import explanation

from mlflow_interpret import InvalidExplanationError
from mlflow_interpret.core import explanation_checks, explanation_io, json_files, parquet_files
from mlflow_interpret.core.background import Background
from mlflow_interpret.core.background_io import BACKGROUND
from mlflow_interpret.core.explanation_io import EXPLANATION, LOCAL, PREDICTIONS, ROWS
from mlflow_interpret.core.importances_io import read_importances


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "explanation"
    folder.mkdir()
    predicted = np.array(["c0"] * 40)
    probabilities = np.full((40, 3), 1 / 3)
    record = explanation(n_classes=3)
    background = Background(record.features, "dataframe", rows=record.evaluation_rows, n_drawn=40)
    fields = {
        "predicted": predicted, "predicted_probabilities": probabilities, "background": background
    }  # fmt: skip
    explanation_io.write(type(record)(**{**vars(record), **fields}), folder)
    return folder


def change(folder, **entries):
    path = folder / EXPLANATION
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, **entries}), "utf-8")


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"features": 7}, "'features' is not a list"),
        ({"features": []}, "'features' has 0 entries"),
        ({"features": ["f0"] * 6}, "'features' repeats a name"),
        ({"features": [["f0"]] * 6}, "'features' holds other values than text"),
        ({"global_values": [1.0, 2.0]}, "'global_values' has the shape"),
        ({"global_values": [[1.0]] * 6}, "'global_values' has the shape"),
        ({"global_values": ["<b>"] * 6}, "cannot be read: ValueError"),
        ({"per_class_values": [[1.0] * 6] * 2}, "'per_class_values' has the shape"),
        ({"standard_errors": [None, {}]}, "cannot be read: TypeError"),
        ({"expected_values": [1.0, 2.0]}, "'expected_values' has the shape"),
        ({"cross_validation": 7}, "'cross_validation' has other entries"),
        ({"cross_validation": {"importances": [["<b>"]]}}, "'cross_validation' has other entries"),
        (
            {
                "cross_validation": {
                    "splitter": "",
                    "importances": [[1.0]],
                    "train_rows": [1],
                    "test_rows": [1],
                    "scores": {},
                }
            },
            "'cross_validation' does not fit the features",
        ),
        ({"local_shape": [3, 40]}, "'local_shape' has the shape"),
        ({"local_shape": [3, -40, 6]}, "'local_shape' is not two or three numbers"),
        (
            {"local_shape": [3, 10**18, 6]},
            r"local_importances.parquet: it has the shape \(120, 6\)",
        ),
        ({"classes": [["a"], ["b"], ["c"]]}, "'classes' holds lists"),
        ({"classes": ["a", "b"]}, "'per_class_values' has the shape"),
        ({"task": "<script>"}, "'task' is none of this package"),
        ({"id": 7}, "'id' is not text"),
        ({"details": []}, "'details' is not a map"),
        ({"details": {"rows": {"explained": "many"}}}, "'explained' is str"),
        ({"details": {"rows": {"explained": 10**30}}}, "'explained' is a huge number"),
        ({"details": {"histograms": ["a"]}}, "'histograms' has a wrong type"),
        ({"details": {"directions": {"f0": 1}}}, "'directions' has a wrong type"),
        ({"details": {"directions": {"f0": {"outputs": 1}}}}, "'outputs' has a wrong type"),
        ({"details": {"directions": {"f0": {"outputs": {"c": 1}}}}}, "'outputs' has a wrong type"),
        ({"details": {"baseline": {"spearman": "x"}}}, "'spearman' has a wrong type"),
        ({"details": {"notes": 3}}, "'notes' has a wrong type"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_entries_that_do_not_fit(folder, entries, problem):
    change(folder, **entries)
    with pytest.raises(InvalidExplanationError, match=problem):
        explanation_io.read(folder)
    if "local_shape" not in entries or "'local_shape'" in problem:
        with pytest.raises(InvalidExplanationError, match=problem):
            read_importances(folder / EXPLANATION, "run", "name")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "JSONDecodeError"),
        ("[1, 2]", "it holds no JSON object"),
        ('{"format": 1}', "the entry 'id' is missing"),
        ("[" * 100_000, "RecursionError"),
        ('{"features": ' + "[" * 100_000, "RecursionError"),
    ],
    ids=lambda value: value[:20],
)
def test_text_that_is_no_explanation(folder, text, problem):
    (folder / EXPLANATION).write_text(text, "utf-8")
    with pytest.raises(InvalidExplanationError, match=f"{EXPLANATION}.*{problem}"):
        explanation_io.read(folder)


def test_a_file_that_is_too_large_is_not_read(folder):
    os.truncate(folder / EXPLANATION, json_files.MAX_BYTES + 1)  # takes no space on the disk
    with pytest.raises(InvalidExplanationError, match="explanation.json: it has 500,000,001 bytes"):
        explanation_io.read(folder)


def equal_cells(n_rows, cell):
    """A column that takes a few bytes for any number of rows."""
    indices = pa.array(np.zeros(n_rows, dtype=np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array([cell]))


@pytest.mark.parametrize("name", [LOCAL, ROWS, PREDICTIONS])
@pytest.mark.parametrize(
    "table",
    [
        pa.table({"f0": [1.0]}),
        pa.table({f"f{i}": equal_cells(1_000_000, 0.5) for i in range(6)}),
        None,
    ],
    ids=["few", "many", "no table"],
)
def test_tables_that_do_not_fit(folder, name, table):
    if table is None:
        (folder / name).write_bytes(b"PAR1 no table PAR1")
    else:
        pq.write_table(table, folder / name)
    with pytest.raises(InvalidExplanationError, match=name):
        explanation_io.read(folder)


@pytest.mark.parametrize("is_nested", [False, True])
def test_a_small_table_of_long_texts_is_not_read(folder, monkeypatch, is_nested):
    monkeypatch.setattr(parquet_files, "MAX_TEXT_BYTES", 1_000_000)
    texts = equal_cells(80 if is_nested else 40, "x" * 30_000)
    if is_nested:
        texts = pa.ListArray.from_arrays(pa.array(range(0, 82, 2), pa.int32()), texts)
    columns = {f"f{i}": equal_cells(40, "x") for i in range(5)}
    pq.write_table(pa.table({**columns, "f5": texts}), folder / ROWS)
    with pytest.raises(InvalidExplanationError, match=f"{ROWS}: its texts take .*1,000,000"):
        explanation_io.read(folder)
    monkeypatch.setattr(parquet_files, "MAX_TEXT_BYTES", 5_000_000)
    assert len(explanation_io.read(folder).evaluation_rows) == 40


def test_a_small_table_of_many_cells_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(parquet_files, "MAX_CELLS", 1_000_000)
    change(folder, local_shape=None)
    columns = {f"f{i}": equal_cells(200_000, 0.5) for i in range(6)}
    pq.write_table(pa.table(columns), folder / ROWS)
    with pytest.raises(InvalidExplanationError, match=f"{ROWS}: it has 1,200,000 cells"):
        explanation_io.read(folder)


def test_millions_of_features_are_not_read(folder, monkeypatch):
    monkeypatch.setattr(explanation_checks, "MAX_FEATURES", 5)
    with pytest.raises(InvalidExplanationError, match="'features' has 6 entries, and 1 to 5 are"):
        explanation_io.read(folder)


def test_probabilities_of_other_classes(folder):
    table = pd.read_parquet(folder / PREDICTIONS).assign(probability_3=0.0)
    table.to_parquet(folder / PREDICTIONS, index=False)
    with pytest.raises(InvalidExplanationError, match="4 probabilities for 3 classes"):
        explanation_io.read(folder)


def test_probabilities_of_unknown_classes_are_read(folder):
    change(folder, classes=None)
    assert explanation_io.read(folder).predicted_probabilities.shape == (40, 3)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("name", [EXPLANATION, LOCAL, ROWS, PREDICTIONS, BACKGROUND])
def test_links_to_other_places_are_not_followed(folder, tmp_path, name):
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(InvalidExplanationError, match=f"{name}: a link to a place outside"):
        explanation_io.read(folder)


ENTRY = {
    "container": "array", "names": None, "columns": None, "is_given": False, "has_rows": True,
    "has_weights": False, "n_drawn": 40, "engine": "auto", "output": "auto",
}  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ([], "'background' has entries of other types"),
        ({**ENTRY, "container": "pickle"}, "'background' has entries of other types"),
        ({**ENTRY, "engine": "none"}, "'background' has entries of other types"),
        ({**ENTRY, "n_drawn": "40"}, "'background' has entries of other types"),
        ({**ENTRY, "names": [1] * 6}, "'background' has names that are no texts"),
        ({**ENTRY, "columns": ["a"]}, "'background' has other columns than names"),
        ({**ENTRY, "has_weights": True}, r"background_rows.parquet: it has the shape \(40, 6\)"),
        ({**ENTRY, "names": ["a"]}, r"background_rows.parquet: it has the shape \(40, 6\)"),
    ],
)
def test_background_rows_that_do_not_fit(folder, entry, problem):
    change(folder, background=entry)
    with pytest.raises(InvalidExplanationError, match=problem):
        explanation_io.read(folder)


def test_an_explanation_without_background_rows_is_read(folder):
    (folder / BACKGROUND).unlink()
    assert explanation_io.read(folder).background.rows is None
    change(folder, background=None)  # as of earlier versions
    assert explanation_io.read(folder).background is None


def test_names_that_pandas_refuses_are_escaped_in_the_rows(folder):
    change(folder, features=["\ud800", *(f"f{i}" for i in range(1, 6))])
    read = explanation_io.read(folder)
    assert read.features[0] == "\ud800"
    assert read.evaluation_rows.columns[0] in {"\ud800", "\\ud800"}  # older pandas, newer


def test_views_within_views_are_not_read(folder):
    inner = folder
    for _ in range(3):
        inner = inner / "engineered"
        inner.mkdir()
        explanation_io.write(explanation(), inner)
    read = explanation_io.read(folder)
    assert read.engineered is not None
    assert read.engineered.engineered is None


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ([], "it holds no JSON object"),
        ({"comment": {}}, "'comment' is not text"),
        ({"tags": "x"}, "'tags' is not a map"),
        ({"folder": [1]}, "'folder' is not a map"),
    ],
)
def test_status_records_of_other_types(record, problem):
    with pytest.raises(InvalidExplanationError, match=problem):
        explanation_checks.check_status(record, ["folder"])
