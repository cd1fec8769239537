"""Artifact files of runs, read with one request each and many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mlflow_interpret.runtime.progress import Report
from mlflow_interpret.stores.mlflow import mlflow_internals

_MAX_REQUESTS = 8  # at once; MLflow keeps ten connections to a server

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def list_files(client: MlflowClient, run: Run, folder: str) -> list[str]:
    """Return the paths of the files in an artifact folder; none where it does not exist."""
    try:
        return mlflow_internals.list_artifacts(run, folder, client.tracking_uri)
    except MlflowException:  # raised by some stores for a missing folder
        return []


def local_path(run: Run, path: str) -> Path | None:
    """Return the path of an artifact on this machine, None where it is on a server."""
    uri = urlsplit(run.info.artifact_uri)
    if uri.scheme not in {"", "file"}:
        return None
    root = Path(url2pathname(uri.path)) if uri.scheme else Path(run.info.artifact_uri)
    return root / path


def fetch(run: Run, path: str, tracking_uri: str, folder: Path) -> Path:
    """Return a local path of an artifact, which is downloaded into ``folder`` if it is remote."""
    local = local_path(run, path)
    if local is not None:
        return local
    target = folder / path.rpartition("/")[2]
    mlflow_internals.download_file(run, path, tracking_uri, target)
    return target


def map_concurrently(
    function: Callable[[_Item], _Result], items: Sequence[_Item], report: Report
) -> list[_Result]:
    """Apply a function to all items in threads.

    Args:
        function: The function.
        items: The items.
        report: Called with the number of finished items and of all.

    Returns:
        The results in the order of the items.

    Raises:
        Exception: The first exception of the function; the items that wait are dropped.
    """
    pool = ThreadPoolExecutor(_MAX_REQUESTS, thread_name_prefix="mlflow-interpret")
    futures = [pool.submit(function, item) for item in items]
    try:
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            report(done, len(futures))
    finally:  # without waiting: MLflow's requests may last minutes
        pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in futures]
