"""Workspaces opened by name, by path and by SDK objects."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("azure.identity", reason="needs: pip install 'mlflow-interpret[azure]'")

from azureml_double.workspace import API_URL
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml import auth, workspace


def config(path: Path, **content) -> Path:
    path.write_text(json.dumps(content))
    return path


def check(found: workspace.AzureWorkspace, laptop) -> None:
    own = laptop.workspace_coordinates
    assert found.resource_id.lower() == own.scope.lower()
    assert found.endpoint == API_URL
    assert found.token in laptop.secrets
    assert found.token not in repr(found)


def test_a_tracking_uri_names_a_workspace(laptop):
    check(workspace.open_workspace(laptop.workspace_coordinates.tracking_uri), laptop)


def test_a_resource_id_names_a_workspace(laptop):
    check(workspace.open_workspace(laptop.workspace_coordinates.scope), laptop)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_config_file_names_a_workspace(laptop, tmp_path, kind):
    own = laptop.workspace_coordinates
    path = config(
        tmp_path / "config.json",
        subscription_id=own.subscription_id,
        resource_group=own.resource_group,
        workspace_name=own.name,
    )
    check(workspace.open_workspace(kind(path)), laptop)


def test_an_ml_client_has_its_own_credential(laptop):
    from azure.identity import EnvironmentCredential

    own = laptop.workspace_coordinates
    client = SimpleNamespace(
        subscription_id=own.subscription_id,
        resource_group_name=own.resource_group,
        workspace_name=own.name,
        workspaces=None,
        _credential=EnvironmentCredential(),
    )
    check(workspace.open_workspace(client), laptop)


@pytest.mark.parametrize("content", [{}, {"subscription_id": "s", "resource_group": "g"}, [1]])
def test_another_file_is_an_error(laptop, tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    with pytest.raises(AzureMLError, match=r"other\.json is not a workspace's config\.json"):
        workspace.open_workspace(path)


def test_the_error_names_a_missing_file(laptop):
    with pytest.raises(AzureMLError, match=r"nowhere\.json .*FileNotFoundError"):
        workspace.open_workspace("nowhere.json")


@pytest.mark.parametrize("text", ["azureml://eastus.api.azureml.ms/other", "space", ""])
def test_the_error_of_another_text_names_the_allowed_forms(laptop, text):
    with pytest.raises(AzureMLError, match="resource id"):
        workspace.open_workspace(text)


def test_a_token_is_sent_to_hosts_of_azure_ml_only(laptop, monkeypatch):
    monkeypatch.setattr(auth, "log_in", lambda *_: pytest.fail("a token was asked for"))
    scope = laptop.workspace_coordinates.scope
    with pytest.raises(AzureMLError, match="not a host of Azure ML"):
        workspace.open_workspace(f"azureml://azureml.ms.example.org/mlflow/v2.0{scope}")


def test_a_workspace_that_does_not_exist_is_one_clear_error(laptop):
    scope = f"{laptop.workspace_coordinates.scope}-other"
    with pytest.raises(AzureMLError, match="Finding the workspace failed: .* answered 404"):
        workspace.open_workspace(scope)
