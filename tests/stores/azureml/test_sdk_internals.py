"""Contracts of private interfaces: a test fails if a new version of a package breaks one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from explanation_cases import made
from mlflow_interpret import interpret_community
from mlflow_interpret.stores.azureml import auth, sdk_internals

NEEDS = "needs: pip install 'mlflow-interpret[azure]'"


@pytest.fixture
def sdk_workspace(laptop):
    """The double's workspace, as an ``azureml.core.Workspace``."""
    pytest.importorskip("azureml.core", reason=NEEDS)
    own = laptop.workspace_coordinates
    token = auth.log_in().token
    return token, sdk_internals.open_sdk_workspace(
        own.subscription_id, own.resource_group, own.name, token
    )


def test_a_workspace_of_sdk_v1_has_a_token_and_the_url_of_run_history(sdk_workspace):
    token, workspace = sdk_workspace
    assert sdk_internals.workspace_token(workspace) == token
    assert sdk_internals.run_history_url(workspace).startswith("https://eastus.api.azureml.ms")


def test_an_ml_client_of_sdk_v2_has_a_credential():
    ml = pytest.importorskip("azure.ai.ml", reason="needs: pip install azure-ai-ml")
    credential = SimpleNamespace(get_token=lambda *_, **__: SimpleNamespace(token="t0ken"))
    client = ml.MLClient(credential, "subscription", "group", "space")
    assert sdk_internals.ml_client_token(client, auth.SCOPE) == "t0ken"


def test_a_credential_chain_remembers_the_credential_that_gave_a_token(laptop):
    identity = pytest.importorskip("azure.identity", reason=NEEDS)
    chain = identity.ChainedTokenCredential(identity.EnvironmentCredential())
    assert sdk_internals.credential_source(chain) is None
    chain.get_token(auth.SCOPE)
    assert isinstance(sdk_internals.credential_source(chain), identity.EnvironmentCredential)


def test_the_store_of_the_plug_in_has_a_credential_chain_and_a_token(laptop):
    pytest.importorskip("azureml.mlflow", reason=NEEDS)
    # The version in the URI is ignored; a new one gives a store that is not in MLflow's cache.
    uri = laptop.workspace_coordinates.tracking_uri.replace("/v2.0/", "/v1.1/")
    store = sdk_internals.plugin_store(uri)
    credential = sdk_internals.plugin_credential(store)
    assert credential.credentials
    assert sdk_internals.credential_source(credential) is None
    assert sdk_internals.plugin_token(store) in laptop.secrets
    assert sdk_internals.credential_source(credential) is not None


def test_an_explanation_of_interpret_community_has_evaluation_rows():
    pytest.importorskip(
        "interpret_community", reason="needs: pip install 'mlflow-interpret[azure]'"
    )
    converted = interpret_community.to_interpret_community(made())
    sdk_internals.set_evaluation_rows(converted, [[1.0, None]])
    assert converted.eval_data == [[1.0, None]]
