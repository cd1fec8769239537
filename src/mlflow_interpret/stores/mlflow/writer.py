"""Write explanations and their status into MLflow runs."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag
from mlflow.exceptions import MlflowException

from mlflow_interpret.core import explanation_io, json_files
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import MAX_METRICS, METRICS
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.stores.base import StoreLimits, limits_of
from mlflow_interpret.stores.mlflow import run_page
from mlflow_interpret.stores.mlflow.artifacts import list_files
from mlflow_interpret.stores.mlflow.connection import check_reachable
from mlflow_interpret.stores.mlflow.layout import (
    STATUS,
    TAG,
    TAGGED_EXPLANATIONS,
    Logged,
    State,
    count_of,
    explanations_of,
    folder_of,
    free_number,
    get_run,
    latest_status,
    status_name,
    tag_name,
)
from mlflow_interpret.stores.mlflow.metrics import PREFIX, SHARE, SHIFT, Metrics, metrics_of
from mlflow_interpret.stores.mlflow.mlflow_internals import TABLES_TAG
from mlflow_interpret.stores.mlflow.numbers import RunNumbers
from mlflow_interpret.stores.record import Record, now

_logger = logging.getLogger(__name__)

_numbers = RunNumbers()


def log(
    record: Record,
    run_id: str,
    tracking_uri: str,
    *,
    top_k: int,
    kinds: Sequence[str] = METRICS,
    state: State = "complete",
    comment: str | None = None,
    description: bool = True,
    model_id: str | None = None,
    entries: Mapping[str, Mapping[str, Any]] | None = None,
) -> Logged:
    """Write an explanation into a run: the artifacts, then all metrics and tags in one batch.

    Args:
        record: The explanation and its folder; the status record is written into the folder.
        run_id: An existing run.
        tracking_uri: The tracking URI.
        top_k: The number of features that become metrics.
        kinds: The kinds of metrics, ``importance``, ``share`` or both.
        state: ``pending`` while another store is still at work.
        comment: The user's comment.
        description: Describe the run where it has no description.
        model_id: The logged model of the metrics.
        entries: The entries of other stores in the status record, by their names.
    """
    client, limits = MlflowClient(tracking_uri), limits_of(tracking_uri)
    explanation = record.explanation
    run = get_run(client, run_id)
    with _numbers.reserved(tracking_uri, run_id, free_number(client, run)) as number:
        room, share_room = _metric_room(run, limits)
        metrics = metrics_of(explanation, top_k, number, room, share_room, kinds)
        status = _status(record, metrics, state, comment, run_id)
        status.update({name: dict(entry) for name, entry in (entries or {}).items()})
        if limits.tags is not None:
            tags = _tags(number, explanations_of(run), state, explanation)
            fitting = _fitting(tags, run, limits)
            status["tags"] = {"left_out": [tag.key for tag in tags if tag not in fitting]}
        if record.not_drawn:
            status["not_drawn"] = dict(record.not_drawn)
        json_files.write_json(record.folder / STATUS, status)
        client.log_artifacts(run_id, str(record.folder), folder_of(number))
        _numbers.mark_stored(tracking_uri, run_id, number, explained=True)

        def tags_for(run: Run, count: int, tables: list[int]) -> list[RunTag]:
            tags = _tags(number, count, state, explanation)
            if description:
                tags += run_page.description_tags(run, record, folder_of(number), limits)
            tags = _fitting(tags, run, limits)
            return tags + (_table_tag(run, tables, limits) if limits.has_mlflow_pages else [])

        entities = _metric_entities(metrics, model_id)
        _log_batch(client, run_id, tracking_uri, entities, tags_for)
        if f"{TAG}.reason" in run.data.tags:  # of an earlier fit that had nothing to explain
            client.delete_tag(run_id, f"{TAG}.reason")
    report = None
    if record.has_report:
        report = run_page.report_address(run, tracking_uri, folder_of(number), limits)
    return Logged(tracking_uri, run_id, number, status, metrics.values, report)


def log_skipped(run_id: str, tracking_uri: str, reason: str, details: Mapping[str, Any]) -> Logged:
    """Write into a run that a fit was not explained.

    Args:
        run_id: An existing run.
        tracking_uri: The tracking URI.
        reason: The reason.
        details: Further keys of the status record.
    """
    client, limits = MlflowClient(tracking_uri), limits_of(tracking_uri)
    run = get_run(client, run_id)
    with (
        _numbers.reserved(tracking_uri, run_id, free_number(client, run)) as number,
        tempfile.TemporaryDirectory(prefix=temporary_folders.prefix()) as folder,
    ):
        status = {
            "status": "skipped",
            "reason": reason,
            "run_id": run_id,
            "created": now(),
            **details,
        }
        path = Path(folder) / STATUS
        json_files.write_json(path, status)
        client.log_artifact(run_id, str(path), folder_of(number))
        _numbers.mark_stored(tracking_uri, run_id, number, explained=False)
        _log_batch(
            client,
            run_id,
            tracking_uri,
            [],
            lambda run, count, _: _fitting(_tags(number, count, "skipped"), run, limits),
        )
    return Logged(tracking_uri, run_id, number, status)


def note_skipped(run_id: str, tracking_uri: str, reason: str) -> None:
    """Write into a run's tags that there is nothing to explain, unless it holds an explanation.

    It takes no number: an explanation that follows is the first of the run.
    """
    check_reachable(tracking_uri)
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    if count_of(client, run) == 0:
        tags = [RunTag(f"{TAG}.status", "skipped"), RunTag(f"{TAG}.reason", reason)]
        client.log_batch(run_id, tags=_fitting(tags, run, limits_of(tracking_uri)))


def update_status(
    logged: Logged, state: State, reason: str | None, changes: Mapping[str, Any]
) -> Logged:
    """Write a later state of an explanation: its tag and its status record.

    Where artifacts cannot be overwritten, further records are written, ``status-2.json`` and so on;
    the one with the highest number is valid.
    """
    client, limits = MlflowClient(logged.tracking_uri), limits_of(logged.tracking_uri)
    status = {**logged.status, **changes, "status": state, "reason": reason, "updated": now()}
    tag, untagged = tag_name(logged.number, "status"), status.get("tags") or {}
    if logged.number <= TAGGED_EXPLANATIONS and tag not in untagged.get("left_out", []):
        try:
            client.set_tag(logged.run_id, tag, state)
        except MlflowException:  # no room for the tag; the record has the state
            _logger.debug("The run's status could not be tagged", exc_info=True)
    run = get_run(client, logged.run_id)
    latest = latest_status(list_files(client, run, logged.folder))
    version = max(latest, 1) if limits.overwrites else latest + 1
    with tempfile.TemporaryDirectory(prefix=temporary_folders.prefix()) as folder:
        path = Path(folder) / status_name(version)
        json_files.write_json(path, status)
        client.log_artifact(logged.run_id, str(path), logged.folder)
    return replace(logged, status=status)


def _status(
    record: Record, metrics: Metrics, state: State, comment: str | None, run_id: str
) -> dict[str, Any]:
    explanation = record.explanation
    return {
        "status": state,
        "reason": None,
        "run_id": run_id,
        "explanation_id": explanation.id,
        "created": record.created,
        "comment": comment,
        "method": explanation.method,
        "task": explanation.task,
        **explanation.details.to_json(),
        "metrics": {
            "features": dict(metrics.features),
            "shares": dict(metrics.shares),
            "left_out": metrics.left_out,
        },
    }


def _log_batch(
    client: MlflowClient,
    run_id: str,
    tracking_uri: str,
    metrics: list[Metric],
    tags_for: Callable[[Run, int, list[int]], list[RunTag]],
) -> None:
    """Log metrics and tags, and the shared tags again while other threads log into the run.

    The count of explanations and the list of tables are read and written back; a parallel log may
    have overwritten them with an older state.

    Args:
        client: The client.
        run_id: The run.
        tracking_uri: The tracking URI.
        metrics: The metrics.
        tags_for: Returns the tags for the run as it is now, the count of its explanations, and the
            numbers of the explanations with a table.
    """
    stored: Mapping[int, bool] = {}
    while stored != (latest := _numbers.stored(tracking_uri, run_id)):
        stored = latest
        run = get_run(client, run_id)
        count = max(*stored, explanations_of(run))  # another process may have counted further
        tables = sorted(number for number, explained in stored.items() if explained)
        client.log_batch(run_id, metrics=metrics, tags=tags_for(run, count, tables))
        metrics = []


def _tags(
    number: int, count: int, state: State, explanation: Explanation | None = None
) -> list[RunTag]:
    tags = {f"{TAG}.explanations": str(max(number, count))}
    if number <= TAGGED_EXPLANATIONS:
        tags[tag_name(number, "status")] = state
        if explanation is not None:
            tags[tag_name(number, "explanation_id")] = explanation.id
            tags[tag_name(number, "method")] = explanation.method
            scale = explanation.details.output_scale
            if scale:
                tags[tag_name(number, "scale")] = str(scale)
    return [RunTag(key, value) for key, value in tags.items()]


def _fitting(tags: list[RunTag], run: Run, limits: StoreLimits) -> list[RunTag]:
    """Return the tags that a run has room for; the first are the most important."""
    if limits.tags is None:
        return tags
    room, fitting = max(0, limits.tags - len(run.data.tags)), []
    for tag in tags:
        is_new = tag.key not in run.data.tags
        if not is_new or room:
            fitting.append(tag)
            room -= is_new
    return fitting


def _table_tag(run: Run, numbers: list[int], limits: StoreLimits) -> list[RunTag]:
    """Return the tag by which MLflow's UI compares the tables of importances across runs.

    `mlflow.log_table` sets it for its own tables; the artifacts are in its format.
    """
    try:
        tables = json.loads(run.data.tags.get(TABLES_TAG, "[]"))
        for number in numbers:
            table = {"path": f"{folder_of(number)}/{explanation_io.GLOBAL}", "type": "table"}
            if number <= TAGGED_EXPLANATIONS and table not in tables:
                tables = [*tables, table]
        value = json.dumps(tables)
    except (TypeError, ValueError):  # not written by MLflow
        return []
    is_changed = value != run.data.tags.get(TABLES_TAG)
    return [RunTag(TABLES_TAG, value)] if is_changed and len(value) <= limits.tag_length else []


def _metric_room(run: Run, limits: StoreLimits) -> tuple[int, int | None]:
    """Return the number of metric names that explanations may still add to a run.

    Returns:
        The number of all names and that of shares. It is None for shares where the server has a
        limit: the importances come first.
    """

    def count(*groups: str) -> int:
        pattern = re.compile(rf"({'|'.join(groups)})(-\d+)?/")
        return sum(bool(pattern.match(name)) for name in run.data.metrics)

    if limits.metrics is None:
        return MAX_METRICS - count(PREFIX, SHIFT), MAX_METRICS - count(SHARE)
    room = MAX_METRICS - count(PREFIX, SHIFT, SHARE)
    return min(room, limits.metrics - len(run.data.metrics)), None


def _metric_entities(metrics: Metrics, model_id: str | None) -> list[Metric]:
    milliseconds = int(datetime.now(timezone.utc).timestamp() * 1000)
    return [
        Metric(name, value, milliseconds, 0, model_id=model_id)
        for name, value in metrics.values.items()
    ]
