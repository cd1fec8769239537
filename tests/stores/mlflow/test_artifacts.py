"""Requests for the artifact files of runs."""

from __future__ import annotations

import threading
from dataclasses import replace

import mlflow
import pytest
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from explanation_cases import made
from logged_explanations import log
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.background import Background
from mlflow_interpret.runtime.progress import nothing
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.mlflow import artifacts, reader
from mlflow_interpret.stores.mlflow.artifacts import map_concurrently


@pytest.fixture
def elsewhere(store, monkeypatch):
    """A run with two explanations whose files are taken for those of another machine."""
    for module in (artifacts, reader):
        monkeypatch.setattr(module, "local_path", lambda *_: None)
    latest = made(is_raw=True, engineered=made())
    background = Background(latest.features, "dataframe", rows=latest.evaluation_rows)
    explanations = [made(), replace(latest, background=background)]
    with mlflow.start_run() as run:
        for explanation in explanations:
            log(explanation, run.info.run_id, store, top_k=3, figures=True)
    return run.info.run_id, explanations


def watch(monkeypatch, download):
    monkeypatch.setattr(LocalArtifactRepository, "_download_file", download)


def test_only_needed_files_are_requested_without_a_progress_bar(
    elsewhere, store, monkeypatch, capsys
):
    run_id, (_, latest) = elsewhere
    asked, download = [], LocalArtifactRepository._download_file
    watch(monkeypatch, lambda self, path, to: asked.append(path) or download(self, path, to))
    found = mlflow_store.load(run_id, None, store)
    assert (found.id, found.engineered.id) == (latest.id, latest.engineered.id)
    assert mlflow_store.status_of(run_id, store)["explanation_id"] == latest.id
    *read, status = asked
    assert status == "mlflow_interpret-2/status.json"
    # The view by engineered column has no background rows of its own.
    assert len(read) == len(set(read)) == 2 * len(explanation_io.READ) - 1
    assert {path.rpartition("/")[2] for path in read} == set(explanation_io.READ)
    assert capsys.readouterr() == ("", "")


def test_an_older_explanation_does_not_replace_an_unreadable_one(elsewhere, store, monkeypatch):
    def fail(self, path, to):
        raise OSError(f"cannot read {path}")

    watch(monkeypatch, fail)
    with pytest.raises(OSError, match="cannot read mlflow_interpret-2/"):
        mlflow_store.load(elsewhere[0], None, store)


def test_the_first_error_is_raised():
    def fail(item):
        raise ValueError(item)

    with pytest.raises(ValueError, match="a"):
        map_concurrently(fail, ["a"] * 20, nothing)


def test_an_interrupt_does_not_wait_for_requests():
    go_on = threading.Event()

    def interrupt(done, total):
        raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            map_concurrently(lambda item: item == 0 or go_on.wait(60), range(4), interrupt)
        assert any(thread.name.startswith("mlflow-interpret") for thread in threading.enumerate())
    finally:
        go_on.set()
