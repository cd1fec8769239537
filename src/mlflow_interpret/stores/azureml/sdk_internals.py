"""Private interfaces of the Azure SDKs, azureml-mlflow and interpret-community.

Each function has a contract test: a new version of a package that breaks one fails there.
"""

from __future__ import annotations

from typing import Any


def ml_client_token(client: Any, scope: str) -> str:
    """Return a token of an ``azure.ai.ml.MLClient``, which has no public way to its credential."""
    return str(client._credential.get_token(scope).token)


def workspace_token(workspace: Any) -> str:
    """Return a token of an ``azureml.core.Workspace``."""
    header = workspace.service_context.get_auth().get_authentication_header()
    return str(header["Authorization"]).removeprefix("Bearer ")


def run_history_url(workspace: Any) -> str:
    """Return the base URL of the services of an ``azureml.core.Workspace``."""
    return str(workspace.service_context._get_run_history_url())


def credential_source(credential: Any) -> Any:
    """Return the credential of a chain of azure-identity that gave its last token, if any."""
    return getattr(credential, "_successful_credential", None)


def plugin_store(tracking_uri: str) -> Any:
    """Return the tracking store of azureml-mlflow for an ``azureml://`` tracking URI."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri)._tracking_client.store


def plugin_credential(store: Any) -> Any:
    """Return the credential of a store of azureml-mlflow.

    It is a chain of azure-identity, a job's token, or the credential of the user's ``Workspace``.
    """
    return store.service_context.auth


def plugin_token(store: Any) -> str:
    """Return a token of a store of azureml-mlflow; it may ask a person to log in."""
    return str(store.get_host_creds().token)


def set_evaluation_rows(explanation: Any, rows: Any) -> None:
    """Set the evaluation rows of an explanation of interpret-community, which checks no values."""
    explanation._eval_data = rows


def open_sdk_workspace(subscription: str, resource_group: str, name: str, token: str) -> Any:
    """Return an ``azureml.core.Workspace`` that uses one given token."""
    from azureml.core import Workspace
    from azureml.core.authentication import AbstractAuthentication

    class TokenAuthentication(AbstractAuthentication):  # type: ignore[misc]
        """The token of the training process."""

        def _get_arm_token(self) -> str:
            return token

        def _check_if_subscription_exists(self, *_: Any) -> bool:
            return True  # whether the token is allowed there is for the service to say

        def _get_all_subscription_ids(self) -> Any:
            return [], None

        def _get_workspace(self, *_: Any) -> None:
            return None

    return Workspace(
        subscription, resource_group, name, auth=TokenAuthentication(), _disable_service_check=False
    )
