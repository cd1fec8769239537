"""The connection to a tracking store, checked before MLflow uses it."""

from __future__ import annotations

import os
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass, url2pathname

import mlflow
from mlflow import MlflowClient

from mlflow_interpret.core.errors import MlflowInterpretError, TrackingUnavailableError
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores.base import store_of_uri

_PROBE_SECONDS = 10.0


def check_reachable(tracking_uri: str) -> None:
    """Check that a tracking store answers, before MLflow retries for minutes.

    Raises:
        TrackingUnavailableError: The server does not answer, the database cannot be written, or
            there are no credentials.
    """
    try:
        parts = urlsplit(tracking_uri)
    except ValueError:  # a database URI that is no URL
        return
    store = store_of_uri(tracking_uri)
    if store is not None:
        try:
            store.check_connection(tracking_uri)
        except MlflowInterpretError as error:
            raise TrackingUnavailableError(f"{store.title} is not reached: {error}.") from error
    if parts.scheme == "sqlite":
        _check_writable(Path(url2pathname(parts.path.removeprefix("/"))))
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        return
    if _uses_proxy(parts.scheme, parts.hostname):
        return  # the server may be reachable through the proxy only
    try:
        _request_health(parts)
    except (OSError, HTTPException) as error:
        raise TrackingUnavailableError(
            f"No MLflow server answers at {without_credentials(tracking_uri)}.",
            remedy="Start it, or name another store with mlflow.set_tracking_uri() or "
            "MLFLOW_TRACKING_URI.",
        ) from error


def request_experiment(tracking_uri: str) -> None:
    """Send a read-only request to a tracking store; raise MLflow's error."""
    MlflowClient(tracking_uri).search_experiments(max_results=1)


def current_tracking_uri() -> str:
    """Return the tracking URI that MLflow uses now."""
    uri: str = mlflow.get_tracking_uri()
    return uri


def _uses_proxy(scheme: str, host: str) -> bool:
    """Return whether requests to a host go through a proxy."""
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)


def _request_health(parts: SplitResult) -> None:
    """Request the health page; any answer will do, also 401 or 404."""
    host = parts.hostname or ""
    connection: HTTPConnection
    if parts.scheme == "https":
        # The request holds no secret, so the certificate does not matter here.
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
    path = database if database.exists() else database.absolute().parent
    if str(database) not in {"", ".", ":memory:"} and not os.access(path, os.W_OK):
        raise TrackingUnavailableError(f"The MLflow store {database} cannot be written.")
