"""Runs that this package creates for explanations without a run.

Their tag with the id of the explanation is set when they are created: a run whose creation got no
answer is found again by it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from mlflow.tracking.context.registry import resolve_tags

from mlflow_interpret.stores.mlflow.layout import get_run, tag_name

INTEGRATION = "mlflow_interpret"
"""The value of MLflow's tag ``mlflow.autologging`` of these runs."""

_AUTOLOGGING = "mlflow.autologging"

_logger = logging.getLogger(__name__)


def new_run_tags(
    explanation_id: str | None, extra_tags: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the tags of a new run, without those that MLflow adds.

    Args:
        explanation_id: The explanation, None for a fit that was skipped.
        extra_tags: The user's tags.
    """
    tags = {**(extra_tags or {}), _AUTOLOGGING: INTEGRATION}
    if explanation_id is not None:
        tags[tag_name(1, "explanation_id")] = explanation_id
    return tags


def with_mlflow_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a new run with those that MLflow adds, such as the user and the source."""
    resolved: dict[str, str] = resolve_tags(dict(tags))
    return resolved


def find_new_run(tracking_uri: str, experiment_id: str, explanation_id: str) -> str | None:
    """Return the run that was created for an explanation, None where there is none."""
    runs = _created_for(tracking_uri, experiment_id, explanation_id)
    return runs[0].info.run_id if runs else None


def create_run(
    tracking_uri: str,
    experiment_id: str,
    name: str | None,
    tags: Mapping[str, str],
    start_time: float,
) -> str:
    """Create a run and return its id.

    Args:
        tracking_uri: The tracking URI.
        experiment_id: The experiment.
        name: The name.
        tags: The tags; MLflow adds those of this process, such as the user.
        start_time: Seconds since 1970.
    """
    run = MlflowClient(tracking_uri).create_run(
        experiment_id,
        start_time=int(start_time * 1000),
        tags=with_mlflow_tags(tags),
        run_name=name,
    )
    return str(run.info.run_id)


def delete_copies(
    tracking_uri: str, experiment_id: str, run_id: str, explanation_id: str | None
) -> None:
    """Delete the empty runs of creations without an answer, which MLflow's client repeats."""
    if explanation_id is None or urlsplit(tracking_uri).scheme not in {"http", "https"}:
        return
    try:
        for run in _created_for(tracking_uri, experiment_id, explanation_id):
            if run.info.run_id != run_id and not run.data.metrics:
                MlflowClient(tracking_uri).delete_run(run.info.run_id)
    except Exception:  # the explanation is more important
        _logger.debug("Copies of run %s could not be deleted", run_id, exc_info=True)


def end_new_run(tracking_uri: str, run_id: str, end_time: float | None = None) -> None:
    """End a run that this package created, unless it has ended.

    Args:
        tracking_uri: The tracking URI.
        run_id: The run.
        end_time: Seconds since 1970. Default: now.
    """
    client = MlflowClient(tracking_uri)
    if RunStatus.from_string(get_run(client, run_id).info.status) == RunStatus.RUNNING:
        end = None if end_time is None else int(end_time * 1000)
        client.set_terminated(run_id, end_time=end)


def _created_for(tracking_uri: str, experiment_id: str, explanation_id: str) -> list[Run]:
    """Return the runs that were created for an explanation, oldest first."""
    conditions = {tag_name(1, "explanation_id"): explanation_id, _AUTOLOGGING: INTEGRATION}
    return list(
        MlflowClient(tracking_uri).search_runs(
            [experiment_id],
            " and ".join(f"tags.`{name}` = '{value}'" for name, value in conditions.items()),
            order_by=["attributes.start_time ASC"],
        )
    )
