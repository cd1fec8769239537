"""The MLflow run that a fit or an explanation belongs to."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlflow_interpret.autologging import mlflow_patches
from mlflow_interpret.core.errors import RunNotFoundError
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.spool_entry import NewRun

_logger = logging.getLogger("mlflow_interpret")


@dataclass(frozen=True)
class RunContext:
    """The run and MLflow's settings at the end of a fit.

    Attributes:
        tracking_uri: The tracking URI.
        run_id: The active run, or None.
        started_by_user: The user or a launcher started the active run, not an autologger.
        last_run_id: Where no run is active, the run that ended during the fit, until the server was
            asked about it. It is the fit's run if an autologger made it, as for the inner fit of a
            class that MLflow does not know.
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


def current_run_context(started: float, run_before: str | None) -> RunContext:
    """The run context of a fit that has just returned; it asks no server.

    Args:
        started: When the fit started, in seconds since 1970.
        run_before: The run that this thread had ended last at that time, or None. Times of runs
            would not tell which run is that of the fit, because the clock may be set back.
    """
    run_id, started_by_user = active_run()
    uri = mlflow_store.current_tracking_uri()
    if run_id is not None:
        return RunContext(uri, run_id, started_by_user, started=started)
    last_run = mlflow_patches.last_run_id()
    return RunContext(
        uri,
        last_run_id=None if last_run == run_before else last_run,
        experiment_id=mlflow_patches.active_experiment_id(),
        run_name=mlflow_patches.random_run_name(),
        started=started,
    )


def with_autologged_run(context: RunContext) -> RunContext:
    """The run context with the run that an autologger made, if it did; it may ask the server.

    Where the server does not answer, the context is unchanged, and `ExplanationRun` asks again.
    """
    try:
        return resolved(context)
    except Exception:
        _logger.debug("The run that ended last could not be read", exc_info=True)
        return context


def resolved(context: RunContext) -> RunContext:
    """Return the context with an autologger's run, or without ``last_run_id``.

    Raises:
        Exception: The server does not answer.
    """
    if context.run_id is not None or context.last_run_id is None:
        return context
    from mlflow import MlflowClient

    without_run = replace(context, last_run_id=None)
    mlflow_store.check_reachable(context.tracking_uri)
    try:
        run = mlflow_store.get_run(MlflowClient(context.tracking_uri), context.last_run_id)
    except RunNotFoundError:  # it is in another store
        return without_run
    integration = run.data.tags.get("mlflow.autologging")
    if integration in {None, mlflow_store.INTEGRATION}:
        return without_run
    return replace(without_run, run_id=run.info.run_id)


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


class ExplanationRun:
    """The run of an explanation, or of a skipped fit: that of the context, or a new one.

    A new run is ended afterwards.

    Args:
        context: The run context.
        subject_id: The explanation, or the id of a fit that was skipped.
        extra_tags: The user's tags of a new run.
        is_skipped: The fit was skipped.
        is_background: This is another thread than that of the fit: MLflow's active run is not
            changed.

    Attributes:
        run_id: The run, None until it is created.
    """

    def __init__(
        self,
        context: RunContext,
        subject_id: str,
        extra_tags: Mapping[str, str] | None = None,
        *,
        is_skipped: bool = False,
        is_background: bool = False,
    ) -> None:
        self._context = context
        self._key = context.tracking_uri, subject_id
        tags_for = mlflow_store.skipped_run_tags if is_skipped else mlflow_store.new_run_tags
        self._tags = tags_for(subject_id, extra_tags)
        self._is_background = is_background
        self._experiment_id = context.experiment_id
        # With a name, the store draws none from the user's random state.
        self._name = context.run_name or mlflow_patches.random_run_name()
        self._is_active = False  # as MLflow's active run
        self.run_id = context.run_id

    def new_run(self, *, all_tags: bool) -> NewRun | None:
        """Return the new run, for another process; None where the context has a run.

        Args:
            all_tags: With the tags that MLflow adds, such as the source; some ask git.
        """
        if self._context.run_id is not None:
            return None
        tags = mlflow_store.with_mlflow_tags(self._tags) if all_tags else self._tags
        context = self._context
        started = context.started or time.time()
        return NewRun(self._experiment_id, self._name, tags, started, context.last_run_id)

    def __enter__(self) -> str:
        """Return the id of the run, which is created if the context has none."""
        self._context = resolved(self._context)
        self.run_id = self.run_id or self._context.run_id
        if self.run_id is None:
            self.run_id = self._unfinished_run() or self._create()
        return self.run_id

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End a new run."""
        if self._context.run_id is not None:
            return
        _unfinished.add(self._key)
        self._end()
        if kind is None:
            _unfinished.discard(self._key)

    def _unfinished_run(self) -> str | None:
        """Return the run of an earlier attempt of this process."""
        if self._key not in _unfinished:
            return None
        uri = self._context.tracking_uri
        self._experiment_id = self._experiment_id or mlflow_patches.default_experiment_id()
        return mlflow_store.find_new_run(uri, self._experiment_id, self._tags)

    def _create(self) -> str:
        uri = self._context.tracking_uri
        _unfinished.add(self._key)
        self._experiment_id = self._experiment_id or mlflow_patches.default_experiment_id()
        if self._is_background:
            started = self._context.started
            return mlflow_store.create_run(
                uri, self._experiment_id, self._name, self._tags, started
            )
        import mlflow

        run = mlflow.start_run(
            experiment_id=self._experiment_id, run_name=self._name, tags=self._tags
        )
        self._is_active = True
        return str(run.info.run_id)

    def _end(self) -> None:
        uri, experiment_id, run_id = (
            self._context.tracking_uri,
            str(self._experiment_id),
            str(self.run_id),
        )
        mlflow_store.delete_copies(uri, experiment_id, run_id, self._tags)
        # FINISHED: the training, which the run is about, has succeeded.
        if self._is_active:
            import mlflow

            mlflow.end_run()
        else:
            mlflow_store.end_new_run(uri, run_id)


# The explanations and skipped fits whose new run was not ended: another attempt takes the same run.
_unfinished: set[tuple[str, str]] = set()
