"""Write explanations and their status into MLflow runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, RunTag
from mlflow.exceptions import MlflowException

from mlflow_interpret.core import json_files
from mlflow_interpret.core.options import METRICS
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.stores.base import limits_of
from mlflow_interpret.stores.mlflow import run_page
from mlflow_interpret.stores.mlflow.artifacts import list_files, upload
from mlflow_interpret.stores.mlflow.batch import log_batch, metric_entities, metric_room
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
    get_run,
    latest_status,
    status_name,
    tag_name,
)
from mlflow_interpret.stores.mlflow.metrics import Metrics, metrics_of
from mlflow_interpret.stores.mlflow.numbers import RunNumbers
from mlflow_interpret.stores.mlflow.places import find_place, find_skipped, free_place
from mlflow_interpret.stores.mlflow.tags import explanation_tags, fitting_tags, table_tags
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

    Each step can be repeated: an explanation that the run holds, or a part of it, is completed in
    its place.

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
    place = find_place(client, run, explanation.id, _numbers.ids(tracking_uri, run_id))
    with _numbers.reserved(tracking_uri, run_id, place, explanation.id) as number:
        room = metric_room(run, place, limits)
        metrics = metrics_of(explanation, top_k, number, room, kinds)
        status = _status(record, metrics, state, comment, run_id)
        status.update({name: dict(entry) for name, entry in (entries or {}).items()})
        if limits.tags is not None:
            tags = explanation_tags(number, explanations_of(run), state, explanation)
            fitting = fitting_tags(tags, run, limits)
            status["tags"] = {"left_out": [tag.key for tag in tags if tag not in fitting]}
        if record.not_drawn:
            status["not_drawn"] = dict(record.not_drawn)
        json_files.write_json(record.folder / STATUS, status)
        is_partial = place.is_begun and not limits.overwrites
        upload(client, run, record.folder, folder_of(number), only_missing=is_partial)
        _numbers.mark_stored(tracking_uri, run_id, number, explained=True)

        def tags_for(run: Run, count: int, tables: list[int]) -> list[RunTag]:
            tags = explanation_tags(number, count, state, explanation)
            if description:
                tags += run_page.description_tags(run, record, folder_of(number), limits)
            tags = fitting_tags(tags, run, limits)
            return tags + (table_tags(run, tables, limits) if limits.has_mlflow_pages else [])

        entities = metric_entities(metrics.values, record.created, model_id)
        stored_numbers = partial(_numbers.stored, tracking_uri, run_id)
        log_batch(client, run_id, entities, tags_for, stored_numbers)
        if f"{TAG}.reason" in run.data.tags:  # of an earlier fit that had nothing to explain
            client.delete_tag(run_id, f"{TAG}.reason")
    report = None
    if record.has_report:
        report = run_page.report_address(run, tracking_uri, folder_of(number), limits)
    return Logged(tracking_uri, run_id, number, status, metrics.values, report)


def log_skipped(
    run_id: str,
    tracking_uri: str,
    reason: str,
    details: Mapping[str, Any],
    *,
    fit_id: str | None = None,
    is_repeated: bool = False,
) -> Logged:
    """Write into a run that a fit was not explained.

    Args:
        run_id: An existing run.
        tracking_uri: The tracking URI.
        reason: The reason.
        details: Further keys of the status record.
        fit_id: The id of the fit, by which another attempt finds its place.
        is_repeated: An earlier attempt failed.
    """
    client, limits = MlflowClient(tracking_uri), limits_of(tracking_uri)
    run = get_run(client, run_id)
    is_found_by_id = is_repeated and fit_id is not None
    place = find_skipped(client, run, str(fit_id)) if is_found_by_id else free_place(client, run)
    with (
        _numbers.reserved(tracking_uri, run_id, place) as number,
        temporary_folders.temporary() as folder,
    ):
        status = {
            "status": "skipped",
            "reason": reason,
            "run_id": run_id,
            "fit_id": fit_id,
            "created": now(),
            **details,
        }
        path = Path(folder) / STATUS
        json_files.write_json(path, status)
        if limits.overwrites or not place.is_begun:
            client.log_artifact(run_id, str(path), folder_of(number))
        _numbers.mark_stored(tracking_uri, run_id, number, explained=False)

        def tags_for(run: Run, count: int, _: list[int]) -> list[RunTag]:
            return fitting_tags(explanation_tags(number, count, "skipped"), run, limits)

        log_batch(client, run_id, [], tags_for, partial(_numbers.stored, tracking_uri, run_id))
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
        client.log_batch(run_id, tags=fitting_tags(tags, run, limits_of(tracking_uri)))


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
    has_tag = logged.number <= TAGGED_EXPLANATIONS and tag not in untagged.get("left_out", [])
    if has_tag and state != logged.status.get("status"):
        try:
            client.set_tag(logged.run_id, tag, state)
        except MlflowException:  # no room for the tag; the record has the state
            _logger.debug("The run's status could not be tagged", exc_info=True)
    run = get_run(client, logged.run_id)
    latest = latest_status(list_files(client, run, logged.folder))
    version = max(latest, 1) if limits.overwrites else latest + 1
    with temporary_folders.temporary() as folder:
        path = Path(folder) / status_name(version)
        json_files.write_json(path, status)
        client.log_artifact(logged.run_id, str(path), logged.folder)
    return replace(logged, status=status)


def add_files(logged: Logged, folder: Path) -> None:
    """Add files to the artifacts of an explanation.

    Raises:
        RunNotFoundError: The run does not exist.
    """
    client, limits = MlflowClient(logged.tracking_uri), limits_of(logged.tracking_uri)
    run = get_run(client, logged.run_id)
    upload(client, run, folder, logged.folder, only_missing=not limits.overwrites)


def _status(
    record: Record, metrics: Metrics, state: State, comment: str | None, run_id: str
) -> dict[str, Any]:
    explanation = record.explanation
    of_groups: dict[str, Any] = {}
    if explanation.groups is not None:
        of_groups = {
            "groups": dict(metrics.groups),
            "group_shares": dict(metrics.group_shares),
            "groups_left_out": metrics.groups_left_out,
        }
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
            **of_groups,
        },
    }
