"""Explanations in MLflow runs: written, found again, and their status kept."""

from __future__ import annotations

import json
import logging
import os
import re
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

from mlflow_interpret import artifacts, storage
from mlflow_interpret.config import MAX_METRICS
from mlflow_interpret.errors import (
    AzureMLError,
    ExplanationNotFoundError,
    RunNotFoundError,
    TrackingUnavailableError,
)
from mlflow_interpret.metrics import PREFIX, SHIFT, Metrics, metrics_of
from mlflow_interpret.records import Explanation

FOLDER = "mlflow_interpret"
STATUS = "status.json"
TAG = "mlflow_interpret"

State = Literal["complete", "pending", "skipped", "failed"]

_TAGGED_EXPLANATIONS = 5  # later ones of a run have no tags of their own: Azure ML allows 50 tags
_MOST = 10_000  # explanations of a run; the number comes from the store
_AZURE_METRICS = _AZURE_TAGS = 50
_LONGEST_TAG = 5000  # characters: the limit of older MLflow servers
_PROBE_SECONDS = 10.0

# Which number an explanation gets is read from the run and then written to it.
_NUMBERING = threading.Lock()

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Logged:
    """Where an explanation, or the reason that there is none, was written.

    Attributes:
        tracking_uri: The store.
        run_id: The run.
        number: 1 for the run's first explanation.
        status: The status record as written.
    """

    tracking_uri: str
    run_id: str
    number: int
    status: Mapping[str, Any]

    @property
    def not_drawn(self) -> Mapping[str, str]:
        """The files that could not be drawn, with the reasons."""
        failed: Mapping[str, str] = self.status.get("not_drawn", {})
        return failed

    @property
    def folder(self) -> str:
        """The artifact folder."""
        return folder_of(self.number)


def folder_of(number: int) -> str:
    """The artifact folder of a run's ``number``-th explanation."""
    return FOLDER if number == 1 else f"{FOLDER}-{number}"


def log(
    explanation: Explanation,
    run_id: str,
    tracking_uri: str,
    *,
    top_k: int,
    figures: bool,
    report: bool = True,
    state: State = "complete",
    comment: str | None = None,
    azureml: Mapping[str, Any] | None = None,
    drawn: Path | None = None,
) -> Logged:
    """Write an explanation into a run: artifacts first, then all metrics and tags in one batch.

    Args:
        explanation: The explanation.
        run_id: An existing run.
        tracking_uri: The store that holds the run.
        top_k: How many features become metrics.
        figures: Draw the figures.
        report: Write the HTML report.
        state: ``pending`` while an upload to Azure ML is still under way.
        comment: The user's comment.
        azureml: How it is to be uploaded to Azure ML, for the status record, or None.
        drawn: A folder with the figures, where they are drawn already.
    """
    client = MlflowClient(tracking_uri)
    with _NUMBERING, tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as name:
        run = get_run(client, run_id)
        number = _free_number(client, run)
        on_azure = tracking_uri.startswith("azureml://")
        room = MAX_METRICS - _metrics_taken(run)
        if on_azure:
            room = min(room, _AZURE_METRICS - len(run.data.metrics))
        metrics = metrics_of(explanation, top_k, number, room)
        status = _status(explanation, metrics, state, comment, run_id)
        if azureml is not None:
            status["azureml"] = dict(azureml)
        folder = Path(name)
        not_drawn = artifacts.write(
            explanation, folder, figures=figures, report=report, made=status, drawn=drawn
        )
        if not_drawn:
            status["not_drawn"] = not_drawn
        storage.write_json(folder / STATUS, status)
        client.log_artifacts(run_id, str(folder), folder_of(number))
        now, now_held = _milliseconds(), get_run(client, run_id)
        tags = _tags(number, explanations_of(now_held), state, explanation)
        client.log_batch(
            run_id,
            metrics=[Metric(key, value, now, 0) for key, value in metrics.values.items()],
            # On Azure ML a tag holds 1,000 characters, and no such table is shown.
            tags=_fitting(tags, now_held) if on_azure else tags + _table_tag(now_held, number),
        )
        if f"{TAG}.reason" in run.data.tags:  # of a fit before that had nothing to explain
            client.delete_tag(run_id, f"{TAG}.reason")
    return Logged(tracking_uri, run_id, number, status)


def log_skipped(run_id: str, tracking_uri: str, reason: str, details: Mapping[str, Any]) -> Logged:
    """Write into a run that a fit was not explained, and why."""
    client = MlflowClient(tracking_uri)
    with _NUMBERING, tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as name:
        run = get_run(client, run_id)
        number = _free_number(client, run)
        status = {
            "status": "skipped",
            "reason": reason,
            "run_id": run_id,
            "created": _now(),
            **details,
        }
        path = Path(name) / STATUS
        storage.write_json(path, status)
        client.log_artifact(run_id, str(path), folder_of(number))
        client.log_batch(run_id, tags=_tags(number, explanations_of(run), "skipped"))
    return Logged(tracking_uri, run_id, number, status)


def note_skipped(run_id: str, tracking_uri: str, reason: str) -> None:
    """Say in a run's tags that there is nothing to explain, unless it holds an explanation.

    It takes no number: an explanation that follows is the run's first.
    """
    check_reachable(tracking_uri)
    client = MlflowClient(tracking_uri)
    if explanations_of(get_run(client, run_id)) == 0:
        tags = [RunTag(f"{TAG}.status", "skipped"), RunTag(f"{TAG}.reason", reason)]
        client.log_batch(run_id, tags=tags)


def update_status(
    logged: Logged, state: State, reason: str | None, changes: Mapping[str, Any]
) -> Logged:
    """Write a later state of an explanation: its tag and its status record.

    A store that does not overwrite artifacts, as Azure ML's, gets further records,
    ``status-2.json`` and so on; the highest number is the valid one.
    """
    client = MlflowClient(logged.tracking_uri)
    status = {**logged.status, **changes, "status": state, "reason": reason, "updated": _now()}
    if logged.number <= _TAGGED_EXPLANATIONS:
        try:
            client.set_tag(logged.run_id, tag_name(logged.number, "status"), state)
        except MlflowException:  # a run of Azure ML that had no room for it: the record has it
            _logger.debug("The run's status could not be tagged", exc_info=True)
    latest = _latest_status(_files(client, logged.run_id, logged.folder))
    with tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as name:
        path = Path(name) / _status_name(max(latest, 1))
        storage.write_json(path, status)
        try:
            client.log_artifact(logged.run_id, str(path), logged.folder)
        except Exception:
            later = path.with_name(_status_name(max(latest, 1) + 1))
            path.rename(later)
            client.log_artifact(logged.run_id, str(later), logged.folder)
    return Logged(logged.tracking_uri, logged.run_id, logged.number, status)


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
    for number in _numbers(run):
        explanation = _load_number(client, run, number)
        if explanation is not None:
            found += 1
            status = status_of(run_id, tracking_uri, number)
            yield Logged(tracking_uri, run_id, number, status), explanation
    if not found:
        load(run_id, None, tracking_uri)  # says why there is none


def records(run_id: str, tracking_uri: str) -> list[dict[str, Any]]:
    """The status records of a run, oldest first."""
    run = get_run(MlflowClient(tracking_uri), run_id)
    return [status_of(run_id, tracking_uri, number) for number in _numbers(run)]


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
        ids.extend(run.info.run_id for run in page if explanations_of(run))
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
    count = explanations_of(run)
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
    number = number or max(explanations_of(run), 1)
    latest = _latest_status(_files(client, run_id, folder_of(number)))
    if not latest:
        return {}
    with _download(client, run, f"{folder_of(number)}/{_status_name(latest)}") as path:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def get_run(client: MlflowClient, run_id: str) -> Run:
    """The run.

    Raises:
        RunNotFoundError: It does not exist.
    """
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        uri = without_credentials(client.tracking_uri)
        raise RunNotFoundError(
            f"Run {run_id!r} does not exist in {uri}. Check the id, or name the store that holds "
            "the run with mlflow.set_tracking_uri(...) or MLFLOW_TRACKING_URI."
        ) from error


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
    if any(os.environ.get(name) for name in _PROXY_VARIABLES):
        return  # the server may be reachable through the proxy only
    try:
        _ask(parts)
    except (OSError, HTTPException) as error:
        uri = without_credentials(tracking_uri)
        raise TrackingUnavailableError(f"No MLflow server answers at {uri}.") from error


def ask_for_an_experiment(tracking_uri: str) -> None:
    """Ask the store for something, without writing to it; raises what MLflow raises."""
    MlflowClient(tracking_uri).search_experiments(max_results=1)


def _check_login(tracking_uri: str) -> None:
    from mlflow_interpret.azureml import targets

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


_PROXY_VARIABLES = (
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
)


def without_credentials(uri: str) -> str:
    """A tracking or database URI without the user, password and query that it may carry."""
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme in {"file", "sqlite"}:
        return uri
    # Passwords may hold any character, so all up to the last @ goes.
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def current_tracking_uri() -> str:
    """The tracking URI that MLflow uses now."""
    uri: str = mlflow.get_tracking_uri()
    return uri


def _load_number(client: MlflowClient, run: Run, number: int) -> Explanation | None:
    try:
        with _download(client, run, folder_of(number)) as folder:
            if (folder / storage.EXPLANATION).is_file():
                return storage.read(folder)
    except MlflowException:  # what some stores say of a folder that is not there
        _logger.debug("Explanation %s of run %s is missing", number, run.info.run_id, exc_info=True)
    return None


@contextmanager
def _download(client: MlflowClient, run: Run, path: str) -> Iterator[Path]:
    if urlsplit(run.info.artifact_uri).scheme in {"", "file"}:
        root = local_file_uri_to_path(run.info.artifact_uri)  # type: ignore[no-untyped-call]
        yield Path(root) / path
        return
    with tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as name:
        yield Path(client.download_artifacts(run.info.run_id, path, name))


def _status(
    explanation: Explanation, metrics: Metrics, state: State, comment: str | None, run_id: str
) -> dict[str, Any]:
    return {
        "status": state,
        "reason": None,
        "run_id": run_id,
        "explanation_id": explanation.id,
        "created": _now(),
        "comment": comment,
        "method": explanation.method,
        "task": explanation.task,
        **explanation.details,
        "metrics": {"features": dict(metrics.features), "left_out": metrics.left_out},
    }


def _tags(
    number: int, count: int, state: State, explanation: Explanation | None = None
) -> list[RunTag]:
    # Another process may have counted further meanwhile.
    tags = {f"{TAG}.explanations": str(max(number, count))}
    if number <= _TAGGED_EXPLANATIONS:
        tags[tag_name(number, "status")] = state
        if explanation is not None:
            tags[tag_name(number, "explanation_id")] = explanation.id
            tags[tag_name(number, "method")] = explanation.method
            scale = explanation.details.get("output_scale")
            if scale:
                tags[tag_name(number, "scale")] = str(scale)
    return [RunTag(key, value) for key, value in tags.items()]


def _fitting(tags: list[RunTag], run: Run) -> list[RunTag]:
    """The tags that an Azure ML run has room for, the most important first."""
    room, fitting = max(0, _AZURE_TAGS - len(run.data.tags)), []
    for tag in tags:
        new = tag.key not in run.data.tags
        if not new or room:
            fitting.append(tag)
            room -= new
    return fitting


def _table_tag(run: Run, number: int) -> list[RunTag]:
    """The tag by which MLflow's UI offers the table of importances for comparison across runs.

    It is what `mlflow.log_table` sets; the artifact is in its format.
    """
    try:
        tables = json.loads(run.data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        added = {"path": f"{folder_of(number)}/{storage.GLOBAL}", "type": "table"}
        value = json.dumps([*tables, added])
    except (TypeError, ValueError):  # somebody else's words, which are left as they are
        return []
    short = number <= _TAGGED_EXPLANATIONS and len(value) <= _LONGEST_TAG
    return [RunTag(MLFLOW_LOGGED_ARTIFACTS, value)] if short else []


def _status_name(place: int) -> str:
    return STATUS if place == 1 else f"status-{place}.json"


def _latest_status(paths: Iterable[str]) -> int:
    """Which of the status records among some files is the valid one, 0 where there is none."""
    places = [re.search(r"(?:^|/)status(?:-(\d+))?\.json$", path) for path in paths]
    return max((int(place[1] or 1) for place in places if place), default=0)


def _numbers(run: Run) -> list[int]:
    """The numbers of a run's explanations, without what a log that was cut off has left."""
    known = set(run.data.tags)
    full = len(known) >= _AZURE_TAGS  # then an explanation may have no tags of its own
    return [
        number
        for number in range(1, explanations_of(run) + 1)
        if number > _TAGGED_EXPLANATIONS or full or tag_name(number, "status") in known
    ]


def tag_name(number: int, key: str) -> str:
    """The tag of a run's ``number``-th explanation."""
    return f"{TAG}.{key}" if number == 1 else f"{TAG}-{number}.{key}"


def _free_number(client: MlflowClient, run: Run) -> int:
    """The next number whose folder is empty.

    A folder that is not counted is another process's, or what a log that was cut off has left: some
    stores do not overwrite it.
    """
    number = explanations_of(run) + 1
    while number < _MOST and _files(client, run.info.run_id, folder_of(number)):
        number += 1
    return number


def _files(client: MlflowClient, run_id: str, folder: str) -> list[str]:
    """The paths of the files in an artifact folder; none where there is no such folder."""
    try:
        return [file.path for file in client.list_artifacts(run_id, folder)]
    except MlflowException:  # what some stores say of a folder that is not there
        return []


def explanations_of(run: Run) -> int:
    """How many explanations a run holds, those that were skipped counted."""
    count = run.data.tags.get(f"{TAG}.explanations", "0")
    return min(int(count), _MOST) if count.isdecimal() else 0


def _metrics_taken(run: Run) -> int:
    return sum(bool(re.match(rf"({PREFIX}|{SHIFT})(-\d+)?/", name)) for name in run.data.metrics)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _milliseconds() -> int:
    return int(datetime.now(timezone.utc).timestamp() * 1000)
