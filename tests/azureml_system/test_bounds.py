"""Faults of Azure ML: the training goes on, and there is one warning in time."""

from __future__ import annotations

import logging
import socket

import mlflow
import pytest
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from azureml_double import AzureMLDouble
from mlflow_interpret.stores import mlflow as mlflow_store

X, y = load_iris(return_X_y=True, as_frame=True)
HANG = 600.0  # seconds
PATIENCE = 300.0  # less than the time of a service that hangs


@pytest.fixture(scope="module")
def double():
    with AzureMLDouble(blobs="memory") as running:
        yield running


@pytest.fixture
def run_id(_uploads_here, double, store, tmp_path, monkeypatch):
    """The run of the job that this process belongs to."""
    monkeypatch.setattr("mlflow_interpret.stores.azureml.http._FIRST_WAIT", 0.01)
    run_id = double.create_run()
    for name, value in double.job_environment(run_id, tmp_path / "home").items():
        if name.startswith("AZUREML_") or "PROXY" in name.upper() or name == "REQUESTS_CA_BUNDLE":
            monkeypatch.setenv(name, value)
    yield run_id
    double.heal()


def train(caplog, seconds=60.0) -> tuple[str, str]:
    """Train once, and return the MLflow run's id and the one warning."""
    mlflow_interpret.autolog(upload_timeout=seconds, log_figures=False, log_report=False)
    with mlflow.start_run() as run:
        DecisionTreeClassifier(max_depth=2).fit(X, y)
    assert mlflow_interpret.flush(PATIENCE)
    (warning,) = [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("mlflow_interpret")
    ]
    return run.info.run_id, warning


FAULTS = {
    "401": ({"status": 401}, "log in again"),
    "403": ({"status": 403}, "may not do this in the workspace"),
    "404": ({"status": 404}, "is not there"),
    "429": ({"status": 429, "headers": {"Retry-After": "120"}}, "too many requests"),
    "500": ({"status": 500}, "answered 500"),
    "503": ({"status": 503}, "answered 503"),
    "dropped": ({"drop": True}, "does not answer"),
    "hanging": ({"hang": HANG}, "does not answer"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_service_is_one_warning_with_the_remedy(double, store, run_id, caplog, name):
    fault, message = FAULTS[name]
    double.fail("*", "azureml.ms/", **fault)
    mlflow_run, warning = train(caplog, 5.0 if name == "hanging" else 60.0)
    assert message in warning
    assert f"mlflow-interpret push {mlflow_run}" in warning
    assert not any(secret in warning for secret in double.secrets)
    status = mlflow_store.status_of(mlflow_run, store)
    assert (status["status"], status["azureml"]["state"]) == ("failed", "failed")
    double.heal()
    mlflow_interpret.push(mlflow_run)
    assert mlflow_store.status_of(mlflow_run, store)["status"] == "complete"
    assert [asset["runid"] for asset in double.assets].count(run_id) == 1


def test_a_service_that_refuses_connections_is_one_warning(store, run_id, caplog, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("AZUREML_SERVICE_ENDPOINT", closed)
    mlflow_run, warning = train(caplog)
    assert "127.0.0.1 does not answer" in warning
    assert f"mlflow-interpret push {mlflow_run}" in warning
