"""Tracking stores: which one MLflow uses, and whether it answers."""

from __future__ import annotations

import os
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass, url2pathname

import mlflow
from mlflow import MlflowClient

from mlflow_interpret.core.errors import AzureMLError, TrackingUnavailableError
from mlflow_interpret.core.redaction import without_credentials

_PROBE_SECONDS = 10.0


def check_reachable(tracking_uri: str) -> None:
    """Fail within seconds, instead of after minutes of MLflow's retries, where no store answers.

    Raises:
        TrackingUnavailableError: The server does not answer, the database cannot be written, or
            there are no credentials for Azure ML.
    """
    try:
        parts = urlsplit(tracking_uri)
    except ValueError:  # a database's URI may hold what is no URL
        return
    if parts.scheme == "azureml":
        _check_login(tracking_uri)
    if parts.scheme == "sqlite":
        _check_writable(Path(url2pathname(parts.path.removeprefix("/"))))
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        return
    if _behind_a_proxy(parts.scheme, parts.hostname):
        return  # the server may be reachable through the proxy only
    try:
        _ask(parts)
    except (OSError, HTTPException) as error:
        raise TrackingUnavailableError(
            f"No MLflow server answers at {without_credentials(tracking_uri)}. Start it, or name "
            "another store with mlflow.set_tracking_uri() or MLFLOW_TRACKING_URI."
        ) from error


def _behind_a_proxy(scheme: str, host: str) -> bool:
    """Whether a proxy is set that is not for other hosts only."""
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)


def ask_for_an_experiment(tracking_uri: str) -> None:
    """Ask the store for something, without writing to it; raises what MLflow raises."""
    MlflowClient(tracking_uri).search_experiments(max_results=1)


def _check_login(tracking_uri: str) -> None:
    from mlflow_interpret.stores.azureml import targets

    try:
        targets.check_login(tracking_uri)
    except AzureMLError as error:
        raise TrackingUnavailableError(f"Azure ML is not reached: {error}.") from error


def _ask(parts: SplitResult) -> None:
    """Any answer will do: some servers have no health page, others want to know who asks."""
    host = parts.hostname or ""
    connection: HTTPConnection
    if parts.scheme == "https":
        # Nothing is sent but the question, so whose certificate it is does not matter here.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = HTTPSConnection(host, parts.port, timeout=_PROBE_SECONDS, context=context)
    else:
        connection = HTTPConnection(host, parts.port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/health")
        connection.getresponse()
    finally:
        connection.close()


def _check_writable(database: Path) -> None:
    place = database if database.exists() else database.absolute().parent
    if str(database) not in {"", ".", ":memory:"} and not os.access(place, os.W_OK):
        raise TrackingUnavailableError(f"The MLflow store {database} cannot be written.")


def current_tracking_uri() -> str:
    """The tracking URI that MLflow uses now."""
    uri: str = mlflow.get_tracking_uri()
    return uri
