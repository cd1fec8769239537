"""The tags of explanations, within the limits of the server."""

from __future__ import annotations

import json

from mlflow.entities import Run, RunTag

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores.base import StoreLimits
from mlflow_interpret.stores.mlflow.layout import (
    TAG,
    TAGGED_EXPLANATIONS,
    State,
    folder_of,
    tag_name,
)
from mlflow_interpret.stores.mlflow.mlflow_internals import TABLES_TAG


def explanation_tags(
    number: int, count: int, state: State, explanation: Explanation | None = None
) -> list[RunTag]:
    """Return the tags of a run's ``number``-th explanation and of the count of explanations."""
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


def fitting_tags(tags: list[RunTag], run: Run, limits: StoreLimits) -> list[RunTag]:
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


def table_tags(run: Run, numbers: list[int], limits: StoreLimits) -> list[RunTag]:
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
