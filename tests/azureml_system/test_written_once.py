"""The record of an explanation is written to disk once, also with other stores and workers."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import pytest

import mlflow_interpret
from azureml_double import AzureMLDouble
from mlflow_interpret.stores import mlflow as mlflow_store
from programs import logging_to, run_python, warnings_in, without_sdk

COUNT_WRITES = """
import os, sys

def note_write(event, arguments):
    if event == "open" and str(arguments[0]).endswith("explanation.json"):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR):
            with open(os.environ["WRITES"], "a") as file:
                file.write(f"{os.getpid()} {arguments[0]}\\n")

sys.addaudithook(note_write)
"""  # in each Python process that the program starts

FIT = """
import sys
import mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
mlflow_interpret.autolog(background=sys.argv[1] == "background", log_figures=False)
DecisionTreeClassifier(max_depth=2).fit(*load_iris(return_X_y=True, as_frame=True))
"""


@pytest.mark.parametrize("place", ["background", "foreground"])
def test_one_folder_serves_the_worker_the_run_and_the_upload(store, tmp_path, place):
    source = str(Path(mlflow_interpret.__file__).parents[1])
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("iris")
        environment = logging_to(store, double.job_environment(run_id, tmp_path / "home"))
        environment["PYTHONPATH"] = os.pathsep.join([source, environment.get("PYTHONPATH", "")])
        environment = without_sdk(environment, tmp_path / "hidden")
        with (tmp_path / "hidden" / "sitecustomize.py").open("a") as file:
            file.write(COUNT_WRITES)
        environment["WRITES"] = str(tmp_path / "writes.txt")
        output = run_python(FIT, environment, tmp_path / "job", [place])
        assert warnings_in(output) == []
        assert len(double.assets) == 1
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    assert mlflow_store.status_of(run.info.run_id, store)["azureml"]["state"] == "uploaded"
    artifacts = str(tmp_path / "artifacts")  # the run itself, which MLflow copies the folder to
    writes = (tmp_path / "writes.txt").read_text().splitlines()
    assert len([write for write in writes if artifacts not in write]) == 1
