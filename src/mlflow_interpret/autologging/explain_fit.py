"""Explain the model of a training call, and log the explanation."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlflow_interpret.autologging import incremental, logged_models, outcomes
from mlflow_interpret.autologging.outcomes import Fit
from mlflow_interpret.autologging.run_context import (
    RunContext,
    active_run,
    current_run_context,
    with_autologged_run,
)
from mlflow_interpret.autologging.training_calls import FitEvent
from mlflow_interpret.core.explanation import Explanation, Plan, TrainingContext
from mlflow_interpret.core.options import Options
from mlflow_interpret.explaining.shared_budget import SharedBudget, own_budget
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.runtime.messages import warn
from mlflow_interpret.stores import mlflow as mlflow_store

if TYPE_CHECKING:
    from mlflow_interpret.runtime.progress import Report

_logger = logging.getLogger("mlflow_interpret")

_shared_budget = SharedBudget()


def after_fit(options: Options, event: FitEvent) -> None:
    """Explain and log; errors of this package are raised in MLflow's test mode only.

    Args:
        options: The options of `autolog`.
        event: The training call.
    """
    with _never_failing(options, event.name):
        if event.is_incremental and _why_unexplained(event) is None:
            _add_batch(options, event)
            return
        incremental.forget(event.model)
        logged_models.trained(event.model)
        _explain_in_run(options, event, current_run_context(event.started, event.run_before))


@contextmanager
def _never_failing(options: Options, name: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        warn(options, "Explaining was interrupted; the model is fitted and its run is complete.")
    except Exception as error:
        if _is_testing():
            raise
        warn(options, f"The fit of {name} was not explained: {error}")
        _logger.debug("Explaining failed", exc_info=True)


def _explain_in_run(options: Options, event: FitEvent, context: RunContext) -> None:
    fit = Fit(event.name, context, link=logged_models.link_to(event.model))
    if options.exclusive and context.started_by_user:
        return
    if options.background and _submit_to_background(options, event, fit):
        return
    # For this thread only and without a lock, so requests to a server may be inside.
    with suppress_warnings():
        _explain_and_log(options, event, replace(fit, context=with_autologged_run(context)))


def _add_batch(options: Options, event: FitEvent) -> None:
    """Remember a batch of ``partial_fit``, and say with the first one when it is explained."""
    from mlflow_interpret.autologging import background

    logged_models.trained(event.model)
    run_id, started_by_user = active_run()
    context = None
    if run_id is not None and not (options.exclusive and started_by_user):
        context = current_run_context(event.started, event.run_before)
    is_first = incremental.add(
        event, options.random_state, context, partial(_explain_batches, options)
    )
    if not is_first:
        return
    at_end = f"when the run ends (the latest {incremental.MAX_MODELS} models), or at once by"
    when = "by" if context is None else at_end
    reason = (
        f"{event.name} is trained by partial_fit; it is explained {when} "
        "mlflow_interpret.explain_now(model)"
    )
    fit = Fit(event.name, context or RunContext(mlflow_store.current_tracking_uri()))
    if options.background:
        background.note(options, fit, reason)
        return
    with suppress_warnings():
        outcomes.note(options, fit, reason)


def _explain_batches(options: Options, event: FitEvent, context: RunContext) -> None:
    with _never_failing(options, event.name):
        _explain_in_run(options, event, context)


def explain_at_once(options: Options, event: FitEvent) -> str | None:
    """Explain a model into the active run, or a new one, and return the id of the run.

    Args:
        options: The options of `autolog`.
        event: The model and its rows.

    Returns:
        The run; None if it could not be written and the explanation is kept on this machine.

    Raises:
        CannotExplainError: The model or its rows cannot be explained.
    """
    context, link = (
        current_run_context(event.started, event.run_before),
        logged_models.link_to(event.model),
    )
    fit = Fit(event.name, context, link=link)
    with suppress_warnings():
        return outcomes.log(options, fit, compute(options, event, fit))


def compute(options: Options, event: FitEvent, fit: Fit) -> Explanation:
    """Compute the explanation of a training call.

    Raises:
        CannotExplainError: The model or its rows cannot be explained.
    """
    from mlflow_interpret.autologging import fit_hooks
    from mlflow_interpret.explaining.explain import explain
    from mlflow_interpret.runtime.progress import progress

    context = _context(options, event, fit)
    with (
        fit_hooks.unrecorded(),
        progress("Explaining", unit="rows", silent=options.silent) as report,
    ):
        plan = _plan(options, event, report)
        if options.time_budget != "auto" or plan.time_budget is None:
            return explain(context, plan)
        own = plan.time_budget  # seconds

        def explain_within(seconds: float) -> Explanation:
            explanation = explain(context, replace(plan, time_budget=seconds))
            is_cut = seconds < own and explanation.details.stopped == "time_budget"
            return outcomes.with_shared_budget(explanation) if is_cut else explanation

        return _shared_budget.run(explain_within, own)


def _explain_and_log(options: Options, event: FitEvent, fit: Fit) -> None:
    from mlflow_interpret.core.errors import (
        CannotExplainError,
        describe_error,
        describe_unexpected,
    )

    reason = _why_unexplained(event)
    if reason is not None:
        outcomes.note(options, fit, reason)
        return
    try:
        explanation = compute(options, event, fit)
    except KeyboardInterrupt:
        outcomes.skip(options, fit, "interrupted by the user (Ctrl-C)")
    except CannotExplainError as error:
        outcomes.skip(options, fit, describe_error(error, log_data=options.log_data))
    except Exception as error:
        _logger.debug("The explainer failed", exc_info=True)
        outcomes.skip(options, fit, describe_unexpected(error, log_data=options.log_data))
    else:
        outcomes.log(options, fit, explanation)


def _submit_to_background(options: Options, event: FitEvent, fit: Fit) -> bool:
    """Write a snapshot for the background process, without a request and without computing.

    Returns:
        False if the fit must be explained at once.
    """
    from mlflow_interpret.autologging import background
    from mlflow_interpret.core.errors import CannotExplainError, describe_error
    from mlflow_interpret.explaining.explain import draw_inputs

    reason = _why_unexplained(event)
    if reason is not None:
        background.note(options, fit, reason)
        return True
    plan = _plan(options, event)
    try:
        background.check(options)
        inputs = draw_inputs(_context(options, event, fit), plan)
        background.submit(options, fit, (inputs, plan))
    except CannotExplainError as error:
        background.skip(options, fit, describe_error(error, log_data=options.log_data))
    except background.NotQueuedError as error:
        if not options.silent:
            _logger.info("%s is explained now, not in the background: %s", fit.model, error)
        return False
    return True


def _why_unexplained(event: FitEvent) -> str | None:
    """Why there is nothing to explain, as a sentence; None for a model to explain."""
    if event.is_clusterer:
        from mlflow_interpret.explaining.fitted_models import clusters_only

        return clusters_only(event.model)
    return None if event.unexplained is None else f"{event.name} {event.unexplained}"


def default_budget(fit_seconds: float) -> float | None:
    """The time budget of ``"auto"`` in seconds, for a fit that shares it with no other fit."""
    return own_budget(fit_seconds)


def _plan(options: Options, event: FitEvent, report: Report | None = None) -> Plan:
    seconds = options.time_budget
    if isinstance(seconds, str):
        seconds = default_budget(event.seconds)
    return Plan(
        max_rows=options.max_rows,
        random_state=options.random_state,
        engine=options.engine,
        n_jobs=options.n_jobs,
        time_budget=seconds,
        progress=report,
        output=options.output,
        interactions=options.n_interacting,
        is_output_optional=True,
    )


def _context(options: Options, event: FitEvent, fit: Fit) -> TrainingContext:
    _check_rows(options, event)
    rows, rows_source = _training_rows(options, event)
    notes = event.notes
    if rows_source == "evaluation_examples":
        notes += ("The training rows are not known, so evaluation_examples are the background.",)
    return TrainingContext(
        model=event.model,
        X=rows,
        rows_source=rows_source,
        y=event.y,
        sample_weight=None if event.rows_error is not None else event.sample_weight,
        evaluation_examples=options.evaluation_rows,
        evaluation_labels=options.evaluation_labels,
        initialization_examples=options.initialization_examples,
        features=options.features,
        classes=options.classes,
        feature_groups=options.feature_groups,
        are_groups_required=False,
        run_id=fit.context.run_id,
        notes=notes,
    )


def _training_rows(options: Options, event: FitEvent) -> tuple[Any, str]:
    """The training rows and their source: an option where a container of a library has none."""
    from mlflow_interpret.explaining.partitions import is_partitioned

    if event.rows_error is None:
        return event.X, "training rows"
    for name, rows in (
        ("initialization_examples", options.initialization_examples),
        ("evaluation_examples", options.evaluation_rows),
    ):
        if rows is not None and not is_partitioned(rows):
            return rows, name
    raise event.rows_error


def _check_rows(options: Options, event: FitEvent) -> None:
    from mlflow_interpret.core.errors import CannotExplainError

    rows = options.evaluation_examples, options.initialization_examples
    if event.rows_changed and any(table is None for table in rows):
        raise CannotExplainError(
            "fit changed its training rows in place, as a step with copy=False does; pass "
            "evaluation_examples and initialization_examples, or let the step copy"
        )


def _is_testing() -> bool:
    return os.environ.get("MLFLOW_AUTOLOGGING_TESTING", "").lower() in {"true", "1"}
