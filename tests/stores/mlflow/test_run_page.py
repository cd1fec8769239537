"""The first page of a run: a description where the user gave none, and the report's address."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LinearRegression

import mlflow_interpret
from mlflow_interpret.stores.base import StoreLimits
from mlflow_interpret.stores.mlflow.run_page import report_address

NOTE = "mlflow.note.content"


def fit(**options):
    mlflow_interpret.autolog(log_figures=False, **options)
    X = np.random.default_rng(0).normal(size=(60, 3))
    LinearRegression().fit(X, X @ [3.0, 1.0, 0.0])


def note(run_id):
    return MlflowClient().get_run(run_id).data.tags.get(NOTE)


def test_a_run_is_described_with_a_link_to_its_report(store):
    with mlflow.start_run() as run:
        fit()
    text = note(run.info.run_id)
    assert "**x0** and **x1** carry 100 % of the importance in LinearRegression" in text
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert f"[Open the report]({page}/artifacts/mlflow_interpret/report.html)" in text


def test_a_description_of_the_user_stays(store):
    with mlflow.start_run(description="mine") as run:
        fit()
    assert note(run.info.run_id) == "mine"


def test_the_first_explanation_describes_the_run(store):
    with mlflow.start_run() as run:
        fit()
        first = note(run.info.run_id)
        fit()
    assert note(run.info.run_id) == first


def test_the_description_is_an_option(store):
    with mlflow.start_run() as run:
        fit(log_description=False)
    assert note(run.info.run_id) is None


def test_a_run_without_report_has_no_link(store, caplog):
    with mlflow.start_run() as run:
        fit(log_report=False)
    assert "](" not in note(run.info.run_id)
    assert f"Run {run.info.run_id}, artifacts in mlflow_interpret/" in caplog.text


def test_the_line_of_a_fit_ends_with_the_path_of_the_report(store, caplog):
    fit()
    (line,) = [record.getMessage() for record in caplog.records if "Explained" in record.msg]
    path = Path(line.rpartition("report: ")[2])
    assert path.name == "report.html"
    assert mlflow_interpret.flush()
    assert "<!doctype html>" in path.read_text("utf-8").lower()


@pytest.fixture
def run(store):
    with mlflow.start_run() as active:
        return MlflowClient().get_run(active.info.run_id)


def test_a_report_on_a_server_has_a_deep_link_without_credentials(run):
    address = report_address(run, "https://user:secret@host:5000/", "folder", StoreLimits())
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert address == f"https://host:5000/{page}/artifacts/folder/report.html"


def test_a_report_elsewhere_has_no_address(run, monkeypatch):
    no_pages = StoreLimits(has_mlflow_pages=False)
    assert report_address(run, "https://host", "folder", no_pages) is None
    monkeypatch.setattr(run.info, "_artifact_uri", "s3://bucket/run/artifacts")
    assert report_address(run, "sqlite:///x.db", "folder", StoreLimits()) is None
    monkeypatch.setattr(run.info, "_artifact_uri", "relative/artifacts")
    expected = str(Path("relative/artifacts/folder/report.html"))
    assert report_address(run, "sqlite:///x.db", "folder", StoreLimits()) == expected
