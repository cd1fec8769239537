"""Importances of runs are read from one small file each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from logged_explanations import explanation, log
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import importances_of
from mlflow_interpret.runtime.progress import nothing
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.mlflow.importances import Named, load_importances


@pytest.fixture
def run_id(store):
    with mlflow.start_run(run_name="the run") as run:
        pass
    return run.info.run_id


def read(run_id, store, **options):
    """The importances of a run, or why there are none."""
    run = MlflowClient(store).get_run(run_id)
    found, reasons = load_importances([Named(run, "its name")], store, nothing, **options)
    assert len(found) + len(reasons) == 1
    return found[0] if found else reasons[run_id]


def rows(n_features=3):
    table = pd.DataFrame(np.arange(5.0 * n_features).reshape(5, -1))
    return table.set_axis([f"feature {i}" for i in range(n_features)], axis=1)


def same(a, b):
    assert a.explanation_id == b.explanation_id
    assert (a.method, a.model_class, a.scale) == (b.method, b.model_class, b.scale)
    assert a.features == b.features
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.errors, b.errors)
    assert a.rows == b.rows
    assert a.row_digests == b.row_digests
    assert a.output_names == b.output_names


def test_logged_importances_are_read(store, run_id):
    details = {"output_scale": "probability", "rows": {"explained": 5}}
    record = explanation(details=Details.from_json(details), evaluation_rows=rows())
    log(record, run_id, store)
    found = read(run_id, store)
    same(found, importances_of(record))
    assert (found.run_id, found.run_name) == (run_id, "its name")
    assert found.scale == "probability"
    assert len(found.row_digests) == 3


def test_without_rows_there_are_standard_errors_and_no_digests(store, run_id):
    record = explanation(evaluation_rows=rows())
    log(record.without_rows(), run_id, store)
    found = read(run_id, store)
    np.testing.assert_array_equal(found.errors, record.standard_errors())
    assert found.row_digests is None


def test_infinity_and_nan_are_read(store, run_id):
    log(
        explanation(global_values=np.array([np.nan, np.inf, 1.0]), local_values=None), run_id, store
    )
    found = read(run_id, store)
    np.testing.assert_array_equal(found.values, [np.nan, np.inf, 1.0])
    assert found.errors is None


def test_the_latest_explanation_of_a_run_is_read(store, run_id):
    records = [explanation() for _ in range(7)]  # the last two have no tags of their own
    for record in records[:3]:
        log(record, run_id, store)
    assert read(run_id, store).explanation_id == records[2].id
    mlflow_store.log_skipped(run_id, store, "no reason", {})
    assert read(run_id, store).explanation_id == records[2].id
    for record in records[3:]:
        log(record, run_id, store)
    assert read(run_id, store).explanation_id == records[6].id


def test_a_class_or_the_engineered_view_is_read(store, run_id):
    engineered = explanation(n_features=2, is_engineered=True)
    record = explanation(engineered=engineered, is_raw=True)
    log(record, run_id, store)
    found = read(run_id, store, label="1")
    np.testing.assert_array_equal(found.values, record.per_class_values[1])
    np.testing.assert_array_equal(found.errors, record.per_class_standard_errors()[1])
    assert read(run_id, store, label="none") == "it has no class or target 'none' (it has: 0, 1)"
    assert read(run_id, store, engineered=True).explanation_id == engineered.id


def artifacts(run_id):
    return Path(local_file_uri_to_path(MlflowClient().get_run(run_id).info.artifact_uri))


def test_runs_without_importances_have_a_reason(store, run_id):
    assert read(run_id, store) == "it holds no explanation"
    mlflow_store.note_skipped(run_id, store, "it predicts nothing")
    assert read(run_id, store) == "it holds no explanation: it predicts nothing"
    mlflow_store.log_skipped(run_id, store, "bad", {})
    assert read(run_id, store) == "its fit was skipped; its status.json says why"
    log(explanation(), run_id, store)
    assert read(run_id, store, engineered=True) == "it has no view by engineered column"
    file = artifacts(run_id) / "mlflow_interpret-2" / "explanation.json"
    text = file.read_text("utf-8")
    file.write_text(json.dumps({**json.loads(text), "format": 99}), "utf-8")
    assert "upgrade mlflow-interpret" in read(run_id, store)
    file.write_text("{", "utf-8")
    damaged = "its explanation is damaged or was changed: explanation.json cannot be read: JSON"
    assert read(run_id, store).startswith(damaged)
    shutil.rmtree(file.parent)
    assert read(run_id, store) == "its explanation cannot be read (FileNotFoundError)"


def test_an_older_explanation_does_not_replace_an_unreadable_one(store, run_id):
    older, latest = (explanation(engineered=explanation()) for _ in range(2))
    log(older, run_id, store)
    assert read(run_id, store).in_run == 1
    log(latest, run_id, store)
    assert read(run_id, store).in_run == 2
    folder = artifacts(run_id) / "mlflow_interpret-2"
    reason = "its explanation is damaged or was changed: explanation.json"
    for place, options in ((folder / "engineered", {"engineered": True}), (folder, {})):
        (place / "explanation.json").write_text("{", "utf-8")
        assert read(run_id, store, **options).startswith(reason)
    shutil.rmtree(folder)
    assert read(run_id, store).explanation_id == older.id
    assert read(run_id, store, engineered=True).explanation_id == older.engineered.id


def test_the_order_of_runs_is_kept_and_progress_reported(store):
    client, wanted = MlflowClient(store), []
    for i in range(12):
        with mlflow.start_run() as run:
            log(explanation(n_features=i + 1), run.info.run_id, store)
        wanted.append(Named(client.get_run(run.info.run_id), str(i)))
    heard = []
    found, _ = load_importances(wanted, store, lambda *counts: heard.append(counts))
    assert [len(importances.features) for importances in found] == list(range(1, 13))
    assert heard == [(i, 12) for i in range(1, 13)]


def test_undecodable_names_are_escaped_in_both_explanations(store, run_id):
    record = explanation(2, features=("\ud800", "a"), evaluation_rows=rows(2))
    log(record, run_id, store)
    found = read(run_id, store)
    assert found.features == ("\\ud800", "a")
    same(found, importances_of(record))
