"""Training outside of Azure, with a local MLflow store, whose explanations go to a workspace."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

import mlflow_interpret
from azureml_double import AzureMLDouble
from mlflow_interpret import tracking

pytest.importorskip("azure.identity", reason="needs: pip install 'mlflow-interpret[azure]'")

PROGRAM = """
import json, os, sys, mlflow, mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
{workspace}
mlflow_interpret.autolog(azureml=workspace, comment="from outside")
X, y = load_iris(return_X_y=True, as_frame=True)
with mlflow.start_run() as run:
    DecisionTreeClassifier(max_depth=2).fit(X, y)
    DecisionTreeClassifier(max_depth=3).fit(X, y)
print("run_id", run.info.run_id)
"""
BY_NAME = "workspace = os.environ['WORKSPACE']"
FROM_SDK = """
from azureml.core import Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
own = {name: os.environ[f"AZURE_{name}"] for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")}
login = ServicePrincipalAuthentication(*own.values())
_, _, subscription, _, group, _, _, _, name = os.environ["WORKSPACE"].split("/")
workspace = Workspace.get(name, login, subscription, group)
"""


def train(double: AzureMLDouble, code: str, store: str, tmp_path: Path) -> tuple[str, str]:
    """Run a program outside of Azure; returns the MLflow run's id and all that was printed."""
    environment = double.laptop_environment(tmp_path / "home") | {
        "MLFLOW_TRACKING_URI": store,
        "MLFLOW_EXPERIMENT_NAME": "test",
        "WORKSPACE": double.workspace_coordinates.scope,
    }
    folder = tmp_path / "laptop"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert list(folder.iterdir()) == []
    return output.partition("run_id ")[2].split()[0], output


def test_each_run_has_one_run_in_the_workspace(store, tmp_path):
    """Handed in as the SDK's Workspace where that is there, else named."""
    code = PROGRAM.format(workspace=FROM_SDK if _has_sdk() else BY_NAME)
    with AzureMLDouble(blobs="memory") as double:
        run_id, output = train(double, code, store, tmp_path)
        (azureml_run,) = double.runs.values()
        assert [asset["runid"] for asset in double.assets] == [run_id, run_id]
        comments = [asset["properties"]["comment"] for asset in double.assets]
        assert comments == ["from outside"] * 2
        assert azureml_run["status"] == "Completed"
        assert azureml_run["tags"] == {
            "mlflow_interpret.mlflow_run_id": run_id,
            "mlflow_interpret.mlflow_store": store,
            "model_explanation": "True",
        }
        names = [each["name"].rpartition(".")[2] for each in double.history.events[run_id]]
        assert names == ["Start", "Completed"]
        assert double.unknown_requests == []
        tags = mlflow.get_run(run_id).data.tags
        scope = double.workspace_coordinates.scope
        assert tags["mlflow_interpret.azureml_run"] == f"{scope}/experiments/test/runs/{run_id}"
        sent = json.dumps([azureml_run, double.assets, tags]) + output
        assert not any(secret in sent for secret in double.secrets)
    for number in (1, 2):
        assert tracking.status_of(run_id, store, number)["azureml"]["state"] == "uploaded"


def test_without_a_login_the_training_goes_on(store, tmp_path):
    with AzureMLDouble(blobs="memory") as double:
        code = "import os\nos.environ['AZURE_CLIENT_SECRET'] = 'wrong-Secret-8'\n"
        run_id, output = train(double, code + PROGRAM.format(workspace=BY_NAME), store, tmp_path)
        assert double.assets == []
    warnings = [line for line in output.splitlines() if "WARNING mlflow_interpret" in line]
    assert len(warnings) == 2
    assert all("az login" in line and run_id in line for line in warnings)
    assert "wrong-Secret-8" not in output
    assert tracking.status_of(run_id, store)["status"] == "failed"
    assert len(mlflow_interpret.load_explanation(run_id).features) == 4


def _has_sdk() -> bool:
    if os.environ.get("CI_REQUIRE_AZURE") == "1":
        return True
    try:
        return importlib.util.find_spec("azureml.core") is not None
    except ModuleNotFoundError:
        return False
