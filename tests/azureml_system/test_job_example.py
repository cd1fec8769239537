"""The example of a v2 job: its YAML is consistent with its script, and the script runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import mlflow
import pytest
import yaml

import mlflow_interpret
from azureml_double import AzureMLDouble
from mlflow_interpret.stores import mlflow as mlflow_store
from programs import logging_to, run_python

FOLDER = Path(__file__).parents[2] / "examples" / "azureml_v2_job"
JOB = yaml.safe_load((FOLDER / "job.yml").read_text("utf-8"))


def command(**inputs) -> list[str]:
    """Return the command of the job with its inputs, as Azure ML fills them in."""
    values = {name: given["default"] for name, given in JOB["inputs"].items()} | inputs

    def fill(match: re.Match) -> str:
        return str(values[match["name"]])

    return shlex.split(re.sub(r"\$\{\{inputs\.(?P<name>\w+)\}\}", fill, JOB["command"]))


def test_the_job_is_a_complete_command_job():
    assert JOB["$schema"].endswith("/commandJob.schema.json")
    assert JOB["type"] == "command"
    assert set(JOB) <= {
        "$schema", "type", "experiment_name", "display_name", "code", "command", "inputs",
        "environment", "compute",
    }  # fmt: skip
    assert JOB["compute"].startswith("azureml:")
    assert {given["type"] for given in JOB["inputs"].values()} <= {"integer", "number", "string"}
    used = set(re.findall(r"\$\{\{inputs\.(\w+)\}\}", JOB["command"]))
    assert used == set(JOB["inputs"])
    assert (FOLDER / JOB["code"]).resolve() == FOLDER.resolve()
    assert command()[:2] == ["python", "train.py"]


def test_its_environment_installs_the_package():
    named = FOLDER / JOB["environment"]["conda_file"]
    environment = yaml.safe_load(named.read_text("utf-8"))
    (pip,) = [
        dependency["pip"]
        for dependency in environment["dependencies"]
        if isinstance(dependency, dict)
    ]
    assert pip == ["mlflow-interpret[azure]"]
    (python,) = [
        dependency
        for dependency in environment["dependencies"]
        if str(dependency).startswith("python=")
    ]
    assert python.partition("=")[2] in {"3.10", "3.11", "3.12", "3.13", "3.14"}


@pytest.mark.parametrize("inputs", [{"trees": 5, "test_size": 0.1}])
def test_the_job_s_run_is_explained(store, tmp_path, inputs):
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run(JOB["experiment_name"])
        environment = double.job_environment(run_id, tmp_path / "home")
        environment = logging_to(store, environment)
        arguments = command(**inputs)[2:]
        output = run_python(FOLDER / "train.py", environment, tmp_path / "job", arguments)
        (asset,) = double.assets
        assert asset["runid"] == run_id
        assert asset["properties"]["comment"] == "held-out patients"
        (path,) = [p for p in double.artifacts(run_id) if p.endswith("/classes.interpret.json")]
        assert json.loads(double.read_artifact(run_id, path)) == ["benign", "malignant"]
        assert double.unknown_requests == []
    assert "accuracy 0." in output
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    status = mlflow_store.status_of(run.info.run_id, store)
    assert status["azureml"]["state"] == "uploaded"
    assert status["rows"]["explained"] == 57
    assert len(mlflow_interpret.load_explanation(run.info.run_id).features) == 30
