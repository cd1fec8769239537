"""Explanations and their status records, found again in MLflow runs."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import ExplanationNotFoundError, RunNotFoundError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.runtime.progress import nothing
from mlflow_interpret.stores.mlflow.artifacts import fetch, list_files, local_path, map_concurrently
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
    """All explanations of a run with their status records, oldest first.

    Raises:
        RunNotFoundError: There is no such run.
        ExplanationNotFoundError: It holds none.
    """
    check_reachable(tracking_uri)
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    found = 0
    for number in numbers(client, run):
        explanation = _load_number(client, run, number)
        if explanation is not None:
            found += 1
            status = status_of(run_id, tracking_uri, number)
            yield Logged(tracking_uri, run_id, number, status), explanation
    if not found:
        load(run_id, None, tracking_uri)  # says why there is none


def records(run_id: str, tracking_uri: str) -> list[dict[str, Any]]:
    """The status records of a run, oldest first."""
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    return [status_of(run_id, tracking_uri, number) for number in numbers(client, run)]


def runs_with_explanations(experiment: str, tracking_uri: str) -> list[str]:
    """The ids of an experiment's runs that hold explanations, oldest first.

    Raises:
        RunNotFoundError: There is no such experiment.
    """
    check_reachable(tracking_uri)
    client = MlflowClient(tracking_uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        uri = without_credentials(tracking_uri)
        raise RunNotFoundError(f"There is no experiment {experiment!r} in {uri}.")
    ids: list[str] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [found.experiment_id], order_by=["attributes.start_time ASC"], page_token=token
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
    """Read an explanation back; see `mlflow_interpret.load_explanation`.

    Args:
        run_id: The run.
        explanation_id: Which of the run's explanations. Default: the latest.
        tracking_uri: The store that holds the run.
        comment: Only one with this comment.
        view: Gives the wanted view of an explanation, or raises `ExplanationNotFoundError`: then
            the one before is looked at.
    """
    check_reachable(tracking_uri)
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    count = count_of(client, run)
    if count == 0:
        raise ExplanationNotFoundError(_why_none(run))
    unfit: ExplanationNotFoundError | None = None
    for number in range(count, 0, -1):
        if (
            comment is not None
            and status_of(run_id, tracking_uri, number).get("comment") != comment
        ):
            continue
        found = _named(_load_number(client, run, number), explanation_id)
        if found is None:
            continue
        try:
            return found if view is None else view(found)
        except ExplanationNotFoundError as error:
            unfit = unfit or error  # of the latest
    if unfit is not None and (count == 1 or explanation_id is not None):
        raise unfit
    if unfit is not None:
        raise ExplanationNotFoundError(
            f"None of the {count} explanations of run {run_id} has that view. The latest: {unfit}"
        ) from unfit
    asked = {"explanation_id": explanation_id, "comment": comment}
    given = {name: value for name, value in asked.items() if value is not None}
    if given:
        shown = " and ".join(f"{name}={value!r}" for name, value in given.items())
        raise ExplanationNotFoundError(
            f"Run {run_id} holds no explanation with {shown}; "
            f"leave {' and '.join(given)} out to get the latest."
        )
    raise ExplanationNotFoundError(_why_lost(run, tracking_uri))


def _named(explanation: Explanation | None, explanation_id: str | None) -> Explanation | None:
    """The explanation, or its view by engineered column, that has this id."""
    if explanation is None or explanation_id in (None, explanation.id):
        return explanation
    engineered = explanation.engineered
    return engineered if engineered is not None and engineered.id == explanation_id else None


def _why_none(run: Run) -> str:
    """Why a run has no number of an explanation."""
    run_id, reason = run.info.run_id, run.data.tags.get(f"{TAG}.reason")
    if reason is not None:
        return f"Run {run_id} exists and holds no explanation: {reason}."
    return (
        f"Run {run_id} exists and holds no explanation. Explain it with "
        "mlflow_interpret.autolog() before fit, or log one with "
        "mlflow_interpret.log_explanation(explanation, run_id=...)."
    )


def _why_lost(run: Run, tracking_uri: str) -> str:
    """Why a run that counts explanations holds none."""
    run_id = run.info.run_id
    if run.data.tags.get(f"{TAG}.status") == "skipped":
        why = f"its fit was skipped. Reason: {status_of(run_id, tracking_uri).get('reason')}"
    else:
        why = "its artifacts are missing. Were they deleted, or written on another machine?"
    return f"Run {run_id} exists and holds no explanation: {why}"


def status_of(run_id: str, tracking_uri: str, number: int | None = None) -> dict[str, Any]:
    """The status record of a run's latest explanation, or of its ``number``-th."""
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    number = number or max(count_of(client, run), 1)
    latest = latest_status(list_files(client, run, folder_of(number)))
    if not latest:
        return {}
    path = f"{folder_of(number)}/{status_name(latest)}"
    with tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as folder:
        file = fetch(run, path, tracking_uri, Path(folder))
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def _load_number(client: MlflowClient, run: Run, number: int) -> Explanation | None:
    """A run's ``number``-th explanation; what is there and cannot be read raises."""
    place = folder_of(number)
    there = local_path(run, place)
    if there is not None:
        return (
            explanation_io.read(there) if (there / explanation_io.EXPLANATION).is_file() else None
        )
    with tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as name:
        found = _fetched(client, run, place, Path(name))
        return (
            explanation_io.read(found) if (found / explanation_io.EXPLANATION).is_file() else None
        )


def _fetched(client: MlflowClient, run: Run, place: str, folder: Path) -> Path:
    """The files of an explanation, and those of its view by engineered column."""
    held = list_files(client, run, place)
    if f"{place}/{explanation_io.ENGINEERED}" in held:
        (folder / explanation_io.ENGINEERED).mkdir()
        held += list_files(client, run, f"{place}/{explanation_io.ENGINEERED}")
    parts = (
        (folder, place),
        (folder / explanation_io.ENGINEERED, f"{place}/{explanation_io.ENGINEERED}"),
    )
    wanted = [(into, f"{part}/{name}") for into, part in parts for name in explanation_io.READ]
    map_concurrently(
        lambda one: fetch(run, one[1], client.tracking_uri, one[0]),
        [one for one in wanted if one[1] in held],
        nothing,
    )
    return folder
