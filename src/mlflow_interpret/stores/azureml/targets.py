"""The Azure ML run of an explanation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores.azureml import auth, mirror_runs, sdk_internals
from mlflow_interpret.stores.azureml.resource_ids import (
    is_config_path,
    is_workspace,
    location_of,
    parse_run_id,
    parse_workspace_id,
    run_resource_id,
)
from mlflow_interpret.stores.azureml.token_refresh import job_token
from mlflow_interpret.stores.azureml.workspace import (
    AzureRun,
    AzureWorkspace,
    from_sdk_v1,
    job_run,
    open_workspace,
)

SCHEME = "azureml"

# Run.get_context() returns an offline run if one of them is missing.
JOB_VARIABLES = (
    "AZUREML_RUN_ID",
    "AZUREML_RUN_TOKEN",
    "AZUREML_SERVICE_ENDPOINT",
    "AZUREML_ARM_SUBSCRIPTION",
    "AZUREML_ARM_RESOURCEGROUP",
    "AZUREML_ARM_WORKSPACE_NAME",
    "AZUREML_ARM_PROJECT_NAME",
)
_LINK_TAG = "mlflow_interpret.azureml_run"


def is_job(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether this process is an Azure ML job."""
    environment = os.environ if environment is None else environment
    return all(environment.get(name) for name in JOB_VARIABLES)


def missing_job_variables() -> list[str]:
    """Return the missing variables of a job's environment, none where all of them are missing."""
    missing = [name for name in JOB_VARIABLES if not os.environ.get(name)]
    return missing if len(missing) < len(JOB_VARIABLES) else []


def is_tracking_uri(tracking_uri: str) -> bool:
    """Return whether a tracking URI is an ``azureml://`` one."""
    return tracking_uri.startswith(f"{SCHEME}://")


def is_upload_requested(option: Any, tracking_uri: str) -> bool:
    """Return whether an explanation is to be uploaded, without importing an SDK.

    Args:
        option: The option ``azureml``.
        tracking_uri: MLflow's tracking URI.
    """
    if option is False:
        return False
    return option != "auto" or is_job() or is_tracking_uri(tracking_uri)


def order_key(option: Any, tracking_uri: str, run_id: str) -> str:
    """Return a text that is the same for all uploads to one Azure ML run; see `find_run`."""
    if option == "auto" and is_job():
        return os.environ["AZUREML_RUN_ID"]
    location = str(location_of(option))
    return location if parse_run_id(location) is not None else f"{tracking_uri} {run_id}"


def find_run(option: Any, tracking_uri: str, run_id: str) -> AzureRun:
    """Return the Azure ML run for an MLflow run.

    Args:
        option: ``"auto"``, an ``azureml.core.Run``, a run's resource id, or a workspace as for
            `workspace.open_workspace`. In a workspace, the run is found or created in the
            experiment of the same name, and both runs get tags that name the other one.
        tracking_uri: MLflow's tracking URI.
        run_id: The MLflow run's id.

    Raises:
        AzureMLError: There is no such run, or the credentials are missing.
    """
    if is_workspace(option):
        workspace = open_workspace(option)
        named = isinstance(option, str) and not is_config_path(option)
        run = parse_run_id(option) if named else None
        if run is not None:
            return AzureRun(workspace, *run)
        return _mirror_run(workspace, tracking_uri, run_id)
    if option == "auto":
        if is_job():
            return job_run(os.environ["AZUREML_RUN_ID"], job_token.token)
        return _run_of_tracking_uri(tracking_uri, run_id)
    if option.id == os.environ.get("AZUREML_RUN_ID") and is_job():
        return job_run(option.id, job_token.token)
    return AzureRun(from_sdk_v1(option.experiment.workspace), option.experiment.name, option.id)


def workspace_of_tracking_uri(tracking_uri: str) -> AzureWorkspace:
    """Return the workspace of an ``azureml://`` tracking URI, with MLflow's credentials.

    Raises:
        AzureMLError: The URI names no workspace, or there are no credentials.
    """
    parts = parse_workspace_id(tracking_uri)
    if parts is None:
        raise AzureMLError(
            "the tracking URI names no Azure ML workspace; take it from the workspace's overview "
            "page in studio or from Workspace.get_mlflow_tracking_uri()"
        )
    store = check_login(tracking_uri)
    endpoint = f"https://{urlsplit(tracking_uri).netloc}"
    return AzureWorkspace(**parts, token=sdk_internals.plugin_token(store), endpoint=endpoint)


def check_login(tracking_uri: str) -> Any:
    """Check that MLflow's plug-in has credentials; its last resort is to open a browser.

    Args:
        tracking_uri: An ``azureml://`` one.

    Returns:
        The plug-in's store.

    Raises:
        AzureMLError: There are no credentials.
    """
    try:
        store = sdk_internals.plugin_store(tracking_uri)
    except Exception as error:
        raise AzureMLError(f"MLflow cannot open the tracking URI: {error}") from error
    credential = sdk_internals.plugin_credential(store)
    # Anything but a chain is a job's token, or belongs to the user's Workspace.
    chain = getattr(credential, "credentials", None)
    if chain is not None and sdk_internals.credential_source(credential) is None:
        auth.log_in(chain=chain)
    return store


def _run_of_tracking_uri(tracking_uri: str, run_id: str) -> AzureRun:
    from mlflow import MlflowClient

    workspace = workspace_of_tracking_uri(tracking_uri)
    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment(client.get_run(run_id).info.experiment_id).name
    return AzureRun(workspace, experiment, run_id)


def _mirror_run(workspace: AzureWorkspace, tracking_uri: str, run_id: str) -> AzureRun:
    """Return the run of an earlier upload, which a tag of the MLflow run names, or a new one."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    run = client.get_run(run_id)
    tag = run.data.tags.get(_LINK_TAG, "")
    link = parse_run_id(tag)
    if link is not None and tag == run_resource_id(workspace.resource_id, *link):
        experiment, mirror_id = link
    else:
        name = client.get_experiment(run.info.experiment_id).name
        experiment, mirror_id = mirror_runs.experiment_name(name), mirror_runs.run_id_for(run_id)
    tags = {
        mirror_runs.RUN_TAG: run_id,
        mirror_runs.STORE_TAG: without_credentials(tracking_uri),
    }
    mirror = mirror_runs.find_or_create(workspace, experiment, mirror_id, tags)
    resource_id = run_resource_id(workspace.resource_id, experiment, mirror_id)
    if mirror.is_mirror and resource_id != tag:
        client.set_tag(run_id, _LINK_TAG, resource_id)
    return mirror
