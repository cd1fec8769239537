"""Azure ML workspaces and runs: their addresses, and tokens for them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml import auth, sdk_internals
from mlflow_interpret.stores.azureml.http import HttpClient, RefusedError
from mlflow_interpret.stores.azureml.resource_ids import (
    WORKSPACE_FORMS,
    is_config_path,
    parse_workspace_id,
    sdk_of,
    workspace_id,
)

SECONDS = 30.0
_ARM = "https://management.azure.com"
_HOST_SUFFIX = ".azureml.ms"  # of the public cloud, which the tokens are for
_API_VERSION = {"api-version": "2022-05-01"}


@dataclass(frozen=True)
class AzureWorkspace:
    """A workspace and a token for it.

    Attributes:
        subscription: The subscription's id.
        resource_group: The resource group.
        name: The workspace's name.
        token: A bearer token. Never in a log, an argument or the environment.
        endpoint: The base URL of its services, or None if it is not known.
        discovery: The URL of the list of its services, or None to ask for it.
    """

    subscription: str
    resource_group: str
    name: str
    token: str = field(repr=False)
    endpoint: str | None
    discovery: str | None = None

    @property
    def resource_id(self) -> str:
        """The workspace's resource id, quoted for a URL."""
        return workspace_id(self.subscription, self.resource_group, self.name)

    @property
    def base_url(self) -> str:
        """The base URL of its services, without a slash at the end.

        Raises:
            AzureMLError: It is not known.
        """
        if self.endpoint is None:
            raise AzureMLError(
                "the addresses of the workspace's services are not known; use an azureml:// "
                "tracking URI, or Python 3.10 or 3.11 with pip install 'mlflow-interpret[azure]'"
            )
        return self.endpoint.rstrip("/")

    def experiment_url(self, experiment: str) -> str:
        """Return the URL of an experiment in run history.

        Raises:
            AzureMLError: The base URL is not known.
        """
        base = f"{self.base_url}/history/v1.0{self.resource_id}"
        return f"{base}/experiments/{quote(experiment, safe='')}"


@dataclass(frozen=True)
class AzureRun:
    """An Azure ML run.

    Attributes:
        workspace: Its workspace.
        experiment: The name of its experiment.
        run_id: Its id.
        is_job: It is the job that this process belongs to; its token can be refreshed.
        is_mirror: It was created for an MLflow run of another store, so it is ours to complete.
    """

    workspace: AzureWorkspace
    experiment: str
    run_id: str
    is_job: bool = False
    is_mirror: bool = False

    @property
    def url(self) -> str:
        """The run's URL in run history.

        Raises:
            AzureMLError: The base URL of the services is not known.
        """
        return f"{self.workspace.experiment_url(self.experiment)}/runs/{quote(self.run_id)}"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> AzureRun:
        """Return the run that ``dataclasses.asdict`` made a dictionary of."""
        return cls(**{**fields, "workspace": AzureWorkspace(**fields["workspace"])})


def job_run(run_id: str, token: str | None = None) -> AzureRun:
    """Return the run of the job that this process belongs to, from its environment.

    Args:
        run_id: The run.
        token: A later token than that of the environment, if there is one.
    """
    workspace = AzureWorkspace(
        subscription=os.environ["AZUREML_ARM_SUBSCRIPTION"],
        resource_group=os.environ["AZUREML_ARM_RESOURCEGROUP"],
        name=os.environ["AZUREML_ARM_WORKSPACE_NAME"],
        token=token or os.environ["AZUREML_RUN_TOKEN"],
        endpoint=os.environ["AZUREML_SERVICE_ENDPOINT"],
        discovery=os.environ.get("AZUREML_DISCOVERY_SERVICE_ENDPOINT"),
    )
    return AzureRun(workspace, os.environ["AZUREML_ARM_PROJECT_NAME"], run_id, is_job=True)


def open_workspace(
    value: Any, seconds: float = SECONDS, login: auth.Login | None = None
) -> AzureWorkspace:
    """Return a workspace with a token and the address of its services.

    Args:
        value: An ``azureml.core.Workspace``, an ``azure.ai.ml.MLClient``, an ``azureml://``
            tracking URI, a resource id, or the path of a ``config.json``. The first two have
            credentials; for the others see `auth.log_in`.
        seconds: The time for each step.
        login: Credentials for a value without them. Default: those of `auth.log_in`.

    Raises:
        AzureMLError: The value names no workspace, or it cannot be opened.
    """
    sdk = sdk_of(value)
    if sdk == "azureml.core":
        return from_sdk_v1(value)
    if sdk == "azure.ai.ml":
        return _from_ml_client(value, seconds)
    text = _read_config(value) if is_config_path(value) else str(value)
    parts = parse_workspace_id(text)
    if parts is None:
        raise AzureMLError(f"no Azure ML workspace is named; give {WORKSPACE_FORMS}")
    host = urlsplit(text).netloc if text.startswith("azureml://") else None
    if host is not None and not host.endswith(_HOST_SUFFIX):
        raise AzureMLError(f"{host} is not a host of Azure ML, so no token is sent to it")
    token = (login or auth.log_in(seconds)).token
    if host is not None:
        return AzureWorkspace(**parts, token=token, endpoint=f"https://{host}")
    return _with_endpoint(parts, token, seconds)


def from_sdk_v1(workspace: Any) -> AzureWorkspace:
    """Return the workspace of an ``azureml.core.Workspace``, with its own credentials.

    Raises:
        AzureMLError: They give no token.
    """
    try:
        token = sdk_internals.workspace_token(workspace)
    except Exception as error:
        raise AzureMLError("the workspace gave no token; log in to Azure again") from error
    endpoint = None
    with suppress(Exception):  # ExplanationClient, where it is installed, needs no address
        endpoint = sdk_internals.run_history_url(workspace)
    return AzureWorkspace(
        workspace.subscription_id, workspace.resource_group, workspace.name, token, endpoint
    )


def check_access(workspace: AzureWorkspace, seconds: float) -> None:
    """Request the workspace's description.

    Raises:
        AzureMLError: The workspace does not exist, does not accept this identity, or does not
            respond.
    """
    url = f"{workspace.base_url}/rp/workspaces{workspace.resource_id}"
    with closing(HttpClient(workspace.token, seconds)) as client:
        client.request("Asking for the workspace", "GET", url, params=_API_VERSION)


def asset_service(client: HttpClient, workspace: AzureWorkspace) -> str:
    """Return the base URL of the asset service, which may be on another host.

    Args:
        client: Sends the requests.
        workspace: The workspace.

    Raises:
        AzureMLError: The workspace does not respond.
    """
    operation = "Finding the asset service"
    try:
        discovery = workspace.discovery
        if discovery is None:
            url = f"{workspace.base_url}/rp/workspaces{workspace.resource_id}"
            description = client.request(operation, "GET", url, params=_API_VERSION)
            discovery = str(description["properties"]["discoveryUrl"])
        services = client.request(operation, "GET", discovery, authenticate=False)
        return str(services["modelmanagement"]).rstrip("/")
    except (RefusedError, KeyError):
        return workspace.base_url  # the region's own endpoint forwards to all services


def _read_config(path: Any) -> str:
    """Return the resource id in a ``config.json``, as studio and both SDKs write it."""
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
        parts = (config["subscription_id"], config["resource_group"], config["workspace_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AzureMLError(
            f"{path} is not a workspace's config.json ({type(error).__name__}); download it from "
            "the workspace's overview page"
        ) from error
    return workspace_id(*map(str, parts))


def _from_ml_client(client: Any, seconds: float) -> AzureWorkspace:
    parts = {
        "subscription": client.subscription_id,
        "resource_group": client.resource_group_name,
        "name": client.workspace_name,
    }
    try:
        token = sdk_internals.ml_client_token(client, auth.SCOPE)
    except Exception as error:
        raise AzureMLError("the MLClient gave no token; log in to Azure again") from error
    return _with_endpoint(parts, token, seconds)


def _with_endpoint(parts: dict[str, str], token: str, seconds: float) -> AzureWorkspace:
    """Ask Azure Resource Manager for the list of services, which has the address of run history."""
    url = f"{_ARM}{workspace_id(**parts)}"
    with closing(HttpClient(token, seconds)) as client:
        description = client.request("Finding the workspace", "GET", url, params=_API_VERSION)
        try:
            discovery = str(description["properties"]["discoveryUrl"])
            services = client.request("Finding its services", "GET", discovery, authenticate=False)
            endpoint = str(services["history"]).rstrip("/")
        except (KeyError, TypeError):
            raise AzureMLError("the workspace gives no addresses of its services") from None
    if not endpoint.startswith("https://"):
        raise AzureMLError("the workspace names services without encryption")
    return AzureWorkspace(**parts, token=token, endpoint=endpoint)
