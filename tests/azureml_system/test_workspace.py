"""Training outside of Azure with a local MLflow store, and explanations in a workspace."""

from __future__ import annotations

import importlib.util
import json
import os

import mlflow
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from azureml_double import AzureMLDouble
from mlflow_interpret.cli import main
from mlflow_interpret.core.errors import TrackingUnavailableError
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool
from programs import logging_to, output_value, run_python, warnings_in

pytest.importorskip("azure.identity", reason="needs: pip install 'mlflow-interpret[azure]'")

PROGRAM = """
import os, mlflow, mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
{workspace}
mlflow_interpret.autolog(azureml=workspace, comment="from outside")
X, y = load_iris(return_X_y=True, as_frame=True)
with mlflow.start_run() as run:
    DecisionTreeClassifier(max_depth=2).fit(X, y)
    DecisionTreeClassifier(max_depth=3).fit(X, y)
print("run_id", run.info.run_id)
assert mlflow_interpret.flush()

os.environ["AZURE_CLIENT_SECRET"] = "wrong-Secret-8"
mlflow_interpret.autolog(azureml=os.environ["WORKSPACE"])
with mlflow.start_run() as refused:
    DecisionTreeClassifier(max_depth=2).fit(X, y)
print("refused", refused.info.run_id)
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


def test_each_run_has_one_run_in_the_workspace_and_without_a_login_the_training_goes_on(
    store, tmp_path
):
    """The workspace: an object of the SDK if it is installed, else a resource id."""
    code = PROGRAM.format(workspace=FROM_SDK if _has_sdk() else BY_NAME)
    with AzureMLDouble(blobs="memory") as double:
        scope = double.workspace_coordinates.scope
        environment = logging_to(store, double.laptop_environment(tmp_path / "home"))
        output = run_python(code, environment | {"WORKSPACE": scope}, tmp_path / "laptop")
        assert list((tmp_path / "laptop").iterdir()) == []
        run_id, refused = output_value(output, "run_id"), output_value(output, "refused")
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
        names = [event["name"].rpartition(".")[2] for event in double.history.events[run_id]]
        assert names == ["Start", "Completed"]
        assert double.unknown_requests == []
        tags = mlflow.get_run(run_id).data.tags
        assert tags["mlflow_interpret.azureml_run"] == f"{scope}/experiments/test/runs/{run_id}"
        sent = json.dumps([azureml_run, double.assets, tags]) + output
        assert not any(secret in sent for secret in double.secrets)
    for number in (1, 2):
        assert mlflow_store.status_of(run_id, store, number)["azureml"]["state"] == "uploaded"
    (warning,) = warnings_in(output)
    assert "az login" in warning
    assert refused in warning
    assert "wrong-Secret-8" not in output
    assert mlflow_store.status_of(refused, store)["status"] == "failed"
    assert len(mlflow_interpret.load_explanation(refused).features) == 4


@pytest.mark.usefixtures("_uploads_here")
def test_an_explanation_of_the_spool_is_uploaded_to_its_workspace(
    laptop, store, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_INTERPRET_SPOOL", str(tmp_path / "spool"))
    scope = laptop.workspace_coordinates.scope

    def away(_):
        raise TrackingUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow_store, "check_reachable", away)
        mlflow_interpret.autolog(azureml=scope, log_figures=False, log_report=False)
        DecisionTreeClassifier(max_depth=2).fit(*load_iris(return_X_y=True, as_frame=True))
        mlflow_interpret.autolog(disable=True)
    (kept,) = spool.folders()
    entry = (kept / "entry.json").read_text("utf-8")
    assert json.loads(entry)["azureml"] == scope
    assert not any(secret in entry for secret in laptop.secrets)
    done = CliRunner().invoke(main, ["flush"])
    assert done.exit_code == 0, done.output
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    assert [asset["runid"] for asset in laptop.assets] == [run.info.run_id]
    assert mlflow_store.status_of(run.info.run_id, store)["azureml"]["state"] == "uploaded"


def _has_sdk() -> bool:
    if os.environ.get("CI_REQUIRE_AZURE") == "1":
        return True
    try:
        return importlib.util.find_spec("azureml.core") is not None
    except ModuleNotFoundError:
        return False
