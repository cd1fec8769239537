"""Which Azure ML run an explanation belongs to; no Azure package is needed to tell."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from sklearn.tree import DecisionTreeRegressor

import mlflow_interpret
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.azureml import resource_ids, targets

JOB = dict.fromkeys(targets._JOB_VARIABLES, "x")
WORKSPACE = (
    "azureml://eastus.api.azureml.ms/mlflow/v1.0/subscriptions/s-1/resourceGroups/group"
    "/providers/Microsoft.MachineLearningServices/workspaces/space"
)

needs_identity = pytest.mark.skipif(
    importlib.util.find_spec("azure") is None or importlib.util.find_spec("azure.identity") is None,
    reason="needs: pip install 'mlflow-interpret[azure]'",
)


def test_a_job_is_told_by_its_environment():
    assert targets.is_job(JOB)
    for name in JOB:
        assert not targets.is_job({**JOB, name: ""})


@pytest.mark.parametrize(
    ("option", "uri", "job", "expected"),
    [
        ("auto", "sqlite:///a.db", False, False),
        ("auto", "http://azureml.example", False, False),
        ("auto", WORKSPACE, False, True),
        ("auto", "sqlite:///a.db", True, True),
        (False, WORKSPACE, True, False),
        (SimpleNamespace(id="r"), "sqlite:///a.db", False, True),
        (WORKSPACE, "sqlite:///a.db", False, True),
    ],
)
def test_an_upload_is_wanted_in_azure_ml_only(monkeypatch, option, uri, job, expected):
    for name, value in JOB.items() if job else ():
        monkeypatch.setenv(name, value)
    assert targets.wanted(option, uri) is expected


def run_of(workspace):
    return SimpleNamespace(id="run-1", experiment=SimpleNamespace(name="exp", workspace=workspace))


def workspace_with(header):
    auth = SimpleNamespace(get_authentication_header=header)
    return SimpleNamespace(
        subscription_id="s-1",
        resource_group="group",
        name="space",
        service_context=SimpleNamespace(
            get_auth=lambda: auth, _get_run_history_url=lambda: "https://host"
        ),
    )


def test_a_run_that_is_handed_in_brings_its_workspace_and_token():
    run = run_of(workspace_with(lambda: {"Authorization": "Bearer t0ken"}))
    target = targets.resolve(run, "sqlite:///a.db", "mlflow-run")
    assert target == targets.Target(
        "workspace", "run-1", "s-1", "group", "space", "exp", "t0ken", "https://host"
    )
    assert "t0ken" not in repr(target)


def test_the_jobs_own_run_needs_no_token(monkeypatch):
    for name, value in {**JOB, "AZUREML_RUN_ID": "run-1"}.items():
        monkeypatch.setenv(name, value)
    assert targets.resolve(run_of(None), "", "x") == targets.Target("job", "run-1")
    assert targets.resolve("auto", "", "x") == targets.Target("job", "run-1")


def test_a_workspace_without_a_token_is_one_clear_error():

    def refuse():
        raise RuntimeError("expired secret-value")

    with pytest.raises(targets.AzureMLError, match="log in") as error:
        targets.resolve(run_of(workspace_with(refuse)), "", "x")
    assert "secret-value" not in str(error.value)


SCOPE = (
    "/subscriptions/s-1/resourceGroups/group"
    "/providers/Microsoft.MachineLearningServices/workspaces/space"
)


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("auto", "auto"),
        (False, False),
        (SCOPE, SCOPE),
        (WORKSPACE, WORKSPACE),
        (WORKSPACE.replace("://", "://me:t0ken@"), WORKSPACE),
        (workspace_with("t0ken"), SCOPE),
        (run_of(workspace_with("t0ken")), f"{SCOPE}/experiments/exp/runs/run-1"),
        (
            SimpleNamespace(
                subscription_id="s-1",
                resource_group_name="group",
                workspace_name="space",
                workspaces=None,
                _credential="t0ken",
            ),
            SCOPE,
        ),
        ("config.json", str(Path("config.json"))),
    ],
)
def test_a_place_is_text_that_names_the_same_and_opens_nothing(option, place):
    found = Options(azureml=option).azureml_place
    if option == "config.json":
        assert Path(found).is_absolute()
        found = Path(found).name
    assert found == place
    assert Options(azureml=found).azureml_place in (found, str(Path(str(found)).absolute()))


@needs_identity
def test_a_run_is_found_by_its_address(laptop, store):
    run_id = laptop.create_run("another experiment")
    address = resource_ids.address_of_run(
        laptop.workspace_coordinates.scope, "another experiment", run_id
    )
    target = targets.resolve(address, store, "mlflow-run")
    assert (target.run_id, target.experiment, target.made) == (run_id, "another experiment", False)
    assert "mlflow-run" not in laptop.runs


def test_an_address_without_a_workspace_is_refused():
    with pytest.raises(targets.AzureMLError, match="names no Azure ML workspace"):
        targets.resolve("auto", "azureml://host/other", "run")


SCOPE_TAG = "mlflow_interpret.azureml_run"


@pytest.fixture
def mlflow_run(store):
    with mlflow.start_run() as run:
        pass
    return run.info.run_id


def linked(store, run_id):
    return mlflow.MlflowClient(store).get_run(run_id).data.tags.get(SCOPE_TAG)


@needs_identity
def test_a_run_is_made_in_a_workspace_and_linked_both_ways(laptop, store, mlflow_run):
    scope = laptop.workspace_coordinates.scope
    target = targets.resolve(scope, store, mlflow_run)
    assert (target.kind, target.run_id, target.experiment) == ("workspace", mlflow_run, "test")
    assert target.made
    assert target.token not in repr(target)
    tags = laptop.runs[mlflow_run]["tags"]
    assert tags == {
        "mlflow_interpret.mlflow_run_id": mlflow_run,
        "mlflow_interpret.mlflow_store": store,
    }
    assert linked(store, mlflow_run) == f"{scope}/experiments/test/runs/{mlflow_run}"
    targets.complete(target, 30.0)
    assert laptop.runs[mlflow_run]["status"] == "Completed"


@needs_identity
def test_the_second_time_the_run_is_found_by_its_tag(laptop, store, mlflow_run):
    scope = laptop.workspace_coordinates.scope
    first = targets.resolve(scope, store, mlflow_run)
    client = mlflow.MlflowClient(store)
    client.rename_experiment(client.get_run(mlflow_run).info.experiment_id, "another name")
    before = len(laptop.runs)
    again = targets.resolve(laptop.workspace_coordinates.tracking_uri, store, mlflow_run)
    assert (again.run_id, again.experiment) == (first.run_id, "test")
    assert len(laptop.runs) == before


@needs_identity
def test_a_tag_of_another_workspace_is_replaced(laptop, store, mlflow_run):
    scope = laptop.workspace_coordinates.scope
    other = f"{scope}-other/experiments/test/runs/elsewhere"
    mlflow.MlflowClient(store).set_tag(mlflow_run, SCOPE_TAG, other)
    assert targets.resolve(scope, store, mlflow_run).run_id == mlflow_run
    assert linked(store, mlflow_run) == f"{scope}/experiments/test/runs/{mlflow_run}"


@needs_identity
def test_a_store_s_password_does_not_reach_the_workspace(laptop, store, mlflow_run, monkeypatch):
    real = mlflow.MlflowClient(store)
    monkeypatch.setattr(mlflow, "MlflowClient", lambda _uri: real)
    uri = "postgresql://me:pass-word-7@host/db"
    targets.resolve(laptop.workspace_coordinates.scope, uri, mlflow_run)
    shown = laptop.runs[mlflow_run]["tags"]["mlflow_interpret.mlflow_store"]
    assert shown == "postgresql://host/db"


def test_a_run_that_is_not_ours_is_not_ended(monkeypatch):
    monkeypatch.setattr(targets.runs, "complete", lambda *_: pytest.fail("ended"))
    targets.complete(targets.Target("job", "run-1"), 30.0)


@pytest.fixture
def asked(monkeypatch):
    """What asked a person to log in."""
    found = []
    monkeypatch.setattr("webbrowser.open", lambda *args, **_: found.append(args) or True)
    monkeypatch.setattr("webbrowser.get", lambda *args: found.append(args))
    return found


def test_mlflow_s_plug_in_is_not_asked_where_it_would_open_a_browser(
    laptop, asked, monkeypatch, caplog
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
    assert asked == []


def test_a_service_principal_is_enough_for_the_plug_in(laptop, asked):
    pytest.importorskip("azureml.mlflow", reason="needs: pip install 'mlflow-interpret[azure]'")
    # MLflow keeps the plug-in of each URI: the version in it, which means nothing, makes another.
    uri = laptop.workspace_coordinates.tracking_uri.replace("/v2.0/", "/v1.0/")
    found = targets.workspace_of_tracking(uri)
    assert found.scope == laptop.workspace_coordinates.scope
    assert found.token in laptop.secrets
    before = len(laptop.requests)
    targets.check_login(uri)  # the plug-in has a token now, so nobody is asked for another
    assert len(laptop.requests) == before
    assert asked == []
