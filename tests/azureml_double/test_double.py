"""The real SDK, in other processes, against the double."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests

from . import AzureMLDouble
from .clients import run_client

pytest.importorskip("azureml.interpret", reason="the SDK the double is for is not installed")

EXPERIMENT = "breast-cancer"
MLFLOW_START_TIMEOUT = 300
IMPORTANCES = 30


@dataclass
class Job:
    """A job that has run, and its results."""

    run_id: str
    found: dict[str, Any]


@pytest.fixture(scope="module")
def job(double: AzureMLDouble, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job that explained a model."""
    directory = tmp_path_factory.mktemp("job")
    run_id = double.create_run(EXPERIMENT)
    double.fail("PUT", "/explanation/badbadba/", status=HTTPStatus.FORBIDDEN)
    environment = double.job_environment(run_id, directory / "home")
    found = run_client("job", environment, directory)
    double.heal()
    return Job(run_id, found)


class TestJob:
    """A job's process: ``Run.get_context`` and the explanation client."""

    def test_uploads_and_reads_back(self, job: Job) -> None:
        assert job.found["run_id"] == job.run_id
        assert job.found["same_after_download"]
        assert len(job.found["importances"]) == IMPORTANCES
        assert job.found["comments"] == ["first"]

    def test_tags_the_run(self, double: AzureMLDouble, job: Job) -> None:
        assert job.found["tags"] == {"model_explanation": "True"}
        assert double.runs[job.run_id]["tags"] == {"model_explanation": "True"}

    def test_registers_an_asset(self, double: AzureMLDouble, job: Job) -> None:
        (asset,) = [asset for asset in double.assets if asset["runid"] == job.run_id]
        assert asset["name"] == "explanation_asset"
        assert asset["type"] == "azureml.explanation"
        expected = {
            "type": "explanation",
            "version": "azureml.v8.model.explanation",
            "explanation_id": job.found["explanation_id"],
            "comment": "first",
            "model_type": "classification",
            "num_classes": "2",
            "num_features": str(IMPORTANCES),
            "global": "True",
            "local": "True",
            "init_dataset_id": None,
        }
        assert expected.items() <= asset["properties"].items()

    def test_stores_the_files(self, double: AzureMLDouble, job: Job) -> None:
        folder = f"explanation/{job.found['explanation_id'][:8]}"
        assert f"{folder}/true_ys_viz.interpret.json" in double.artifacts(job.run_id)
        classes = double.read_artifact(job.run_id, f"{folder}/classes.interpret.json")
        assert json.loads(classes) == ["bad", "good"]

    def test_meets_conflicts_and_refusals(self, job: Job) -> None:
        assert job.found["repeated_upload"] == "AzureMLAggregatedException"
        assert job.found["refused_upload"] == "HttpResponseError"

    def test_logs_metrics(self, double: AzureMLDouble, job: Job) -> None:
        assert [metric["name"] for metric in double.history.metrics[job.run_id]] == ["accuracy"]

    def test_asks_for_nothing_unknown(self, double: AzureMLDouble, job: Job) -> None:
        assert job.run_id
        assert double.unknown_requests == []

    def test_shows_no_secret(self, double: AzureMLDouble, job: Job) -> None:
        assert len(double.secrets) > IMPORTANCES
        assert [secret for secret in double.secrets if secret in job.found["output"]] == []

    # The storage of the blobs does not matter for a reader.
    @pytest.mark.parametrize("double", ["memory"], indirect=True)
    def test_is_seen_from_a_laptop(self, double: AzureMLDouble, job: Job, tmp_path: Path) -> None:
        own = double.workspace_coordinates
        found = run_client(
            "laptop",
            double.laptop_environment(tmp_path / "home"),
            tmp_path,
            *(own.subscription_id, own.resource_group, own.name, EXPERIMENT, job.run_id),
        )
        assert found["importances"] == job.found["importances"]
        assert sorted(found["files"]) == double.artifacts(job.run_id)
        interactive, status = found["interactive"]
        assert status == double.runs[interactive]["status"] == "Completed"
        assert found["unknown_run"] == "ServiceException"
        assert found["unknown_workspace"] == "ProjectSystemException"
        assert found["bad_login"] == "AuthenticationError"


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a real MLflow server."""
    directory = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{directory}/mlflow.db"]
    command += ["--default-artifact-root", str(directory / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        deadline = time.monotonic() + MLFLOW_START_TIMEOUT
        while not _healthy(port):
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        # The server and its workers were started in a session of their own.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _healthy(port: int) -> bool:
    session = requests.Session()
    session.trust_env = False
    try:
        return bool(session.get(f"http://127.0.0.1:{port}/health", timeout=5).ok)
    except requests.exceptions.RequestException:
        return False
    finally:
        session.close()


@pytest.fixture(scope="module")
def tracking(mlflow_server: str) -> Iterator[AzureMLDouble]:
    """A running double in front of an MLflow server."""
    with AzureMLDouble(mlflow_server) as running:
        yield running


@pytest.fixture(scope="module")
def found(tracking: AzureMLDouble, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of a process that used MLflow and the explanation client on one run."""
    directory = tmp_path_factory.mktemp("tracking")
    own = tracking.workspace_coordinates
    environment = tracking.laptop_environment(directory / "home")
    coordinates = (own.subscription_id, own.resource_group, own.name)
    return run_client("tracking", environment, directory, *coordinates)


class TestTracking:
    """MLflow's client with the workspace as tracking store."""

    def test_one_run_for_both(self, tracking: AzureMLDouble, found: dict[str, Any]) -> None:
        assert found["status"] == tracking.runs[found["run_id"]]["status"] == "Completed"
        assert found["artifact_uri"].startswith("azureml://eastus.api.azureml.ms/")
        assert found["metrics"] == 41
        assert found["mlflow_tags"]["model_explanation"] == "True"
        assert tracking.runs[found["run_id"]]["tags"] == found["mlflow_tags"]

    def test_artifacts_of_both(self, tracking: AzureMLDouble, found: dict[str, Any]) -> None:
        assert found["artifacts"] == ["explanation", "folder"]
        assert found["content"] == {"a": 1}
        assert "folder/a.json" in tracking.artifacts(found["run_id"])

    @pytest.mark.parametrize(
        ("limit", "message"),
        [
            ("metric_names", "At most 50 metric names in a run, got 52"),
            ("metric_rows", "At most 250 metric rows in a batch, got 251"),
            ("tags", "at most 50 tags"),
            ("tag_value", "more than 1000 characters"),
            ("params", "At most 200 params in a run, got 201"),
            ("same_artifact", "Resource Conflict"),
            ("logged_model", "404"),
        ],
    )
    def test_limits(self, found: dict[str, Any], limit: str, message: str) -> None:
        assert message in found["errors"][limit]

    def test_asks_for_nothing_unknown(self, tracking: AzureMLDouble, found: dict[str, Any]) -> None:
        assert found["run_id"]
        assert tracking.unknown_requests == []

    def test_job_in_the_tracking_store(self, tracking: AzureMLDouble, tmp_path: Path) -> None:
        run_id = tracking.create_run(EXPERIMENT)
        script = (
            "import mlflow, os\n"
            "with mlflow.start_run() as run: mlflow.log_metric('a', 1.0)\n"
            "assert run.info.run_id == os.environ['AZUREML_RUN_ID']\n"
        )
        environment = tracking.job_environment(run_id, tmp_path / "home", mlflow=True)
        subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, check=True)
        assert tracking.runs[run_id]["status"] == "Running"
