"""Which Azure ML run, if any, an explanation belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores.azureml import auth, mirror_runs, token_refresh, workspace
from mlflow_interpret.stores.azureml.resource_ids import (
    address_of_run,
    is_path,
    is_workspace,
    parse_run_id,
    parse_workspace_id,
)
from mlflow_interpret.stores.azureml.workspace import Workspace, open_workspace

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
_LINK_TAG = "mlflow_interpret.azureml_run"


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
        token: A bearer token for the workspace; for a job, one that is later than that of its
            environment, or None. Never in a log, an argument or the environment.
        endpoint: The base URL of its services, or None where it could not be found out.
        made: It is a run that we made for an MLflow run of another store, which nobody else ends.
    """

    kind: Literal["job", "workspace"]
    run_id: str
    subscription: str | None = None
    resource_group: str | None = None
    workspace: str | None = None
    experiment: str | None = None
    token: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    made: bool = False


def is_job(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process is an Azure ML job."""
    environment = os.environ if environment is None else environment
    return all(environment.get(name) for name in _JOB_VARIABLES)


def missing_of_job() -> list[str]:
    """What lacks of a job's environment where some of it is there."""
    missing = [name for name in _JOB_VARIABLES if not os.environ.get(name)]
    return missing if len(missing) < len(_JOB_VARIABLES) else []


def wanted(option: Any, tracking_uri: str) -> bool:
    """Whether an explanation is to be uploaded; imports nothing of Azure."""
    if option is False:
        return False
    return option != "auto" or is_job() or tracking_uri.startswith("azureml://")


def resolve(option: Any, tracking_uri: str, run_id: str) -> Target:
    """The Azure ML run for an MLflow run.

    Args:
        option: ``"auto"``, an ``azureml.core.Run``, or what `workspace.open_workspace` takes: then
            the run is looked up in that workspace or made there, in the experiment of the same
            name, and both runs get tags that name the other one; unless it names a run, as
            `looks.place_of` does.
        tracking_uri: MLflow's tracking URI.
        run_id: The MLflow run's id.

    Raises:
        AzureMLError: There is none, or the credentials are missing.
    """
    if is_workspace(option):
        workspace = open_workspace(option)
        run = parse_run_id(option) if isinstance(option, str) and not is_path(option) else None
        if run is not None:
            return _target(workspace, *run)
        return _in_workspace(workspace, tracking_uri, run_id)
    if option != "auto":
        return _from_run(option)
    if is_job():
        return Target("job", os.environ["AZUREML_RUN_ID"], token=token_refresh.current())
    return _from_tracking(tracking_uri, run_id)


def complete(target: Target, seconds: float) -> None:
    """End the run of a target if it is one that we made; it may be ended already.

    Args:
        target: The target.
        seconds: How long it may take.

    Raises:
        AzureMLError: The workspace does not allow it, or does not answer.
    """
    if target.made and target.experiment is not None:
        mirror_runs.complete(_workspace_of(target), target.experiment, target.run_id, seconds)


def _from_run(run: Any) -> Target:
    if run.id == os.environ.get("AZUREML_RUN_ID") and is_job():
        return Target("job", run.id, token=token_refresh.current())
    opened = workspace.of_sdk(run.experiment.workspace)
    return _target(opened, run.experiment.name, run.id)


def _from_tracking(tracking_uri: str, run_id: str) -> Target:
    from mlflow import MlflowClient

    workspace = workspace_of_tracking(tracking_uri)
    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment(client.get_run(run_id).info.experiment_id).name
    return _target(workspace, experiment, run_id)


def workspace_of_tracking(tracking_uri: str) -> Workspace:
    """The workspace of an ``azureml://`` tracking URI, with the credentials that MLflow uses.

    Raises:
        AzureMLError: It names none, or there are no credentials.
    """
    from mlflow import MlflowClient

    parts = parse_workspace_id(tracking_uri)
    if parts is None:
        raise AzureMLError(
            "the tracking URI names no Azure ML workspace; take it from the workspace's overview "
            "page in studio or from Workspace.get_mlflow_tracking_uri()"
        )
    check_login(tracking_uri)
    token = MlflowClient(tracking_uri)._tracking_client.store.get_host_creds().token
    return Workspace(**parts, token=token, endpoint=f"https://{urlsplit(tracking_uri).netloc}")


def _in_workspace(workspace: Workspace, tracking_uri: str, run_id: str) -> Target:
    """The run that an earlier upload made, which its tag names, or a new one."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    run = client.get_run(run_id)
    noted = run.data.tags.get(_LINK_TAG, "")
    link = parse_run_id(noted)
    if link is not None and noted == address_of_run(workspace.scope, *link):
        experiment, azureml_run = link
    else:
        name = client.get_experiment(run.info.experiment_id).name
        experiment, azureml_run = mirror_runs.experiment_name(name), mirror_runs.run_id_for(run_id)
    tags = {mirror_runs.TAG: run_id, mirror_runs.STORE_TAG: without_credentials(tracking_uri)}
    made = mirror_runs.find_or_make(workspace, experiment, azureml_run, tags)
    value = address_of_run(workspace.scope, experiment, azureml_run)
    if made and value != noted:
        client.set_tag(run_id, _LINK_TAG, value)
    return _target(workspace, experiment, azureml_run, made=made)


def _target(workspace: Workspace, experiment: str, run_id: str, *, made: bool = False) -> Target:
    return Target(
        "workspace",
        run_id,
        subscription=workspace.subscription,
        resource_group=workspace.resource_group,
        workspace=workspace.name,
        experiment=experiment,
        token=workspace.token,
        endpoint=workspace.endpoint,
        made=made,
    )


def _workspace_of(target: Target) -> Workspace:
    return Workspace(
        subscription=target.subscription or "",
        resource_group=target.resource_group or "",
        name=target.workspace or "",
        token=target.token or "",
        endpoint=target.endpoint,
    )


def check_login(tracking_uri: str) -> None:
    """Fail where MLflow's plug-in would ask a person: it opens a browser when all else fails.

    Args:
        tracking_uri: An ``azureml://`` one.

    Raises:
        AzureMLError: No credentials were found.
    """
    from mlflow import MlflowClient

    try:
        store = MlflowClient(tracking_uri)._tracking_client.store
    except Exception as error:
        raise AzureMLError(f"MLflow cannot open the tracking URI: {error}") from error
    login = store.service_context.auth
    # A chain remembers what worked; anything else is a job's token or of the user's Workspace.
    if hasattr(login, "credentials") and login._successful_credential is None:
        auth.log_in(chain=login.credentials)
