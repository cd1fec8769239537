"""Files of runs, by one request each and many at once.

MLflow's own downloads ask for the run and list it first, and draw a bar into logs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path

from mlflow_interpret.runtime.progress import Report

_AT_ONCE = 8  # requests; MLflow keeps ten connections to a server

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def files_in(client: MlflowClient, run: Run, folder: str) -> list[str]:
    """The paths of the files in an artifact folder; none where there is no such folder.

    The run's own store is asked: MLflow's client asks for logged models, too, which Azure ML lacks.
    """
    try:
        repository = get_artifact_repository(run.info.artifact_uri, client.tracking_uri)
        return [file.path for file in repository.list_artifacts(folder)]
    except MlflowException:  # what some stores say of a folder that is not there
        return []


def in_place(run: Run, path: str) -> Path | None:
    """Where a file or folder of a run is, if it is on this machine."""
    uri = run.info.artifact_uri
    if urlsplit(uri).scheme not in {"", "file"}:
        return None
    return Path(local_file_uri_to_path(uri)) / path  # type: ignore[no-untyped-call]


def fetch(run: Run, path: str, tracking_uri: str, folder: Path) -> Path:
    """One file, in place or downloaded into a folder."""
    there = in_place(run, path)
    if there is not None:
        return there
    local = folder / path.rpartition("/")[2]
    repository: Any = get_artifact_repository(run.info.artifact_uri, tracking_uri)
    repository._download_file(path, str(local))
    return local


def map_concurrently(
    work: Callable[[_Item], _Result], items: Sequence[_Item], report: Report
) -> list[_Result]:
    """The results in the order of the items; the first error ends it."""
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mlflow-interpret")
    patient = True
    try:
        futures = [pool.submit(work, item) for item in items]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            report(done, len(futures))
        return [future.result() for future in futures]
    except KeyboardInterrupt:  # MLflow's requests may go on for minutes
        patient = False
        raise
    finally:
        pool.shutdown(wait=patient, cancel_futures=True)
