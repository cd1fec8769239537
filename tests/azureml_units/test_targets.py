"""Which Azure ML run an explanation belongs to; no Azure package is needed to tell."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mlflow_interpret.azureml import targets

JOB = dict.fromkeys(targets._JOB_VARIABLES, "x")
WORKSPACE = (
    "azureml://eastus.api.azureml.ms/mlflow/v1.0/subscriptions/s-1/resourceGroups/group"
    "/providers/Microsoft.MachineLearningServices/workspaces/space"
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


def test_an_address_without_a_workspace_is_refused():
    with pytest.raises(targets.AzureMLError, match="names no Azure ML workspace"):
        targets.resolve("auto", "azureml://host/other", "run")
