"""Azure ML workspaces: what names one, where its services are, and a token for it."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml import auth
from mlflow_interpret.stores.azureml.http import HttpClient, RefusedError
from mlflow_interpret.stores.azureml.resource_ids import (
    FORMS,
    is_path,
    kind_of,
    parse_workspace_id,
    scope_of,
)

SECONDS = 30.0
_ARM = "https://management.azure.com"
_HOSTS = ".azureml.ms"  # of the public cloud, for which the tokens are
_VERSION = {"api-version": "2022-05-01"}


@dataclass(frozen=True)
class Workspace:
    """A workspace that can be asked.

    Attributes:
        subscription: The subscription's id.
        resource_group: The resource group.
        name: The workspace's name.
        token: A bearer token for it. Never in a log, an argument or the environment.
        endpoint: The base URL of its run history, or None where it could not be found out.
    """

    subscription: str
    resource_group: str
    name: str
    token: str = field(repr=False)
    endpoint: str | None

    @property
    def scope(self) -> str:
        """The workspace, as all its addresses name it."""
        return scope_of(self.subscription, self.resource_group, self.name)


def open_workspace(
    value: Any, seconds: float = SECONDS, login: auth.Login | None = None
) -> Workspace:
    """The workspace that a value names, with a token and the address of its services.

    Args:
        value: An ``azureml.core.Workspace``, an ``azure.ai.ml.MLClient``, an ``azureml://``
            tracking URI, a resource id, or the path of a ``config.json``. The first two bring
            their credentials; for the others see `auth.log_in`.
        seconds: How long each step may take.
        login: Credentials for what brings none. Default: what `auth.log_in` gives.

    Raises:
        AzureMLError: It names none, or it cannot be opened.
    """
    kind = kind_of(value)
    if kind == "azureml.core":
        return of_sdk(value)
    if kind == "azure.ai.ml":
        parts = {
            "subscription": value.subscription_id,
            "resource_group": value.resource_group_name,
            "name": value.workspace_name,
        }
        try:
            token = value._credential.get_token(auth.SCOPE).token
        except Exception as error:
            raise AzureMLError("the MLClient gave no token; log in to Azure again") from error
        return _with_endpoint(parts, token, seconds)
    text = _config_of(value) if is_path(value) else str(value)
    parts = parse_workspace_id(text) or {}
    if not parts:
        raise AzureMLError(f"no Azure ML workspace is named; give {FORMS}")
    host = urlsplit(text).netloc if text.startswith("azureml://") else None
    if host is not None and not host.endswith(_HOSTS):
        raise AzureMLError(f"{host} is no host of Azure ML, so no token is sent to it")
    token = (login or auth.log_in(seconds)).token
    if host is not None:
        return Workspace(**parts, token=token, endpoint=f"https://{host}")
    return _with_endpoint(parts, token, seconds)


def ask(workspace: Workspace, seconds: float) -> None:
    """Ask the workspace for itself.

    Raises:
        AzureMLError: It does not exist, does not let this identity in, or does not answer.
    """
    with closing(HttpClient(workspace.token, seconds)) as calls:
        url = f"{workspace.endpoint}/rp/workspaces{workspace.scope}"
        calls.ask("Asking for the workspace", "GET", url, query=_VERSION)


def _config_of(path: Any) -> str:
    """The resource id in a ``config.json``, as the portal and both SDKs write it."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        parts = (found["subscription_id"], found["resource_group"], found["workspace_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AzureMLError(
            f"{path} is not a workspace's config.json ({type(error).__name__}); download it from "
            "the workspace's overview page"
        ) from error
    return scope_of(*map(str, parts))


def of_sdk(workspace: Any) -> Workspace:
    """The workspace of an ``azureml.core.Workspace``, with its own credentials.

    Raises:
        AzureMLError: They give no token.
    """
    try:
        header = workspace.service_context.get_auth().get_authentication_header()
    except Exception as error:
        raise AzureMLError("the workspace gave no token; log in to Azure again") from error
    endpoint = None
    with suppress(Exception):  # ExplanationClient, where it is there, needs no address
        endpoint = workspace.service_context._get_run_history_url()
    return Workspace(
        workspace.subscription_id,
        workspace.resource_group,
        workspace.name,
        token=header["Authorization"].removeprefix("Bearer "),
        endpoint=endpoint,
    )


def _with_endpoint(parts: dict[str, str], token: str, seconds: float) -> Workspace:
    """Ask the resource manager where discovery is, and discovery where run history is."""
    url = f"{_ARM}{scope_of(**parts)}"
    with closing(HttpClient(token, seconds)) as calls:
        found = calls.ask("Finding the workspace", "GET", url, query=_VERSION)
        try:
            discovery = str(found["properties"]["discoveryUrl"])
            services = calls.ask("Finding its services", "GET", discovery, signed=False)
            endpoint = str(services["history"]).rstrip("/")
        except (KeyError, TypeError):
            raise AzureMLError("the workspace does not say where its services are") from None
    if not endpoint.startswith("https://"):
        raise AzureMLError("the workspace's services are not reached by https")
    return Workspace(**parts, token=token, endpoint=endpoint)


def asset_service(
    calls: HttpClient, endpoint: str, scope: str, discovery: str | None = None
) -> str:
    """The base URL of the asset service, which may be another host's.

    Args:
        calls: Asks.
        endpoint: The base URL of run history.
        scope: The workspace.
        discovery: The URL that says where each service is, or None to ask for it.
    """
    what = "Finding the asset service"
    try:
        if discovery is None:
            url = f"{endpoint}/rp/workspaces{scope}"
            found = calls.ask(what, "GET", url, query=_VERSION)
            discovery = str(found["properties"]["discoveryUrl"])
        services = calls.ask(what, "GET", discovery, signed=False)
        return str(services["modelmanagement"]).rstrip("/")
    except (RefusedError, KeyError):
        return endpoint  # which passes on to all services where it is the region's own
