"""Runs that this package creates for fits without a run.

Their tag with the id of the explanation, or of the skipped fit, is set when they are created: a run
whose creation got no answer is found again by it.
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
_EXPLANATION_ID = tag_name(1, "explanation_id")
_FIT_ID = tag_name(1, "fit_id")

_logger = logging.getLogger(__name__)


def new_run_tags(
    explanation_id: str, extra_tags: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the tags of a new run for an explanation, without those that MLflow adds.

    Args:
        explanation_id: The explanation.
        extra_tags: The user's tags.
    """
    return {**(extra_tags or {}), _AUTOLOGGING: INTEGRATION, _EXPLANATION_ID: explanation_id}


def skipped_run_tags(fit_id: str, extra_tags: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the tags of a new run for a fit that was skipped, without those that MLflow adds.

    Args:
        fit_id: The id of the skipped fit.
        extra_tags: The user's tags, or those of the run of the explanation that failed.
    """
    tags = {**(extra_tags or {}), _AUTOLOGGING: INTEGRATION, _FIT_ID: fit_id}
    tags.pop(_EXPLANATION_ID, None)
    return tags


def with_mlflow_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a new run with those that MLflow adds, such as the user and the source."""
    resolved: dict[str, str] = resolve_tags(dict(tags))
    return resolved


def find_new_run(tracking_uri: str, experiment_id: str, tags: Mapping[str, str]) -> str | None:
    """Return the run that was created with the ids in ``tags``, None where there is none."""
    runs = _created_with(tracking_uri, experiment_id, tags)
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
    tracking_uri: str, experiment_id: str, run_id: str, tags: Mapping[str, str]
) -> None:
    """Delete the empty runs of creations without an answer, which MLflow's client repeats."""
    if urlsplit(tracking_uri).scheme not in {"http", "https"}:
        return
    try:
        for run in _created_with(tracking_uri, experiment_id, tags):
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


def _created_with(tracking_uri: str, experiment_id: str, tags: Mapping[str, str]) -> list[Run]:
    """Return the runs that were created with the ids in ``tags``, oldest first."""
    ids = {name: tags[name] for name in (_EXPLANATION_ID, _FIT_ID) if name in tags}
    if not ids:
        return []
    conditions = {**ids, _AUTOLOGGING: INTEGRATION}
    return list(
        MlflowClient(tracking_uri).search_runs(
            [experiment_id],
            " and ".join(f"tags.`{name}` = '{value}'" for name, value in conditions.items()),
            order_by=["attributes.start_time ASC"],
        )
    )
