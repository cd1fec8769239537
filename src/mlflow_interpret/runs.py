"""The MLflow run that a fit or an explanation belongs to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlflow_interpret.quiet import own_chance

INTEGRATION = "mlflow_interpret"


def active_run(since: float | None = None) -> tuple[str | None, bool]:
    """The run that a fit belongs to, and whether the user rather than an autologger made it.

    Args:
        since: When the fit began. A run that MLflow made and closed since then, as for an inner fit
            of a class that it does not know, is the fit's.
    """
    import mlflow

    run = mlflow.active_run()
    if run is not None:
        return run.info.run_id, "mlflow.autologging" not in run.data.tags
    # A job's launcher names the run; mlflow.start_run() would take the variable away and end the
    # run when it leaves, so the run is used without entering it.
    named = os.environ.get("MLFLOW_RUN_ID")
    if named:
        return named, True
    last = _last_run() if since is not None else None
    if last is not None and since is not None and last.info.start_time >= since * 1000 - 1:
        return last.info.run_id, False
    return None, True


def _last_run() -> Any:
    import mlflow

    from mlflow_interpret import tracking

    if "mlflow.sklearn" not in sys.modules:
        return None
    try:
        tracking.check_reachable(tracking.current_tracking_uri())
        run = mlflow.last_active_run()
    except Exception:  # it was deleted, or is in a store that is no longer the current one
        return None
    made_for = None if run is None else run.data.tags.get("mlflow.autologging")
    return run if made_for not in {None, INTEGRATION} else None


@contextmanager
def run_to_log(run_id: str | None, extra_tags: Mapping[str, str] | None = None) -> Iterator[str]:
    """The run to log to; a new one, closed at the end, where there is none."""
    import mlflow

    if run_id is not None:
        yield run_id
        return
    tags = {**(extra_tags or {}), "mlflow.autologging": INTEGRATION}
    with own_chance():
        run = mlflow.start_run(tags=tags)
    try:
        yield run.info.run_id
    finally:
        mlflow.end_run()  # as finished: the training, which is what the run is about, has succeeded
