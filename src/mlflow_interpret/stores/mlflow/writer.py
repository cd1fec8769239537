"""Explanations written into MLflow runs, and their status kept."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import MAX_METRICS
from mlflow_interpret.report import artifacts
from mlflow_interpret.stores.mlflow.artifacts import files_in
from mlflow_interpret.stores.mlflow.connection import check_reachable
from mlflow_interpret.stores.mlflow.layout import (
    AZURE_TAGS,
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
from mlflow_interpret.stores.mlflow.metrics import PREFIX, SHIFT, Metrics, metrics_of

_AZURE_METRICS = 50
_LONGEST_TAG = 5000  # characters: the limit of older MLflow servers

# Which number an explanation gets is read from the run and then written to it.
_NUMBERING = threading.Lock()

_logger = logging.getLogger(__name__)


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
    model_id: str | None = None,
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
        model_id: The logged model that the metrics are about.
        azureml: How it is to be uploaded to Azure ML, for the status record, or None.
        drawn: A folder with the figures, where they are drawn already.
    """
    client = MlflowClient(tracking_uri)
    with _NUMBERING, tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as name:
        run = get_run(client, run_id)
        number = free_number(client, run)
        on_azure = tracking_uri.startswith("azureml://")
        room = MAX_METRICS - _metrics_taken(run)
        if on_azure:
            room = min(room, _AZURE_METRICS - len(run.data.metrics))
        metrics = metrics_of(explanation, top_k, number, room)
        status = _status(explanation, metrics, state, comment, run_id)
        if azureml is not None:
            status["azureml"] = dict(azureml)
        if on_azure:
            tags = _tags(number, explanations_of(run), state, explanation)
            fitting = _fitting(tags, run, tracking_uri)
            status["tags"] = {"left_out": [tag.key for tag in tags if tag not in fitting]}
        folder = Path(name)
        not_drawn = artifacts.write(
            explanation, folder, figures=figures, report=report, made=status, drawn=drawn
        )
        if not_drawn:
            status["not_drawn"] = not_drawn
        explanation_io.write_json(folder / STATUS, status)
        client.log_artifacts(run_id, str(folder), folder_of(number))
        now, now_held = _milliseconds(), get_run(client, run_id)
        tags = _tags(number, explanations_of(now_held), state, explanation)
        client.log_batch(
            run_id,
            metrics=[
                Metric(key, value, now, 0, model_id=model_id)
                for key, value in metrics.values.items()
            ],
            # On Azure ML a tag holds 1,000 characters, and no such table is shown.
            tags=_fitting(tags, now_held, tracking_uri)
            + ([] if on_azure else _table_tag(now_held, number)),
        )
        if f"{TAG}.reason" in run.data.tags:  # of a fit before that had nothing to explain
            client.delete_tag(run_id, f"{TAG}.reason")
    return Logged(tracking_uri, run_id, number, status)


def log_skipped(run_id: str, tracking_uri: str, reason: str, details: Mapping[str, Any]) -> Logged:
    """Write into a run that a fit was not explained, and why."""
    client = MlflowClient(tracking_uri)
    with _NUMBERING, tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as name:
        run = get_run(client, run_id)
        number = free_number(client, run)
        status = {
            "status": "skipped",
            "reason": reason,
            "run_id": run_id,
            "created": _now(),
            **details,
        }
        path = Path(name) / STATUS
        explanation_io.write_json(path, status)
        client.log_artifact(run_id, str(path), folder_of(number))
        tags = _tags(number, explanations_of(run), "skipped")
        client.log_batch(run_id, tags=_fitting(tags, run, tracking_uri))
    return Logged(tracking_uri, run_id, number, status)


def note_skipped(run_id: str, tracking_uri: str, reason: str) -> None:
    """Say in a run's tags that there is nothing to explain, unless it holds an explanation.

    It takes no number: an explanation that follows is the run's first.
    """
    check_reachable(tracking_uri)
    client = MlflowClient(tracking_uri)
    run = get_run(client, run_id)
    if count_of(client, run) == 0:
        tags = [RunTag(f"{TAG}.status", "skipped"), RunTag(f"{TAG}.reason", reason)]
        client.log_batch(run_id, tags=_fitting(tags, run, tracking_uri))


def update_status(
    logged: Logged, state: State, reason: str | None, changes: Mapping[str, Any]
) -> Logged:
    """Write a later state of an explanation: its tag and its status record.

    A store that does not overwrite artifacts, as Azure ML's, gets further records,
    ``status-2.json`` and so on; the highest number is the valid one.
    """
    client = MlflowClient(logged.tracking_uri)
    status = {**logged.status, **changes, "status": state, "reason": reason, "updated": _now()}
    tag, untagged = tag_name(logged.number, "status"), status.get("tags") or {}
    if logged.number <= TAGGED_EXPLANATIONS and tag not in untagged.get("left_out", []):
        try:
            client.set_tag(logged.run_id, tag, state)
        except MlflowException:  # a run of Azure ML that had no room for it: the record has it
            _logger.debug("The run's status could not be tagged", exc_info=True)
    run = get_run(client, logged.run_id)
    latest = latest_status(files_in(client, run, logged.folder))
    with tempfile.TemporaryDirectory(prefix="mlflow-interpret-") as name:
        path = Path(name) / status_name(max(latest, 1))
        explanation_io.write_json(path, status)
        try:
            client.log_artifact(logged.run_id, str(path), logged.folder)
        except Exception:
            later = path.with_name(status_name(max(latest, 1) + 1))
            path.rename(later)
            client.log_artifact(logged.run_id, str(later), logged.folder)
    return Logged(logged.tracking_uri, logged.run_id, logged.number, status)


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
        **explanation.details.to_json(),
        "metrics": {"features": dict(metrics.features), "left_out": metrics.left_out},
    }


def _tags(
    number: int, count: int, state: State, explanation: Explanation | None = None
) -> list[RunTag]:
    # Another process may have counted further meanwhile.
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


def _fitting(tags: list[RunTag], run: Run, tracking_uri: str) -> list[RunTag]:
    """The tags that a run has room for, the most important first: only Azure ML has a limit."""
    if not tracking_uri.startswith("azureml://"):
        return tags
    room, fitting = max(0, AZURE_TAGS - len(run.data.tags)), []
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
        added = {"path": f"{folder_of(number)}/{explanation_io.GLOBAL}", "type": "table"}
        value = json.dumps([*tables, added])
    except (TypeError, ValueError):  # somebody else's words, which are left as they are
        return []
    short = number <= TAGGED_EXPLANATIONS and len(value) <= _LONGEST_TAG
    return [RunTag(MLFLOW_LOGGED_ARTIFACTS, value)] if short else []


def _metrics_taken(run: Run) -> int:
    return sum(bool(re.match(rf"({PREFIX}|{SHIFT})(-\d+)?/", name)) for name in run.data.metrics)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _milliseconds() -> int:
    return int(datetime.now(timezone.utc).timestamp() * 1000)
