"""The set-up of Azure ML on this machine, for ``mlflow-interpret doctor``."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import time
from collections.abc import Iterator

from mlflow_interpret.core.errors import one_line
from mlflow_interpret.runtime.optional_import import import_error_in_child
from mlflow_interpret.runtime.timeouts import call_with_timeout
from mlflow_interpret.stores.azureml import auth, resource_ids, targets, workspace
from mlflow_interpret.stores.azureml.http import INSTALL
from mlflow_interpret.stores.azureml.token_refresh import expiry_of
from mlflow_interpret.stores.base import Finding

TOPIC = "Azure ML"
UPLOAD_TOPIC = "upload"
_SECONDS = 5.0
_LOGIN_SECONDS = 15.0  # the command line tools of Azure start slowly
_IMPORT_SECONDS = 10.0


def examine(tracking_uri: str, location: str | None = None) -> Iterator[Finding]:
    """Examine jobs, log-ins and workspaces.

    Args:
        tracking_uri: MLflow's tracking URI.
        location: A workspace to ask as well, as for `workspace.open_workspace`.
    """
    yield from examine_access(tracking_uri, location)
    yield from examine_upload(tracking_uri)


def examine_access(tracking_uri: str, location: str | None = None) -> Iterator[Finding]:
    """Examine the run or workspace that this process uploads to; see `examine`."""
    if location is not None:
        yield from _examine_workspace(location)
    if targets.is_job():
        yield Finding(TOPIC, "ok", f"this process is the job {os.environ['AZUREML_RUN_ID']}")
        yield _examine_job_token()
        return
    missing = targets.missing_job_variables()
    if missing:
        text = f"no job: its environment variables {', '.join(missing)} are not set"
        yield Finding(TOPIC, "note", text)
    if not targets.is_tracking_uri(tracking_uri):
        text = "not in use: no job, and the tracking URI is not an azureml:// one"
        yield Finding(TOPIC, "ok", text)
    elif not is_installed("azureml.mlflow"):
        text = "MLflow cannot open azureml:// URIs without azureml-mlflow"
        yield Finding(TOPIC, "broken", text, INSTALL)
    elif resource_ids.parse_workspace_id(tracking_uri) is None:
        remedy = "take the URI from the workspace's overview page in studio"
        yield Finding(TOPIC, "broken", "the tracking URI names no workspace", remedy)
    elif os.environ.get("MLFLOW_TRACKING_TOKEN") and os.environ.get("MLFLOW_RUN_ID"):
        yield Finding(TOPIC, "ok", "credentials: the token in MLFLOW_TRACKING_TOKEN")
    else:
        yield from _examine_workspace(tracking_uri)


def examine_upload(tracking_uri: str) -> Iterator[Finding]:
    """Examine whether explanations are uploaded, and by which package."""
    if not targets.is_upload_requested("auto", tracking_uri):
        text = "none by default; autolog(azureml=WORKSPACE) or push --to WORKSPACE"
        yield Finding(UPLOAD_TOPIC, "ok", text)
        return
    try:
        reason = client_import_error()
    except subprocess.TimeoutExpired:
        text = f"by ExplanationClient, if its import of over {_IMPORT_SECONDS:.0f} s succeeds"
        yield Finding(UPLOAD_TOPIC, "ok", text)
        return
    if reason is None:
        yield Finding(UPLOAD_TOPIC, "ok", "by ExplanationClient of azureml-interpret")
        return
    yield Finding(UPLOAD_TOPIC, "ok", f"by mlflow-interpret itself: {reason}")
    if not is_installed("azure.storage.blob"):
        yield Finding(UPLOAD_TOPIC, "broken", "the upload needs azure-storage-blob", INSTALL)


def client_import_error() -> str | None:
    """Import ExplanationClient in another process; return why that fails, None if it does not."""
    if not is_installed("azureml.interpret"):
        return "azureml-interpret is not installed"
    error = import_error_in_child(
        "from azureml.interpret import ExplanationClient", _IMPORT_SECONDS
    )
    return None if error is None else f"azureml-interpret cannot be imported ({error})"


def is_installed(module: str) -> bool:
    """Return whether a module can be found, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _examine_job_token() -> Finding:
    expiry = expiry_of(os.environ["AZUREML_RUN_TOKEN"])
    if expiry is None:
        return Finding(TOPIC, "note", "credentials: the job's token, whose expiry is not known")
    remaining = expiry - time.time()
    if remaining <= 0:
        return Finding(TOPIC, "broken", "credentials: the job's token, which has expired")
    hours = remaining / 3600
    return Finding(TOPIC, "ok", f"credentials: the job's token, valid for {hours:.1f} hours")


def _examine_workspace(location: str) -> Iterator[Finding]:
    try:
        login = auth.log_in(_LOGIN_SECONDS)
    except Exception as error:
        yield Finding(TOPIC, "broken", f"credentials: {one_line(error)}")
        return
    yield Finding(TOPIC, "ok", f"credentials: {login.source} of azure-identity")
    try:
        opened = call_with_timeout(
            4 * _SECONDS, lambda: workspace.open_workspace(location, _SECONDS, login)
        )
        call_with_timeout(2 * _SECONDS, lambda: workspace.check_access(opened, _SECONDS))
    except Exception as error:
        yield Finding(TOPIC, "broken", f"workspace: {one_line(error)}")
    else:
        yield Finding(TOPIC, "ok", f"workspace {opened.name} answers at {opened.endpoint}")
