"""Azure ML runs for MLflow runs of other stores: created, found again and completed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timezone
from typing import Any

from mlflow_interpret.stores.azureml.http import HttpClient, RefusedError
from mlflow_interpret.stores.azureml.workspace import SECONDS, AzureRun, AzureWorkspace

EXPLAINED_TAG = "model_explanation"
"""The tag of runs with explanations, as ExplanationClient names it."""

RUN_TAG = "mlflow_interpret.mlflow_run_id"
STORE_TAG = "mlflow_interpret.mlflow_store"
MAX_TAGS = 50  # of a run
_NOT_FOUND = 404
_FINAL_STATUSES = {"Completed", "Failed", "Canceled"}
_MAX_LENGTH = 255  # characters of an experiment's name, and of a run's id


def experiment_name(name: str) -> str:
    """Return a name that Azure ML allows: letters, digits, ``_`` and ``-``.

    Of a path, as Databricks names experiments, only the last part is kept, as in azureml-mlflow.
    """
    last = name.rstrip("/").rpartition("/")[2]
    allowed = re.sub(r"[^0-9A-Za-z_-]+", "-", last).strip("-_")
    return allowed[:_MAX_LENGTH] or "mlflow"


def run_id_for(mlflow_run_id: str) -> str:
    """Return the id of the Azure ML run: the MLflow run's id, so that there is only one run."""
    if re.fullmatch(rf"[0-9A-Za-z][0-9A-Za-z_-]{{0,{_MAX_LENGTH}}}", mlflow_run_id):
        return mlflow_run_id
    return uuid.uuid5(uuid.NAMESPACE_OID, mlflow_run_id).hex


def has_room_for_tag(tags: Mapping[str, str]) -> bool:
    """Return whether a run with these tags can have the tag of runs with explanations."""
    return EXPLAINED_TAG in tags or len(tags) < MAX_TAGS


def find_or_create(
    workspace: AzureWorkspace,
    experiment: str,
    run_id: str,
    tags: dict[str, str],
    seconds: float = SECONDS,
) -> AzureRun:
    """Return a run of the workspace, created if it does not exist; an existing one is not changed.

    Args:
        workspace: The workspace.
        experiment: The experiment's name; it is created if it does not exist.
        run_id: The run's id.
        tags: The tags of a created run.
        seconds: The time for all requests.

    Raises:
        AzureMLError: The workspace refuses it, or does not respond.
    """
    experiment_url = workspace.experiment_url(experiment)
    run = AzureRun(workspace, experiment, run_id, is_mirror=True)
    with closing(HttpClient(workspace.token, seconds)) as client:
        existing = _get(client, "Looking for the run", run.url)
        if existing is not None:
            is_mirror = RUN_TAG in (existing.get("tags") or {})
            return AzureRun(workspace, experiment, run_id, is_mirror=is_mirror)
        if _get(client, "Looking for the experiment", experiment_url) is None:
            client.request("Creating the experiment", "POST", experiment_url)
        body = {
            "runId": run_id,
            "name": f"run_{run_id}",
            "runTypeV2": {"orchestrator": "External", "traits": ["unspecified"]},
            "target": "local",
            "properties": {},
            "tags": tags,
        }
        client.request("Creating the run", "PATCH", run.url, json=body)
        _send_event(client, run, "Start", "StartTime")
    return run


def complete(run: AzureRun, seconds: float = SECONDS) -> None:
    """Complete a run that was created here, unless it has ended: no job scheduler does it.

    Runs of others are left alone.

    Raises:
        AzureMLError: The workspace refuses it, or does not respond.
    """
    if not run.is_mirror:
        return
    with closing(HttpClient(run.workspace.token, seconds)) as client:
        existing = _get(client, "Looking for the run", run.url)
        if existing is not None and existing.get("status") not in _FINAL_STATUSES:
            _send_event(client, run, "Completed", "EndTime")


def _get(client: HttpClient, operation: str, url: str) -> dict[str, Any] | None:
    try:
        response: dict[str, Any] = client.request(operation, "GET", url)
    except RefusedError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return response


def _send_event(client: HttpClient, run: AzureRun, event: str, time_field: str) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {
        "timestamp": now,
        "name": f"Microsoft.MachineLearning.Run.{event}",
        "data": {"RunId": run.run_id, time_field: now},
    }
    client.request("Setting the run's status", "POST", f"{run.url}/events", json=body)
