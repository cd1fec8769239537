"""The importances of runs, read by one small file each, many at once."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path

from mlflow_interpret import storage
from mlflow_interpret.errors import ExplanationNotFoundError
from mlflow_interpret.progress import Report
from mlflow_interpret.records import Importances
from mlflow_interpret.tracking.numbering import TAG, count_of, files_in, folder_of, tag_name

Named = tuple[Run, str]
"""A run and what it is called in a comparison."""

_AT_ONCE = 8  # requests; MLflow keeps ten connections to a server

_logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def load_importances(
    runs: Sequence[Named],
    tracking_uri: str,
    report: Report,
    *,
    label: str | None = None,
    engineered: bool = False,
) -> tuple[list[Importances], dict[str, str]]:
    """The importances of each run's latest explanation, read side by side.

    Args:
        runs: The runs, each once.
        tracking_uri: The store that holds them.
        report: Hears of the progress.
        label: The class, or target, that is wanted instead of all.
        engineered: Read the view by engineered column.

    Returns:
        The importances in the order of the runs, and why others have none, by run id.
    """

    def read(named: Named) -> Importances | str:
        try:
            return _read(*named, tracking_uri, label, engineered)
        except ExplanationNotFoundError as error:
            return str(error)
        except Exception as error:  # one run that cannot be read must not keep the others
            _logger.debug("Run %s cannot be read", named[0].info.run_id, exc_info=True)
            return f"its explanation cannot be read ({type(error).__name__})"

    outcomes = side_by_side(read, runs, report)
    loaded = [outcome for outcome in outcomes if isinstance(outcome, Importances)]
    reasons = {
        run.info.run_id: outcome
        for (run, _), outcome in zip(runs, outcomes, strict=True)
        if isinstance(outcome, str)
    }
    return loaded, reasons


def side_by_side(
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


def _read(
    run: Run, name: str, tracking_uri: str, label: str | None, engineered: bool
) -> Importances:
    count = count_of(MlflowClient(tracking_uri), run)
    tags: Mapping[str, str] = run.data.tags
    if count == 0:
        reason = tags.get(f"{TAG}.reason")
        raise ExplanationNotFoundError(f"it holds no explanation{f': {reason}' if reason else ''}")
    numbers = [
        number
        for number in range(count, 0, -1)
        if tags.get(tag_name(number, "status")) != "skipped"
    ]
    if not numbers:
        raise ExplanationNotFoundError("its fit was skipped; its status.json says why")
    part = f"{storage.ENGINEERED}/" if engineered else ""
    lacking = False
    for number in numbers:
        path = f"{folder_of(number)}/{part}{storage.EXPLANATION}"
        try:
            with tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as folder:
                file = _fetch(run, path, tracking_uri, Path(folder))
                found = storage.read_importances(file, run.info.run_id, name, label)
            return replace(found, in_run=len(numbers))
        except ExplanationNotFoundError:
            raise
        except Exception as error:  # what a store says of a file that is not there differs
            there = files_in(MlflowClient(tracking_uri), run, folder_of(number))
            if f"{folder_of(number)}/{part.rstrip('/') or storage.EXPLANATION}" in there:
                raise  # an older explanation must not stand for one that cannot be read
            failure, lacking = error, lacking or bool(there)
    if engineered and lacking:
        raise ExplanationNotFoundError("it has no view by engineered column") from failure
    raise failure


def _fetch(run: Run, path: str, tracking_uri: str, folder: Path) -> Path:
    """One file, with one request: MLflow's own download asks for the run and lists it first."""
    uri = run.info.artifact_uri
    if urlsplit(uri).scheme in {"", "file"}:
        return Path(local_file_uri_to_path(uri)) / path  # type: ignore[no-untyped-call]
    local = folder / storage.EXPLANATION
    repository: Any = get_artifact_repository(uri, tracking_uri)
    repository._download_file(path, str(local))
    return local
