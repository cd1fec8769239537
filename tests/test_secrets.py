"""No failure shows or stores a token, signature, password or connection string."""

from __future__ import annotations

import json

import mlflow
import pytest

from azureml_double import AzureMLDouble
from mlflow_interpret.stores import mlflow as mlflow_store
from programs import logging_to, output_value, run_python
from test_privacy import database, in_folder

KEY = "cGxhbnRlZC1hY2NvdW50LWtleQ=="
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=planted;AccountKey={KEY}"
PLANTED = {
    "AZURE_STORAGE_CONNECTION_STRING": CONNECTION,
    "AZUREML_DATAREFERENCE_SAS": "sig=planted5",
}

# All that Python logs is printed: ours, MLflow's, azure-identity's and that of each request.
PROGRAM = """
import logging, os, sys, warnings
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
warnings.simplefilter("always")
import mlflow, mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
azureml = os.environ.get("WORKSPACE", "auto")
mlflow_interpret.autolog(azureml=azureml, max_rows=5, log_figures=False)
DecisionTreeClassifier(max_depth=2).fit(*load_iris(return_X_y=True, as_frame=True))
assert mlflow_interpret.flush()
(run,) = mlflow.search_runs(output_format="list")
print("first", run.data.tags["mlflow_interpret.status"])
mlflow_interpret.push(run.info.run_id, azureml=azureml)
"""


def secrets_of(double: AzureMLDouble) -> set[str]:
    """The secrets, tokens also without their signatures."""
    found = {KEY, "planted5", *double.secrets}
    return found | {secret.rpartition(".")[2] for secret in found if secret.count(".") == 2}


@pytest.mark.parametrize("where", ["job", "laptop"])
def test_no_secret_is_in_output_or_files(store, tmp_path, where):
    if where == "laptop":
        pytest.importorskip("azure.identity", reason="pip install 'mlflow-interpret[azure]'")
    with AzureMLDouble(blobs="memory") as double:
        if where == "job":
            environment = double.job_environment(double.create_run("secret"), tmp_path / "home")
        else:
            environment = double.laptop_environment(tmp_path / "home")
            environment["WORKSPACE"] = double.workspace_coordinates.scope
        environment = logging_to(store, environment) | PLANTED
        environment["MLFLOW_INTERPRET_SPOOL"] = str(tmp_path / "spool")
        # The upload is refused; the push, in the process that logs all, arrives.
        if where == "job":
            double.fail("PUT", "/explanation/", status=403, times=1)
        else:
            double.fail("POST", "/assets$", status=401, times=1)
        output = run_python(PROGRAM, environment, tmp_path / "work")
        assert double.assets
        secrets = secrets_of(double)
        sent = json.dumps([dict(request.headers) for request in double.requests])
        assert any(secret in sent for secret in secrets)  # the search works
        places = in_folder(tmp_path / "artifacts")
        places["database"] = database(tmp_path / "mlflow.db")
        places["output"] = output
        for run_id, run in double.runs.items():
            places[f"run {run_id}"] = json.dumps(run)
        places["assets"] = json.dumps(double.assets)
    found = {name: s for name, text in places.items() for s in secrets if s in text}
    assert found == {}
    assert output_value(output, "first") == "failed"
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    assert mlflow_store.status_of(run.info.run_id, store)["status"] == "complete"
    assert "DEBUG" in places["output"]
