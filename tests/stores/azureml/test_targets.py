"""The Azure ML run of an explanation; no Azure package is needed to recognise one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from sklearn.tree import DecisionTreeRegressor

import mlflow_interpret
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.azureml import mirror_runs, resource_ids, targets
from mlflow_interpret.stores.azureml.workspace import AzureRun, AzureWorkspace, job_run

JOB = dict.fromkeys(targets.JOB_VARIABLES, "x")
RESOURCE_ID = (
    "/subscriptions/s-1/resourceGroups/group"
    "/providers/Microsoft.MachineLearningServices/workspaces/space"
)
TRACKING_URI = f"azureml://eastus.api.azureml.ms/mlflow/v1.0{RESOURCE_ID}"
LINK_TAG = "mlflow_interpret.azureml_run"

needs_identity = pytest.mark.skipif(
    importlib.util.find_spec("azure") is None or importlib.util.find_spec("azure.identity") is None,
    reason="needs: pip install 'mlflow-interpret[azure]'",
)


def sdk_run(workspace):
    return SimpleNamespace(id="run-1", experiment=SimpleNamespace(name="exp", workspace=workspace))


def sdk_workspace(header):
    auth = SimpleNamespace(get_authentication_header=header)
    return SimpleNamespace(
        subscription_id="s-1",
        resource_group="group",
        name="space",
        service_context=SimpleNamespace(
            get_auth=lambda: auth, _get_run_history_url=lambda: "https://host"
        ),
    )


def ml_client(credential):
    return SimpleNamespace(
        subscription_id="s-1",
        resource_group_name="group",
        workspace_name="space",
        workspaces=None,
        _credential=credential,
    )


@pytest.fixture
def mlflow_run(store):
    with mlflow.start_run() as run:
        pass
    return run.info.run_id


def link_tag(store, run_id):
    return mlflow.MlflowClient(store).get_run(run_id).data.tags.get(LINK_TAG)


@pytest.fixture
def browser_calls(monkeypatch):
    """The calls that would open a browser for a log-in."""
    calls = []
    monkeypatch.setattr("webbrowser.open", lambda *args, **_: calls.append(args) or True)
    monkeypatch.setattr("webbrowser.get", lambda *args: calls.append(args))
    return calls


def test_a_job_is_recognised_by_its_environment():
    assert targets.is_job(JOB)
    for name in JOB:
        assert not targets.is_job({**JOB, name: ""})


@pytest.mark.parametrize(
    ("option", "uri", "job", "expected"),
    [
        ("auto", "sqlite:///a.db", False, False),
        ("auto", "http://azureml.example", False, False),
        ("auto", TRACKING_URI, False, True),
        ("auto", "sqlite:///a.db", True, True),
        (False, TRACKING_URI, True, False),
        (SimpleNamespace(id="r"), "sqlite:///a.db", False, True),
        (TRACKING_URI, "sqlite:///a.db", False, True),
    ],
)
def test_an_upload_is_requested_in_azure_ml_only(monkeypatch, option, uri, job, expected):
    for name, value in JOB.items() if job else ():
        monkeypatch.setenv(name, value)
    assert targets.is_upload_requested(option, uri) is expected


def test_an_sdk_run_has_its_workspace_and_token():
    run = sdk_run(sdk_workspace(lambda: {"Authorization": "Bearer t0ken"}))
    found = targets.find_run(run, "sqlite:///a.db", "mlflow-run")
    workspace = AzureWorkspace("s-1", "group", "space", "t0ken", "https://host")
    assert found == AzureRun(workspace, "exp", "run-1")
    assert "t0ken" not in repr(found)


def test_the_run_of_the_job_is_found_in_its_environment(monkeypatch):
    for name, value in {**JOB, "AZUREML_RUN_ID": "run-1"}.items():
        monkeypatch.setenv(name, value)
    workspace = AzureWorkspace("x", "x", "x", token="x", endpoint="x")
    assert job_run("run-1") == AzureRun(workspace, "x", "run-1", is_job=True)
    assert targets.find_run(sdk_run(None), "", "x") == job_run("run-1")
    assert targets.find_run("auto", "", "x") == job_run("run-1")


def test_uploads_to_one_azure_ml_run_have_one_order_key(monkeypatch):
    run = sdk_run(sdk_workspace("t0ken"))
    keys = [targets.order_key(run, "sqlite:///a.db", name) for name in ("one", "two")]
    assert keys[0] == keys[1]
    keys = [targets.order_key(RESOURCE_ID, "sqlite:///a.db", name) for name in ("one", "two")]
    assert keys[0] != keys[1]
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    assert targets.order_key("auto", "sqlite:///a.db", "one") == JOB["AZUREML_RUN_ID"]


def test_a_workspace_without_a_token_is_one_clear_error():
    def refuse():
        raise RuntimeError("expired secret-value")

    with pytest.raises(AzureMLError, match="log in") as error:
        targets.find_run(sdk_run(sdk_workspace(refuse)), "", "x")
    assert "secret-value" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "location"),
    [
        ("auto", "auto"),
        (False, False),
        (RESOURCE_ID, RESOURCE_ID),
        (TRACKING_URI, TRACKING_URI),
        (TRACKING_URI.replace("://", "://me:t0ken@"), TRACKING_URI),
        (sdk_workspace("t0ken"), RESOURCE_ID),
        (sdk_run(sdk_workspace("t0ken")), f"{RESOURCE_ID}/experiments/exp/runs/run-1"),
        (ml_client("t0ken"), RESOURCE_ID),
    ],
)
def test_a_location_names_the_same_run_or_workspace_without_credentials(option, location):
    assert resource_ids.location_of(option) == location
    assert resource_ids.location_of(location) == location


def test_the_location_of_a_config_file_is_an_absolute_path():
    location = resource_ids.location_of("config.json")
    assert location == str(Path("config.json").absolute())
    assert resource_ids.location_of(location) == location


@needs_identity
def test_a_run_is_found_by_its_resource_id(laptop, store):
    run_id = laptop.create_run("another experiment")
    workspace = laptop.workspace_coordinates.scope
    address = resource_ids.run_resource_id(workspace, "another experiment", run_id)
    run = targets.find_run(address, store, "mlflow-run")
    assert (run.run_id, run.experiment, run.is_mirror) == (run_id, "another experiment", False)
    assert "mlflow-run" not in laptop.runs


def test_a_tracking_uri_without_a_workspace_is_an_error():
    with pytest.raises(AzureMLError, match="names no Azure ML workspace"):
        targets.find_run("auto", "azureml://host/other", "run")


@needs_identity
def test_a_run_is_created_in_a_workspace_and_both_runs_have_links(laptop, store, mlflow_run):
    scope = laptop.workspace_coordinates.scope
    run = targets.find_run(scope, store, mlflow_run)
    assert (run.run_id, run.experiment) == (mlflow_run, "test")
    assert (run.is_job, run.is_mirror) == (False, True)
    assert run.workspace.token not in repr(run)
    assert laptop.runs[mlflow_run]["tags"] == {
        "mlflow_interpret.mlflow_run_id": mlflow_run,
        "mlflow_interpret.mlflow_store": store,
    }
    assert link_tag(store, mlflow_run) == f"{scope}/experiments/test/runs/{mlflow_run}"
    mirror_runs.complete(run)
    assert laptop.runs[mlflow_run]["status"] == "Completed"


@needs_identity
def test_the_second_time_the_run_is_found_by_its_tag(laptop, store, mlflow_run):
    first = targets.find_run(laptop.workspace_coordinates.scope, store, mlflow_run)
    client = mlflow.MlflowClient(store)
    client.rename_experiment(client.get_run(mlflow_run).info.experiment_id, "another name")
    before = len(laptop.runs)
    second = targets.find_run(laptop.workspace_coordinates.tracking_uri, store, mlflow_run)
    assert (second.run_id, second.experiment) == (first.run_id, "test")
    assert len(laptop.runs) == before


@needs_identity
def test_a_tag_of_another_workspace_is_replaced(laptop, store, mlflow_run):
    scope = laptop.workspace_coordinates.scope
    other = f"{scope}-other/experiments/test/runs/elsewhere"
    mlflow.MlflowClient(store).set_tag(mlflow_run, LINK_TAG, other)
    assert targets.find_run(scope, store, mlflow_run).run_id == mlflow_run
    assert link_tag(store, mlflow_run) == f"{scope}/experiments/test/runs/{mlflow_run}"


@needs_identity
def test_the_password_of_a_store_is_not_sent_to_the_workspace(
    laptop, store, mlflow_run, monkeypatch
):
    real = mlflow.MlflowClient(store)
    monkeypatch.setattr(mlflow, "MlflowClient", lambda _uri: real)
    uri = "postgresql://me:pass-word-7@host/db"
    targets.find_run(laptop.workspace_coordinates.scope, uri, mlflow_run)
    stored = laptop.runs[mlflow_run]["tags"]["mlflow_interpret.mlflow_store"]
    assert stored == "postgresql://host/db"


def test_the_plug_in_of_mlflow_is_not_used_if_it_would_open_a_browser(
    laptop, browser_calls, monkeypatch, caplog
):
    pytest.importorskip("azureml.mlflow", reason="needs: pip install 'mlflow-interpret[azure]'")
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr("azure.core.pipeline.policies.RetryPolicy.sleep", lambda *_, **__: None)
    mlflow.set_tracking_uri(laptop.workspace_coordinates.tracking_uri)
    try:
        mlflow_interpret.autolog()
        DecisionTreeRegressor(max_depth=2).fit([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])
    finally:
        mlflow.set_tracking_uri(None)
    assert "az login" in caplog.text
    assert len(spool.folders()) == 1
    assert browser_calls == []


def test_a_service_principal_is_enough_for_the_plug_in(laptop, browser_calls):
    pytest.importorskip("azureml.mlflow", reason="needs: pip install 'mlflow-interpret[azure]'")
    # MLflow caches the plug-in's store by URI; another version, which is ignored, gives a new one.
    uri = laptop.workspace_coordinates.tracking_uri.replace("/v2.0/", "/v1.0/")
    workspace = targets.workspace_of_tracking_uri(uri)
    assert workspace.resource_id == laptop.workspace_coordinates.scope
    assert workspace.token in laptop.secrets
    before = len(laptop.requests)
    targets.check_login(uri)  # the plug-in has a token now, so no other one is requested
    assert len(laptop.requests) == before
    assert browser_calls == []
