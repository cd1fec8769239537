"""Runs whose files were changed: each function that reads them names the run, file and problem."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

import mlflow_interpret
from logged_explanations import explanation, log
from mlflow_interpret import (
    ExplanationDisplay,
    ExplanationNotFoundError,
    InvalidExplanationError,
)
from mlflow_interpret.cli import main


@pytest.fixture
def run_id(store):
    rows = pd.DataFrame(np.ones((5, 3)))
    with mlflow.start_run() as run:
        log(explanation(evaluation_rows=rows), run.info.run_id, store, report=False)
    return run.info.run_id


@pytest.fixture
def folder(run_id):
    root = MlflowClient().get_run(run_id).info.artifact_uri
    return Path(local_file_uri_to_path(root)) / "mlflow_interpret"


def set_entry(**entries):
    def change(folder):
        path = folder / "explanation.json"
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **entries}), "utf-8")

    return change


def link_folder(folder):
    shutil.move(folder, folder.parent.parent / "elsewhere")
    folder.symlink_to(folder.parent.parent / "elsewhere", target_is_directory=True)


def link_file(folder):
    shutil.move(folder / "explanation.json", folder.parent.parent / "secret")
    (folder / "explanation.json").symlink_to("../../secret")


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


CHANGES = {
    "shape": (set_entry(global_values=[1.0]), "explanation.json: 'global_values' has the shape"),
    "type": (set_entry(details={"seconds": "<b>"}), "explanation.json: 'seconds' is str"),
    "deep": (write("explanation.json", b"[" * 100_000), "explanation.json cannot be read: Recurs"),
    "pickle": (write("local_importances.parquet", b"\x80\x04."), "local_importances.parquet"),
    "file": (link_file, "a link to a place outside"),
    "folder": (link_folder, "a link to a place outside"),
}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_every_reader_names_the_run_and_the_problem(store, run_id, folder, tmp_path):
    with mlflow.start_run() as other:
        log(explanation(), other.info.run_id, store, report=False)
    backup = shutil.copytree(folder, tmp_path / "backup")
    for name, (change, problem) in CHANGES.items():
        change(folder)
        for read in (mlflow_interpret.load_explanation, ExplanationDisplay.from_run):
            with pytest.raises(InvalidExplanationError) as error:
                read(run_id)
            assert f"run {run_id} is damaged or was changed: mlflow_interpret/" in str(error.value)
            assert problem in str(error.value)
        shown = CliRunner().invoke(main, ["show", run_id])
        assert shown.exit_code == 1, name
        assert problem in shown.output
        assert "Traceback" not in shown.output
        if name != "pickle":  # comparisons do not read that file
            with pytest.raises(ExplanationNotFoundError) as error:
                mlflow_interpret.compare_runs([run_id, other.info.run_id], silent=True)
            assert problem in str(error.value)
        if folder.is_symlink():
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(backup, folder)
    assert len(mlflow_interpret.load_explanation(run_id).features) == 3


def test_names_that_lead_elsewhere_are_only_names(store, run_id, folder):
    names = ["../../../etc/passwd", "<script>alert(1)</script>", "/dev/zero"]
    set_entry(features=names)(folder)
    page = ExplanationDisplay.from_run(run_id)._repr_html_()
    assert "<script>alert(1)</script>" not in page
    assert list(mlflow_interpret.load_explanation(run_id).features) == names


def test_a_changed_status_record_is_named(store, run_id, folder):
    status = folder / "status.json"
    for content in ("[]", '{"comment": []}', "[" * 100_000):
        status.write_text(content, "utf-8")
        with pytest.raises(InvalidExplanationError, match=f"run {run_id} .*/status.json"):
            mlflow_interpret.load_explanation(run_id, comment="a comment")
    (folder / f"status-{'9' * 5000}.json"[:200]).write_text("{}", "utf-8")
    assert mlflow_interpret.load_explanation(run_id).features
