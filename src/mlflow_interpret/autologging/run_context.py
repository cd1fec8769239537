"""The MLflow run that a fit or an explanation belongs to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from mlflow_interpret.autologging import mlflow_patches
from mlflow_interpret.stores import mlflow as mlflow_store

INTEGRATION = "mlflow_interpret"


@dataclass(frozen=True)
class RunContext:
    """The run and MLflow's settings at the end of a fit.

    Attributes:
        tracking_uri: The tracking URI.
        run_id: The active run, or None.
        started_by_user: The user or a launcher started the active run, not an autologger.
        last_run_id: Where no run is active, the run that ended last. It is the fit's run if an
            autologger made it since ``started``, as for the inner fit of a class that MLflow does
            not know.
        experiment_id: The experiment for a new run, or None for MLflow's default.
        run_name: The name for a new run.
        started: When the fit started, in seconds since 1970.
    """

    tracking_uri: str
    run_id: str | None = None
    started_by_user: bool = False
    last_run_id: str | None = None
    experiment_id: str | None = None
    run_name: str | None = None
    started: float = 0.0


def current_run_context(started: float) -> RunContext:
    """The run context of a fit that has just returned; it asks no server.

    Args:
        started: When the fit started, in seconds since 1970.
    """
    run_id, started_by_user = active_run()
    uri = mlflow_store.current_tracking_uri()
    if run_id is not None:
        return RunContext(uri, run_id, started_by_user, started=started)
    return RunContext(
        uri,
        last_run_id=mlflow_patches.last_run_id() if "mlflow.sklearn" in sys.modules else None,
        experiment_id=mlflow_patches.active_experiment_id(),
        run_name=mlflow_patches.random_run_name(),
        started=started,
    )


def with_autologged_run(context: RunContext) -> RunContext:
    """The run context with the run that an autologger made; it may ask the server."""
    if context.run_id is not None or context.last_run_id is None:
        return context
    from mlflow import MlflowClient

    try:
        mlflow_store.check_reachable(context.tracking_uri)
        run = MlflowClient(context.tracking_uri).get_run(context.last_run_id)
    except Exception:  # it was deleted, or is in another store
        return context
    integration = run.data.tags.get("mlflow.autologging")
    if integration in {None, INTEGRATION} or run.info.start_time < context.started * 1000 - 1:
        return context
    return replace(context, run_id=run.info.run_id)


def active_run() -> tuple[str | None, bool]:
    """The id of the active run, and whether the user rather than an autologger started it."""
    import mlflow

    run = mlflow.active_run()
    if run is not None:
        return run.info.run_id, "mlflow.autologging" not in run.data.tags
    # The launcher of a job names its run in the environment. mlflow.start_run() would remove the
    # variable and end the run, so the run is used without entering it.
    run_id = os.environ.get("MLFLOW_RUN_ID")
    return run_id or None, bool(run_id)


@contextmanager
def run_to_log(run_id: str | None, extra_tags: Mapping[str, str] | None = None) -> Iterator[str]:
    """The run to log to; a new one, ended afterwards, where there is none."""
    import mlflow

    if run_id is not None:
        yield run_id
        return
    # With a name, the store draws none from the user's random state.
    run = mlflow.start_run(run_name=mlflow_patches.random_run_name(), tags=_tags(extra_tags))
    try:
        yield run.info.run_id
    finally:
        mlflow.end_run()  # FINISHED: the training, which the run is about, has succeeded


@contextmanager
def run_in_background(
    context: RunContext, extra_tags: Mapping[str, str] | None = None
) -> Iterator[str]:
    """As `run_to_log`, in another thread and without MLflow's current settings."""
    if context.run_id is not None:
        yield context.run_id
        return
    from mlflow import MlflowClient
    from mlflow.tracking.context.registry import resolve_tags

    client = MlflowClient(context.tracking_uri)
    run = client.create_run(
        context.experiment_id or mlflow_patches.default_experiment_id(),
        start_time=int(context.started * 1000),
        tags=resolve_tags(_tags(extra_tags)),
        run_name=context.run_name,
    )
    try:
        yield run.info.run_id
    finally:
        client.set_terminated(run.info.run_id)


def _tags(extra_tags: Mapping[str, str] | None) -> dict[str, Any]:
    return {**(extra_tags or {}), "mlflow.autologging": INTEGRATION}
