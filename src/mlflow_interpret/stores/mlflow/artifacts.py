"""Artifact files of runs, one request each and many at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.explanation_checks import check_inside
from mlflow_interpret.runtime import progress, temporary_folders
from mlflow_interpret.runtime.progress import Report
from mlflow_interpret.stores.mlflow import mlflow_internals

_MAX_REQUESTS = 8  # at once; MLflow keeps ten connections to a server

_OUTAGES = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def list_files(client: MlflowClient, run: Run, folder: str) -> list[str]:
    """Return the paths of the files in an artifact folder; none where it does not exist.

    Raises:
        Exception: The artifact store does not answer.
    """
    try:
        return mlflow_internals.list_artifacts(run, folder, client.tracking_uri)
    except MlflowException as error:  # raised by some stores for a missing folder
        if _is_outage(error):
            raise
        return []


def _is_outage(error: MlflowException) -> bool:
    """Return whether an error comes from a request without an answer, or a server that fails."""
    is_silent = isinstance(error.__cause__ or error.__context__, OSError)
    return is_silent or error.error_code in _OUTAGES


def upload(
    client: MlflowClient, run: Run, source: Path, folder: str, *, only_missing: bool
) -> None:
    """Upload files of an explanation; `explanation_io.EXPLANATION`, which has its id, first.

    Args:
        client: The client.
        run: The run.
        source: The files.
        folder: The artifact folder.
        only_missing: Leave out the files that the run holds: the server does not overwrite them.
    """
    present = _relative_files(client, run, source, folder) if only_missing else set()
    first = explanation_io.EXPLANATION
    if first not in present and (source / first).is_file():
        client.log_artifact(run.info.run_id, str(source / first), folder)
    present.add(first)

    if local_path(run, "") is None:
        paths = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}

        def send(path: Path) -> None:
            target = folder if path.parent == Path() else f"{folder}/{path.parent.as_posix()}"
            client.log_artifact(run.info.run_id, str(source / path), target)

        missing = sorted(path for path in paths if path.as_posix() not in present)
        map_concurrently(send, missing, progress.nothing)
        return

    def is_present(place: str, names: list[str]) -> set[str]:
        paths = {name: (Path(place) / name).relative_to(source).as_posix() for name in names}
        return {name for name, path in paths.items() if path in present}

    with temporary_folders.temporary() as work:
        others = Path(work) / "others"
        shutil.copytree(source, others, ignore=is_present, copy_function=_link)
        client.log_artifacts(run.info.run_id, str(others), folder)


def _relative_files(client: MlflowClient, run: Run, source: Path, folder: str) -> set[str]:
    """Return the files of an artifact folder and of its subfolders that ``source`` has, too."""
    paths = list_files(client, run, folder)
    for subfolder in source.glob("*/"):
        if f"{folder}/{subfolder.name}" in paths:
            paths.remove(f"{folder}/{subfolder.name}")
            paths += list_files(client, run, f"{folder}/{subfolder.name}")
    return {path.removeprefix(f"{folder}/") for path in paths}


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # the file system has no links
        shutil.copyfile(source, target)


def local_path(run: Run, path: str) -> Path | None:
    """Return the path of an artifact on this machine, None where it is on a server."""
    uri = urlsplit(run.info.artifact_uri)
    if uri.scheme not in {"", "file"}:
        return None
    root = Path(url2pathname(uri.path)) if uri.scheme else Path(run.info.artifact_uri)
    return root / path


def check_no_link(run: Run, local: Path) -> None:
    """Check that a local path leads to no other place than the run's artifacts.

    Raises:
        InvalidExplanationError: A link leads elsewhere.
    """
    root = local_path(run, "")
    if root is not None:
        check_inside(local, root)


def fetch(run: Run, path: str, tracking_uri: str, folder: Path) -> Path:
    """Return a local path of an artifact, which is downloaded into ``folder`` if it is remote.

    Raises:
        InvalidExplanationError: A link leads out of the run's artifacts.
    """
    local = local_path(run, path)
    if local is not None:
        check_no_link(run, local)
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
