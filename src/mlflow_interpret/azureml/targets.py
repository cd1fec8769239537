"""Which Azure ML run, if any, an explanation belongs to."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from mlflow_interpret.errors import MlflowInterpretError

# What Run.get_context() needs; where one is missing it answers with an offline run.
_JOB_VARIABLES = (
    "AZUREML_RUN_ID",
    "AZUREML_RUN_TOKEN",
    "AZUREML_SERVICE_ENDPOINT",
    "AZUREML_ARM_SUBSCRIPTION",
    "AZUREML_ARM_RESOURCEGROUP",
    "AZUREML_ARM_WORKSPACE_NAME",
    "AZUREML_ARM_PROJECT_NAME",
)
_WORKSPACE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<resource_group>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[^/?]+)"
)


class AzureMLError(MlflowInterpretError):
    """An explanation cannot be uploaded to Azure ML; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """An Azure ML run to upload to.

    Attributes:
        kind: ``job`` for the run of this very process, ``workspace`` for a run that is found by
            its id in a workspace.
        run_id: The Azure ML run's id.
        subscription: The workspace's subscription id; this and what follows only for ``workspace``.
        resource_group: Its resource group.
        workspace: Its name.
        experiment: The name of the run's experiment.
        token: A bearer token for the workspace. Never in a log, an argument or the environment.
        endpoint: The base URL of its services, or None where it could not be found out.
    """

    kind: Literal["job", "workspace"]
    run_id: str
    subscription: str | None = None
    resource_group: str | None = None
    workspace: str | None = None
    experiment: str | None = None
    token: str | None = field(default=None, repr=False)
    endpoint: str | None = None


def is_job(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process is an Azure ML job."""
    environment = os.environ if environment is None else environment
    return all(environment.get(name) for name in _JOB_VARIABLES)


def wanted(option: Any, tracking_uri: str) -> bool:
    """Whether an explanation is to be uploaded; imports nothing of Azure."""
    if option is False:
        return False
    return option != "auto" or is_job() or tracking_uri.startswith("azureml://")


def resolve(option: Any, tracking_uri: str, run_id: str) -> Target:
    """The Azure ML run for an MLflow run.

    Args:
        option: ``"auto"`` or an ``azureml.core.Run``.
        tracking_uri: MLflow's tracking URI.
        run_id: The MLflow run's id.

    Raises:
        AzureMLError: There is none, or the credentials are missing.
    """
    if option != "auto":
        return _from_run(option)
    if is_job():
        return Target("job", os.environ["AZUREML_RUN_ID"])
    return _from_tracking(tracking_uri, run_id)


def _from_run(run: Any) -> Target:
    if run.id == os.environ.get("AZUREML_RUN_ID") and is_job():
        return Target("job", run.id)
    workspace = run.experiment.workspace
    try:
        header = workspace.service_context.get_auth().get_authentication_header()
    except Exception as error:
        raise AzureMLError("the run's workspace gave no token; log in to Azure again") from error
    endpoint = None
    with suppress(Exception):  # ExplanationClient, where it is there, needs no address
        endpoint = workspace.service_context._get_run_history_url()
    return Target(
        "workspace",
        run.id,
        subscription=workspace.subscription_id,
        resource_group=workspace.resource_group,
        workspace=workspace.name,
        experiment=run.experiment.name,
        token=header["Authorization"].removeprefix("Bearer "),
        endpoint=endpoint,
    )


def _from_tracking(tracking_uri: str, run_id: str) -> Target:
    from mlflow import MlflowClient

    match = _WORKSPACE.search(tracking_uri)
    if match is None:
        raise AzureMLError(
            "the tracking URI names no Azure ML workspace; take it from the workspace's overview "
            "page in studio or from Workspace.get_mlflow_tracking_uri()"
        )
    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment(client.get_run(run_id).info.experiment_id).name
    # The very credentials that MLflow's requests to the workspace use, however it found them.
    token = client._tracking_client.store.get_host_creds().token
    return Target(
        "workspace",
        run_id,
        **match.groupdict(),
        experiment=experiment,
        token=token,
        endpoint=f"https://{urlsplit(tracking_uri).netloc}",
    )
