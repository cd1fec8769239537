"""The MLflow run that a fit or an explanation belongs to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from mlflow_interpret.runtime.isolation import preserve_random_state
from mlflow_interpret.stores import mlflow as mlflow_store

INTEGRATION = "mlflow_interpret"


@dataclass(frozen=True)
class Place:
    """Where a fit's explanation is to be logged, as MLflow's settings were when ``fit`` returned.

    Attributes:
        tracking_uri: The store.
        run_id: The run that was active, or None.
        user_made: The user started that run, or a launcher did.
        latest: Where none was active, the run that was last; it is the fit's where an autologger
            made it since ``started``, as for an inner fit of a class that MLflow does not know.
        experiment_id: Where a run is made; None for MLflow's default.
        run_name: Its name.
        started: When ``fit`` was called, in seconds since 1970.
    """

    tracking_uri: str
    run_id: str | None = None
    user_made: bool = False
    latest: str | None = None
    experiment_id: str | None = None
    run_name: str | None = None
    started: float = 0.0


def place_of(started: float) -> Place:
    """Where the explanation of a fit that has just returned belongs; asks no server.

    Args:
        started: When ``fit`` was called, in seconds since 1970.
    """
    run_id, user_made = active_run()
    uri = mlflow_store.current_tracking_uri()
    if run_id is not None:
        return Place(uri, run_id, user_made, started=started)
    from mlflow.tracking import fluent

    latest = None
    if "mlflow.sklearn" in sys.modules:
        latest = fluent._last_active_run_id.get()  # type: ignore[no-untyped-call]
    return Place(
        uri,
        latest=latest,
        experiment_id=fluent._active_experiment_id,
        run_name=_run_name(),
        started=started,
    )


def settled(place: Place) -> Place:
    """The place with its run, where an autologger has made one; it may ask the server."""
    if place.run_id is not None or place.latest is None:
        return place
    from mlflow import MlflowClient

    try:
        mlflow_store.check_reachable(place.tracking_uri)
        run = MlflowClient(place.tracking_uri).get_run(place.latest)
    except Exception:  # it was deleted, or is in another store
        return place
    made_for = run.data.tags.get("mlflow.autologging")
    if made_for in {None, INTEGRATION} or run.info.start_time < place.started * 1000 - 1:
        return place
    return replace(place, run_id=run.info.run_id)


def active_run() -> tuple[str | None, bool]:
    """The run that is active, and whether the user rather than an autologger made it."""
    import mlflow

    run = mlflow.active_run()
    if run is not None:
        return run.info.run_id, "mlflow.autologging" not in run.data.tags
    # A job's launcher names the run; mlflow.start_run() would take the variable away and end the
    # run when it leaves, so the run is used without entering it.
    named = os.environ.get("MLFLOW_RUN_ID")
    return named or None, bool(named)


@contextmanager
def run_to_log(run_id: str | None, extra_tags: Mapping[str, str] | None = None) -> Iterator[str]:
    """The run to log to; a new one, closed at the end, where there is none."""
    import mlflow

    if run_id is not None:
        yield run_id
        return
    with preserve_random_state():
        run = mlflow.start_run(tags=_tags(extra_tags))
    try:
        yield run.info.run_id
    finally:
        mlflow.end_run()  # as finished: the training, which is what the run is about, has succeeded


@contextmanager
def run_beside(place: Place, extra_tags: Mapping[str, str] | None = None) -> Iterator[str]:
    """As `run_to_log` in another thread, while MLflow's settings may have become others.

    Neither these nor the chance generator, from which MLflow draws names, are touched.
    """
    if place.run_id is not None:
        yield place.run_id
        return
    from mlflow import MlflowClient
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.tracking.fluent import _get_experiment_id

    client = MlflowClient(place.tracking_uri)
    run = client.create_run(
        place.experiment_id or _get_experiment_id() or "0",
        start_time=int(place.started * 1000),
        tags=resolve_tags(_tags(extra_tags)),
        run_name=place.run_name,
    )
    try:
        yield run.info.run_id
    finally:
        client.set_terminated(run.info.run_id)


def _tags(extra: Mapping[str, str] | None) -> dict[str, Any]:
    return {**(extra or {}), "mlflow.autologging": INTEGRATION}


def _run_name() -> str | None:
    try:
        from mlflow.utils.name_utils import _generate_random_name

        with preserve_random_state():
            name: str = _generate_random_name()  # type: ignore[no-untyped-call]
    except ImportError:
        return None
    return name
