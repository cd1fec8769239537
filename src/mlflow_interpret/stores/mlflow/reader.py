"""Read explanations and their status records from MLflow runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_interpret.core import explanation_io, json_files
from mlflow_interpret.core.errors import (
    ExplanationNotFoundError,
    InvalidExplanationError,
    RunNotFoundError,
)
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.explanation_checks import check_status, reading
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.runtime.progress import nothing
from mlflow_interpret.stores.base import stores
from mlflow_interpret.stores.mlflow.artifacts import (
    check_no_link,
    fetch,
    list_files,
    local_path,
    map_concurrently,
)
from mlflow_interpret.stores.mlflow.connection import check_reachable
from mlflow_interpret.stores.mlflow.layout import (
    TAG,
    Logged,
    count_of,
    folder_of,
    get_run,
    latest_status,
    numbers,
    status_name,
)

_logger = logging.getLogger(__name__)


def explanations(run_id: str, tracking_uri: str) -> Iterator[tuple[Logged, Explanation]]:
    """Yield all explanations of a run with their status records, oldest first.

    Raises:
        RunNotFoundError: The run does not exist.
        ExplanationNotFoundError: It holds no explanation.
    """
    check_reachable(tracking_uri)
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    is_empty = True
    for number in numbers(client, run):
        explanation = _read_number(client, run, number)
        if explanation is not None:
            is_empty = False
            status = status_of(run_id, tracking_uri, number)
            yield Logged(tracking_uri, run_id, number, status), explanation
    if is_empty:
        load(run_id, None, tracking_uri)  # raises with the reason


def records(run_id: str, tracking_uri: str) -> list[dict[str, Any]]:
    """Return the status records of a run, oldest first."""
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    return [status_of(run_id, tracking_uri, number) for number in numbers(client, run)]


def runs_with_explanations(experiment: str, tracking_uri: str) -> list[str]:
    """Return the ids of an experiment's runs with explanations, oldest first.

    Raises:
        RunNotFoundError: The experiment does not exist.
    """
    check_reachable(tracking_uri)
    client = MlflowClient(tracking_uri)
    entity = client.get_experiment_by_name(experiment)
    if entity is None:
        uri = without_credentials(tracking_uri)
        raise RunNotFoundError(f"There is no experiment {experiment!r} in {uri}.")
    ids: list[str] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [entity.experiment_id], order_by=["attributes.start_time ASC"], page_token=token
        )
        ids.extend(run.info.run_id for run in page if count_of(client, run))
        token = page.token
        if not token:
            return ids


def load(
    run_id: str,
    explanation_id: str | None,
    tracking_uri: str,
    comment: str | None = None,
    view: Callable[[Explanation], Explanation] | None = None,
) -> Explanation:
    """Read an explanation of a run; see `mlflow_interpret.load_explanation`.

    Args:
        run_id: The run.
        explanation_id: The id of the explanation. Default: the latest.
        tracking_uri: The tracking URI.
        comment: Only an explanation with this comment.
        view: Returns a view of an explanation, or raises `ExplanationNotFoundError`: then the
            explanation before is tried.
    """
    check_reachable(tracking_uri)
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    count = count_of(client, run)
    if count == 0:
        raise ExplanationNotFoundError(_reason_for_none(run))
    without_view: ExplanationNotFoundError | None = None
    for number in range(count, 0, -1):
        if (
            comment is not None
            and status_of(run_id, tracking_uri, number).get("comment") != comment
        ):
            continue
        explanation = _with_id(_read_number(client, run, number), explanation_id)
        if explanation is None:
            continue
        try:
            return explanation if view is None else view(explanation)
        except ExplanationNotFoundError as error:
            without_view = without_view or error  # of the latest
    if without_view is not None and (count == 1 or explanation_id is not None):
        raise without_view
    if without_view is not None:
        raise ExplanationNotFoundError(
            f"None of the {count} explanations of run {run_id} has that view. "
            f"The latest: {without_view}"
        ) from without_view
    conditions = {"explanation_id": explanation_id, "comment": comment}
    given = {name: value for name, value in conditions.items() if value is not None}
    if given:
        text = " and ".join(f"{name}={value!r}" for name, value in given.items())
        raise ExplanationNotFoundError(
            f"Run {run_id} holds no explanation with {text}; "
            f"leave {' and '.join(given)} out to get the latest."
        )
    raise ExplanationNotFoundError(_reason_for_missing_files(run, tracking_uri))


def _with_id(explanation: Explanation | None, explanation_id: str | None) -> Explanation | None:
    """Return the explanation, or its other view, if it has the id."""
    if explanation is None or explanation_id in (None, explanation.id):
        return explanation
    views = (explanation.engineered, explanation.raw)
    return next((view for view in views if view is not None and view.id == explanation_id), None)


def _reason_for_none(run: Run) -> str:
    """Return the reason why a run counts no explanation."""
    run_id, reason = run.info.run_id, run.data.tags.get(f"{TAG}.reason")
    if reason is not None:
        return f"Run {run_id} exists and holds no explanation: {reason}."
    return (
        f"Run {run_id} exists and holds no explanation. Explain it with "
        "mlflow_interpret.autolog() before fit, or log one with "
        "mlflow_interpret.log_explanation(explanation, run_id=...)."
    )


def _reason_for_missing_files(run: Run, tracking_uri: str) -> str:
    """Return the reason why a run counts explanations and holds none."""
    run_id = run.info.run_id
    if run.data.tags.get(f"{TAG}.status") == "skipped":
        reason = f"its fit was skipped. Reason: {status_of(run_id, tracking_uri).get('reason')}"
    else:
        reason = "its artifacts are missing. Were they deleted, or written on another machine?"
    return f"Run {run_id} exists and holds no explanation: {reason}"


def status_of(run_id: str, tracking_uri: str, number: int | None = None) -> dict[str, Any]:
    """Return the status record of a run's latest explanation, or of its ``number``-th."""
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    number = number or max(count_of(client, run), 1)
    latest = latest_status(list_files(client, run, folder_of(number)))
    if not latest:
        return {}
    path = f"{folder_of(number)}/{status_name(latest)}"
    with (
        _naming(run, folder_of(number)),
        temporary_folders.temporary() as folder,
        reading(status_name(latest)),
    ):
        record = json_files.read_json(fetch(run, path, tracking_uri, Path(folder)))
        check_status(record, [store.name for store in stores()])
    return dict(record)


@contextmanager
def _naming(run: Run, folder: str) -> Iterator[None]:
    """Name the run and the folder in errors of the files of an explanation."""
    try:
        yield
    except InvalidExplanationError as error:
        raise InvalidExplanationError(
            f"The explanation of run {run.info.run_id} is damaged or was changed: {folder}/{error}."
        ) from error


def _read_number(client: MlflowClient, run: Run, number: int) -> Explanation | None:
    """Return a run's ``number``-th explanation, None where there is none.

    Raises:
        Exception: It exists and cannot be read.
    """
    artifact_folder = folder_of(number)
    local = local_path(run, artifact_folder)
    with _naming(run, artifact_folder):
        if local is not None:
            with reading("."):
                check_no_link(run, local)
            return _read_folder(local)
        with temporary_folders.temporary() as folder:
            _download(client, run, artifact_folder, Path(folder))
            return _read_folder(Path(folder))


def _read_folder(folder: Path) -> Explanation | None:
    is_there = (folder / explanation_io.EXPLANATION).is_file()
    return explanation_io.read(folder) if is_there else None


def _download(client: MlflowClient, run: Run, artifact_folder: str, folder: Path) -> None:
    """Download the files of an explanation and of its other view."""
    paths = list_files(client, run, artifact_folder)
    sources = {artifact_folder: folder}
    for view in (explanation_io.ENGINEERED, explanation_io.RAW):
        source = f"{artifact_folder}/{view}"
        if source in paths:
            (folder / view).mkdir()
            paths += list_files(client, run, source)
            sources[source] = folder / view
    targets = {
        f"{source}/{name}": target
        for source, target in sources.items()
        for name in explanation_io.READ
    }
    map_concurrently(
        lambda path: fetch(run, path, client.tracking_uri, targets[path]),
        [path for path in targets if path in paths],
        nothing,
    )
