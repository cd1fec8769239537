"""An azureml:// tracking URI on a laptop, with the real SDKs and a real MLflow server.

The double in front of the server has the limits of Azure ML's MLflow service.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest

from azureml_double import AzureMLDouble
from azureml_state import assert_no_secret, blocks
from mlflow_interpret.stores.mlflow.layout import latest_status
from mlflow_server import mlflow_server
from programs import output_value, run_python, warnings_in, without_sdk

if os.environ.get("CI_REQUIRE_AZURE") != "1":
    pytest.importorskip("azureml.interpret", reason="needs: pip install 'mlflow-interpret[azure]'")


@pytest.fixture(scope="module")
def server(_migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The MLflow server of the double's workspace."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(_migrated, folder / "mlflow.db")
    with mlflow_server(folder / "mlflow.db", folder) as url:
        yield url


def coordinates(double: AzureMLDouble) -> str:
    where = double.workspace_coordinates
    return json.dumps({
        "tenant": where.tenant_id,
        "client": where.client_id,
        "secret": where.client_secret,
        "name": where.name,
        "subscription": where.subscription_id,
        "group": where.resource_group,
    })  # fmt: skip


def refused(double: AzureMLDouble) -> list[tuple[str, str, int]]:
    """Return the refused requests, without those for missing or existing resources."""
    return [
        (request.method, request.path, request.status)
        for request in double.requests
        if request.status >= 400 and request.status not in {404, 409}
    ]


WIDE = """
import mlflow, mlflow_interpret
from sklearn.datasets import make_classification
from sklearn.tree import DecisionTreeClassifier

mlflow.sklearn.autolog()
mlflow_interpret.autolog(
    comment="wide", top_k=30, visualization_points=20, upload_timeout=250, log_figures=False
)
mlflow.set_experiment("wide")
X, y = make_classification(100, 500, n_informative=40, n_classes=10, random_state=0)
with mlflow.start_run() as run:
    mlflow.log_metrics({f"mine {i}": i for i in range(30)})
    mlflow.set_tags({f"mine {i}": i for i in range(40)})
    mlflow.log_params({f"mine {i}": i for i in range(150)})
    for _ in range(2):
        DecisionTreeClassifier(max_depth=4, random_state=0).fit(X, y)
print("run_id", run.info.run_id)
"""  # it ends at once; the exit waits for the uploads and their status

LOG_IN = """
import json, sys, mlflow, mlflow_interpret
from azureml.core import Run, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
from azureml.interpret import ExplanationClient
where, run_id, *more = json.loads(sys.argv[1]), *sys.argv[2:]
login = ServicePrincipalAuthentication(where["tenant"], where["client"], where["secret"])
workspace = Workspace.get(where["name"], login, where["subscription"], where["group"])
"""

READ = """
explanation = mlflow_interpret.load_explanation(run_id)
print("found", json.dumps(explanation.get_feature_importance_dict()))
"""

BY_HAND = """
from interpret_community import TabularExplainer
from mlflow_interpret.core.errors import ExplanationNotFoundError
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

X, y = load_iris(return_X_y=True, as_frame=True)
model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
theirs = TabularExplainer(model, X, classes=["a", "b", "c"]).explain_global(X[:20])
with mlflow.start_run() as uploaded:
    pass  # MLflow has nothing of it
run = Run.get(workspace, uploaded.info.run_id)
ExplanationClient.from_run(run).upload_model_explanation(theirs, comment="by hand")
for wanted in ({}, {"comment": "by hand"}, {"explanation_id": theirs.id}):
    again = mlflow_interpret.load_explanation(uploaded.info.run_id, **wanted)
    assert again.id == theirs.id
    assert again.classes == ["a", "b", "c"]
    assert again.get_feature_importance_dict() == theirs.get_feature_importance_dict()
    assert again.local_importance_values == theirs.local_importance_values
try:
    mlflow_interpret.load_explanation(uploaded.info.run_id, comment="another")
except ExplanationNotFoundError as error:
    print(error)

(store,) = more
mlflow.set_tracking_uri(store)
mlflow.set_experiment("test")
with mlflow.start_run() as local:
    model = DecisionTreeRegressor(max_depth=3).fit(X, y)
    explanation = mlflow_interpret.explain(model, X, (X, y))
    mlflow_interpret.log_explanation(
        explanation, azureml=run, comment="handed in", upload_timeout=250
    )
assert mlflow_interpret.flush()
client = ExplanationClient.from_run_id(workspace, run.experiment.name, run.id)
found = client.download_model_explanation(comment="handed in")
assert found.get_feature_importance_dict() == explanation.get_feature_importance_dict()
print("status", mlflow.get_run(local.info.run_id).data.tags["mlflow_interpret.status"])
"""


def latest_record(double, run_id, folder):
    """The path of the latest status record; drawings and uploads finish in any order."""
    paths = [path for path in double.artifacts(run_id) if path.startswith(f"{folder}/status")]
    return max(paths, key=lambda path: latest_status([path]))


def test_500_features_and_10_classes_stay_within_the_limits(server, store, tmp_path):
    """Two fits in a run with 40 tags, 30 metrics and 150 params of the user.

    Then another process reads the explanations, and one that the SDK uploaded without MLflow.
    """
    with AzureMLDouble(server, blobs="memory") as double:
        laptop = double.laptop_environment(tmp_path / "home")
        output = run_python(WIDE, laptop, tmp_path / "laptop")
        run_id = output_value(output, "run_id")
        assert refused(double) == []
        # MLflow's own warning about models, which Azure ML does not log; see docs/azureml.md.
        warned = [line for line in output.splitlines() if " WARNING " in line]
        assert len(warned) == 2
        assert all("WARNING mlflow.utils.autologging_utils" in line for line in warned)
        assert all("/mlflow/logged-models failed with error code 404" in line for line in warned)
        run = mlflow.MlflowClient(server).get_run(run_id)
        assert (len(run.data.metrics), len(run.data.tags)) == (50, 50)
        assert len(run.data.params) > 155
        assert run.data.tags["mlflow_interpret.explanations"] == "2"
        assert run.data.tags["model_explanation"] == "True"
        assert [asset["runid"] for asset in double.assets] == [run_id] * 2
        records = [
            json.loads(double.read_artifact(run_id, latest_record(double, run_id, folder)))
            for folder in ("mlflow_interpret", "mlflow_interpret-2")
        ]
        metrics = [name for name in run.data.metrics if name.startswith("importance")]
        assert sum(len(record["metrics"]["features"]) for record in records) == len(metrics)
        assert records[0]["tags"]["left_out"] == [
            "mlflow_interpret.method",
            "mlflow_interpret.scale",
        ]
        for record, asset in zip(records, double.assets):
            assert (record["status"], record["azureml"]["state"]) == ("complete", "uploaded")
            shown = len(record["metrics"]["features"])
            assert record["metrics"]["left_out"] == 500 - shown > 470
            explanation_id = asset["properties"]["explanation_id"]
            assert record["explanation_id"] == explanation_id
            local = blocks(double, run_id, "local_importance_values", explanation_id)
            assert np.shape(local) == (10, 20, 500)

        arguments = [coordinates(double), run_id, store]
        again = run_python(LOG_IN + READ + BY_HAND, laptop, tmp_path / "again", arguments)
        names = blocks(double, run_id, "global_names", explanation_id)
        values = blocks(double, run_id, "global_values", explanation_id)
        assert json.loads(output_value(again, "found")) == dict(zip(names, values, strict=True))
        assert output_value(again, "status") == "complete"
        assert "None of the 1 explanations of Azure ML run" in again
        assert len(double.assets) == 4
        assert double.unknown_requests == []
        kept = [
            double.read_artifact(run_id, path).decode(errors="replace")
            for path in double.artifacts(run_id)
        ]
        assert_no_secret(double, output, again, *kept, folders=[tmp_path / "artifacts"])


TRACKED = """
import mlflow, mlflow_interpret
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

mlflow_interpret.autolog(comment="tracked", upload_timeout=250)
mlflow.set_experiment("cancer")
X, y = load_breast_cancer(return_X_y=True, as_frame=True)
with mlflow.start_run() as run:
    RandomForestClassifier(10, max_depth=3).fit(X, y)
print("run_id", run.info.run_id)
with mlflow.start_run(run_name="full") as full:
    held = mlflow.get_run(full.info.run_id).data.tags
    mlflow.set_tags({f"mine {i}": i for i in range(50 - len(held))})
    RandomForestClassifier(10, max_depth=2).fit(X, y)
print("full", full.info.run_id)
"""

COMPARE = """
client = ExplanationClient.from_run(Run.get(workspace, run_id))
found = client.download_model_explanation(comment="tracked")
print("client", json.dumps(found.get_feature_importance_dict()))

mlflow.set_experiment("cancer")
with mlflow.start_run(run_name="second") as second:
    mlflow_interpret.log_explanation(explanation, azureml=False, log_figures=False, log_report=False)
with mlflow.start_run():
    pass  # the search must not find this one
comparison = mlflow_interpret.compare_runs(experiment_names=["cancer"])
assert comparison.skipped == {}
print("compared", json.dumps([found.run_id for found in comparison.importances]))
print("second", second.info.run_id)
assert not comparison.differences["rank_change"].any()
narrow = mlflow_interpret.compare_runs(
    [run_id], experiment_names=["cancer"], filter_string="attributes.run_name = 'second'"
)
assert [found.run_id for found in narrow.importances] == [run_id, second.info.run_id]

from mlflow_interpret.api import push as pushes
from mlflow_interpret.stores import mlflow as mlflow_store
uri = mlflow.get_tracking_uri()
first = mlflow_store.status_of(run_id, uri)
assert (first["azureml"]["state"], first["comment"]) == ("uploaded", "tracked")
assert mlflow_store.load(run_id, None, uri, "tracked").id == explanation.id  # by its comment, in MLflow

assert pushes.pending("cancer", uri) == [second.info.run_id]  # which was not to be uploaded

(full,) = more
there = mlflow_interpret.load_explanation(full)
assert there.id == ExplanationClient.from_run(Run.get(workspace, full)).list_model_explanations()[0]["id"]
assert [found.run_id for found in mlflow_interpret.compare_runs([run_id, full]).importances] == [run_id, full]
assert mlflow_store.load(full, None, uri).id == there.id
assert mlflow_interpret.push(full) == mlflow_interpret.push(full) == [there.id]
assert len(client.list_model_explanations()) == 1
"""


def test_uploads_without_the_client_are_read_by_it(server, tmp_path):
    """Only MLflow's plug-in is installed for the upload; then the client reads it, and runs compare."""
    with AzureMLDouble(server, blobs="memory") as double:
        laptop = double.laptop_environment(tmp_path / "home")
        output = run_python(TRACKED, without_sdk(laptop, tmp_path / "hidden"), tmp_path / "laptop")
        run_id = output_value(output, "run_id")
        full = output_value(output, "full")
        assert [asset["runid"] for asset in double.assets] == [run_id, full]
        assert warnings_in(output) == []
        assert {(method, status) for method, _, status in refused(double)} == {("PATCH", 400)}
        record = json.loads(double.read_artifact(full, "mlflow_interpret/status-2.json"))
        assert (record["status"], record["azureml"]["state"]) == ("complete", "uploaded")
        assert record["azureml"]["tagged"] is False
        assert len(record["tags"]["left_out"]) == 5
        agents = {
            request.headers.get("user-agent")
            for request in double.requests
            if request.path.endswith("/assets")
        }
        assert agents == {"mlflow-interpret"}
        tags = mlflow.MlflowClient(server).get_run(run_id).data.tags
        assert tags["mlflow_interpret.status"] == "complete"
        assert "mlflow.loggedArtifacts" not in tags
        arguments = [coordinates(double), run_id, full]
        again = run_python(LOG_IN + READ + COMPARE, laptop, tmp_path / "again", arguments)
        assert len(double.assets) == 2
        assert double.unknown_requests == []
        assert_no_secret(double, output, again)
    assert json.loads(output_value(again, "found")) == json.loads(output_value(again, "client"))
    assert json.loads(output_value(again, "compared")) == [run_id, output_value(again, "second")]
