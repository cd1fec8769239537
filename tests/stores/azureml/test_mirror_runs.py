"""Azure ML runs created for MLflow runs of other stores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from azureml_double.tokens import USER
from azureml_double.workspace import API_URL
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml import mirror_runs
from mlflow_interpret.stores.azureml.workspace import AzureWorkspace

TAGS = {mirror_runs.RUN_TAG: "r", mirror_runs.STORE_TAG: "sqlite:///a.db"}


@pytest.fixture
def workspace(laptop) -> AzureWorkspace:
    own = laptop.workspace_coordinates
    token = laptop._cloud.tokens.issue(USER, own.client_id)
    return AzureWorkspace(own.subscription_id, own.resource_group, own.name, token, API_URL)


def events(double, run_id):
    return [event["name"].rpartition(".")[2] for event in double.history.events.get(run_id, [])]


def test_a_run_is_created_once_and_completed_once(laptop, workspace):
    mirror = mirror_runs.find_or_create(workspace, "exp one", "run-1", TAGS)
    assert mirror.is_mirror
    stored = laptop.runs["run-1"]
    assert stored["tags"] == TAGS
    assert stored["runTypeV2"]["orchestrator"] == "External"
    assert laptop.history.experiments[stored["experimentId"]]["name"] == "exp one"
    other_tags = {mirror_runs.RUN_TAG: "other"}
    assert mirror_runs.find_or_create(workspace, "exp one", "run-1", other_tags) == mirror
    assert laptop.runs["run-1"]["tags"] == TAGS
    assert events(laptop, "run-1") == ["Start"]
    for _ in range(2):
        mirror_runs.complete(mirror)
        assert laptop.runs["run-1"]["status"] == "Completed"
    assert events(laptop, "run-1") == ["Start", "Completed"]
    assert laptop.unknown_requests == []


def test_an_existing_run_is_neither_changed_nor_completed(laptop, workspace):
    run_id = laptop.create_run("theirs")
    run = mirror_runs.find_or_create(workspace, "theirs", run_id, TAGS)
    assert not run.is_mirror
    mirror_runs.complete(run)
    assert laptop.runs[run_id]["tags"] == {}
    assert events(laptop, run_id) == []


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_lost_response_does_not_lead_to_a_second_run(laptop, workspace, method):
    name = f"lost-{method}"
    fault = laptop.fail(method, f"/experiments/{name}", lose_answer=True, times=1)
    assert mirror_runs.find_or_create(workspace, name, f"run-{method}", TAGS).is_mirror
    assert fault.hits == 1
    assert laptop.runs[f"run-{method}"]["tags"] == TAGS


def test_an_identity_without_permission_is_an_error(laptop, workspace):
    laptop.fail("PATCH", "/runs/", status=403)
    with pytest.raises(AzureMLError, match="Creating the run failed: .* 403 .*may not"):
        mirror_runs.find_or_create(workspace, "exp", "run-2", TAGS)


def test_a_workspace_without_an_address_is_an_error(workspace):
    with pytest.raises(AzureMLError, match="services are not known"):
        mirror_runs.find_or_create(replace(workspace, endpoint=None), "exp", "run-2", TAGS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Default", "Default"),
        ("/Users/me@example.org/my churn", "my-churn"),
        ("größe: a/b c", "b-c"),
        ("ends/", "ends"),
        ("_hidden_", "hidden"),
        ("質問", "mlflow"),
        ("x" * 300, "x" * 255),
    ],
)
def test_experiment_names_have_characters_that_azure_ml_allows(name, expected):
    assert mirror_runs.experiment_name(name) == expected


def test_the_run_has_the_id_of_the_mlflow_run():
    assert mirror_runs.run_id_for("0a1b2c") == "0a1b2c"
    odd = mirror_runs.run_id_for("a run/1")
    assert odd == mirror_runs.run_id_for("a run/1") != mirror_runs.run_id_for("a run/2")
    assert odd.isalnum()
