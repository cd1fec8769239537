"""Runs that are made in a workspace for MLflow runs of other stores."""

from __future__ import annotations

import pytest

from azureml_double.tokens import USER
from azureml_double.workspace import API_URL
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml import mirror_runs
from mlflow_interpret.stores.azureml.workspace import Workspace

TAGS = {mirror_runs.TAG: "r", mirror_runs.STORE_TAG: "sqlite:///a.db"}


@pytest.fixture
def workspace(laptop) -> Workspace:
    own = laptop.workspace_coordinates
    token = laptop._cloud.tokens.issue(USER, own.client_id)
    return Workspace(own.subscription_id, own.resource_group, own.name, token, API_URL)


def events(double, run_id):
    return [each["name"].rpartition(".")[2] for each in double.history.events.get(run_id, [])]


def test_a_run_is_made_once_and_ended_once(laptop, workspace):
    assert mirror_runs.find_or_make(workspace, "exp one", "run-1", TAGS)
    run = laptop.runs["run-1"]
    assert run["tags"] == TAGS
    assert run["runTypeV2"]["orchestrator"] == "External"
    assert laptop.history.experiments[run["experimentId"]]["name"] == "exp one"
    assert mirror_runs.find_or_make(workspace, "exp one", "run-1", {mirror_runs.TAG: "other"})
    assert laptop.runs["run-1"]["tags"] == TAGS
    assert events(laptop, "run-1") == ["Start"]
    for _ in range(2):
        mirror_runs.complete(workspace, "exp one", "run-1")
        assert laptop.runs["run-1"]["status"] == "Completed"
    assert events(laptop, "run-1") == ["Start", "Completed"]
    assert laptop.unknown_requests == []


def test_a_run_of_somebody_else_is_taken_as_it_is(laptop, workspace):
    run_id = laptop.create_run("theirs")
    assert not mirror_runs.find_or_make(workspace, "theirs", run_id, TAGS)
    assert laptop.runs[run_id]["tags"] == {}
    assert events(laptop, run_id) == []


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_an_answer_that_is_lost_makes_no_second_run(laptop, workspace, method):
    name = f"lost-{method}"
    fault = laptop.fail(method, f"/experiments/{name}", lose_answer=True, times=1)
    assert mirror_runs.find_or_make(workspace, name, f"run-{method}", TAGS)
    assert fault.hits == 1
    assert laptop.runs[f"run-{method}"]["tags"] == TAGS


def test_an_identity_that_may_not_make_runs_is_told(laptop, workspace):
    laptop.fail("PATCH", "/runs/", status=403)
    with pytest.raises(AzureMLError, match="Making the run failed: .* 403 .*may not"):
        mirror_runs.find_or_make(workspace, "exp", "run-2", TAGS)
    with pytest.raises(AzureMLError, match="where its services are"):
        mirror_runs.find_or_make(Workspace("s", "g", "n", "t", None), "exp", "run-2", TAGS)


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
def test_names_are_made_as_azure_ml_allows_them(name, expected):
    assert mirror_runs.experiment_name(name) == expected


def test_the_run_has_the_id_of_the_mlflow_run():
    assert mirror_runs.run_id_for("0a1b2c") == "0a1b2c"
    odd = mirror_runs.run_id_for("a run/1")
    assert odd == mirror_runs.run_id_for("a run/1") != mirror_runs.run_id_for("a run/2")
    assert odd.isalnum()
