"""Runs of our own in a workspace, for MLflow runs of other stores: made, found again, completed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml.http import HttpClient, RefusedError
from mlflow_interpret.stores.azureml.workspace import SECONDS, Workspace

EXPLAINED = "model_explanation"
"""The tag of runs that have explanations, as ExplanationClient names it."""

TAG = "mlflow_interpret.mlflow_run_id"
STORE_TAG = "mlflow_interpret.mlflow_store"
_NOT_FOUND = 404
_ENDED = {"Completed", "Failed", "Canceled"}
_MOST_TAGS = 50  # of a run
_MOST = 255  # characters of an experiment's name, and of a run's id


def experiment_name(name: str) -> str:
    """The name as Azure ML allows it: letters, digits, ``_`` and ``-``.

    Of a path, as Databricks names experiments, only the last part counts, as for azureml-mlflow.
    """
    last = name.rstrip("/").rpartition("/")[2]
    allowed = re.sub(r"[^0-9A-Za-z_-]+", "-", last).strip("-_")
    return allowed[:_MOST] or "mlflow"


def run_id_for(mlflow_run_id: str) -> str:
    """The id of the Azure ML run: that of the MLflow run, so that no second one can be made."""
    if re.fullmatch(rf"[0-9A-Za-z][0-9A-Za-z_-]{{0,{_MOST}}}", mlflow_run_id):
        return mlflow_run_id
    return uuid.uuid5(uuid.NAMESPACE_OID, mlflow_run_id).hex


def has_room(tags: Mapping[str, str]) -> bool:
    """Whether a run with these tags can be marked as one that has explanations."""
    return EXPLAINED in tags or len(tags) < _MOST_TAGS


def find_or_make(
    workspace: Workspace,
    experiment: str,
    run_id: str,
    tags: dict[str, str],
    seconds: float = SECONDS,
) -> bool:
    """Have a run in the workspace; one that is there stays as it is.

    Args:
        workspace: The workspace.
        experiment: The experiment's name; it is made where it is missing.
        run_id: The run's id.
        tags: Tags for a run that is made.
        seconds: How long it may take.

    Returns:
        Whether it is a run that we made, now or before; see `complete`.

    Raises:
        AzureMLError: The workspace does not allow it, or does not answer.
    """
    if workspace.endpoint is None:
        raise AzureMLError("the workspace does not say where its services are")
    url = _url(workspace, experiment)
    with closing(HttpClient(workspace.token, seconds)) as calls:
        found = _get(calls, "Looking for the run", f"{url}/runs/{quote(run_id)}")
        if found is not None:
            return TAG in (found.get("tags") or {})
        if _get(calls, "Looking for the experiment", url) is None:
            calls.ask("Making the experiment", "POST", url)
        body = {
            "runId": run_id,
            "name": f"run_{run_id}",
            "runTypeV2": {"orchestrator": "External", "traits": ["unspecified"]},
            "target": "local",
            "properties": {},
            "tags": tags,
        }
        calls.ask("Making the run", "PATCH", f"{url}/runs/{quote(run_id)}", body=body)
        _tell(calls, f"{url}/runs/{quote(run_id)}", run_id, "Start", "StartTime")
    return True


def complete(workspace: Workspace, experiment: str, run_id: str, seconds: float = SECONDS) -> None:
    """End a run that we made, unless it has ended before: no job launcher will.

    Raises:
        AzureMLError: The workspace does not allow it, or does not answer.
    """
    url = f"{_url(workspace, experiment)}/runs/{quote(run_id)}"
    with closing(HttpClient(workspace.token, seconds)) as calls:
        found = _get(calls, "Looking for the run", url)
        if found is not None and found.get("status") not in _ENDED:
            _tell(calls, url, run_id, "Completed", "EndTime")


def _url(workspace: Workspace, experiment: str) -> str:
    base = f"{workspace.endpoint}/history/v1.0{workspace.scope}"
    return f"{base}/experiments/{quote(experiment, safe='')}"


def _get(calls: HttpClient, what: str, url: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = calls.ask(what, "GET", url)
    except RefusedError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return found


def _tell(calls: HttpClient, url: str, run_id: str, event: str, moment: str) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {
        "timestamp": now,
        "name": f"Microsoft.MachineLearning.Run.{event}",
        "data": {"RunId": run_id, moment: now},
    }
    calls.ask("Telling the run's status", "POST", f"{url}/events", body=body)
