"""The one line: every ``fit`` is explained, and nothing of ours reaches the user's training."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlflow_interpret.autologging import outcomes
from mlflow_interpret.autologging.fit_hooks import FitEvent
from mlflow_interpret.autologging.outcomes import Fit
from mlflow_interpret.autologging.run_context import place_of, settled
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.runtime.messages import show_messages, warn
from mlflow_interpret.runtime.versions import unsupported_versions

if TYPE_CHECKING:
    from mlflow_interpret.runtime.progress import Report

_logger = logging.getLogger("mlflow_interpret")

_SHARE_OF_FIT = 0.1
_SHORTEST_BUDGET = 5.0
_LONGEST_BUDGET = 60.0


def autolog(
    *,
    evaluation_examples: Any = None,
    initialization_examples: Any = None,
    features: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    max_rows: int | None = None,
    engine: str = "auto",
    n_jobs: int | None = None,
    time_budget: float | str | None = "auto",
    top_k: int = 20,
    baseline: str | None = None,
    comment: str | None = None,
    random_state: int = 0,
    azureml: Any = "auto",
    upload_timeout: float = 60.0,
    visualization_points: int | None = None,
    log_figures: bool = True,
    log_report: bool = True,
    log_data: bool = True,
    background: bool = False,
    disable: bool = False,
    exclusive: bool = False,
    silent: bool = False,
    disable_for_unsupported_versions: bool = False,
    extra_tags: Mapping[str, str] | None = None,
    estimators: Sequence[type] | None = None,
) -> None:
    """Explain each model right after its ``fit`` and log the explanation to the MLflow run.

    After the outermost ``fit`` of a classifier, regressor, outlier detector, pipeline or search of
    scikit-learn or of a package that follows it, or of a CatBoost model, a global explanation is
    computed, mirrored into the active MLflow run (or one that is made and closed for it) and,
    where that run is Azure ML's, uploaded with ExplanationClient. ``fit`` itself behaves as if
    nothing of this happened. Calling `autolog` again replaces the options.

    Args:
        evaluation_examples: Rows to explain, ``(n_rows, n_features)``, or ``(rows, labels)`` with
            their true labels; or a Dask DataFrame, a Parquet dataset (`pyarrow.dataset.Dataset`) or
            its path, whose rows are all explained where they lie. Default: a seeded sample of the
            training rows with their labels.
        initialization_examples: Background rows, ``(n_rows, n_features)``. Default: the training
            rows.
        features: Feature names, one for each column. Default: the columns' own.
        classes: Class names in the order of the model's classes. Default: the model's labels.
        max_rows: Explain at most so many rows; fewer where the ranking of the leading features is
            settled before. Default: a ceiling that keeps the explanation to seconds, by engine.
        engine: ``"auto"`` takes the fastest engine that gives right values for the model,
            ``"kernel"`` TabularExplainer's kernel explainer, ``"tabular"`` the one that
            TabularExplainer itself takes: shap's for trees and linear models, else kernel.
        n_jobs: Explain so many blocks of rows at once, by joblib, as in scikit-learn. Default: all
            cores where the work is worth it, or as ``joblib.parallel_config`` says.
        time_budget: Seconds that explaining may take. What is known by then is logged, marked as
            partial, with its error bars. ``"auto"`` is 10 % of what ``fit`` took, at least 5 and at
            most 60 seconds; None is no limit.
        top_k: So many features become metrics, from 1 to 30; all features are in the artifacts.
        baseline: Log how the ranking moved against that of this run: a run id, a model version
            (``"models:/name/1"``, ``"models:/name@alias"``), or ``"latest"``, the latest finished
            run of the experiment with an explanation, of the same class of model where the last ten
            have one. One that cannot be read is a warning.
        comment: Stands in the status record and beside the explanation in Azure ML studio.
        random_state: Chooses the rows and seeds the engine.
        azureml: ``"auto"`` uploads where the process is an Azure ML job or the tracking URI is an
            ``azureml://`` one; an ``azureml.core.Run`` uploads to that run. An
            ``azureml.core.Workspace``, an ``azure.ai.ml.MLClient``, an ``azureml://`` URI, a
            workspace's resource id or the path of its ``config.json`` uploads to that workspace:
            a run is made there for each MLflow run, and each names the other in a tag. False
            never uploads.
        upload_timeout: Seconds that an upload may take; it runs beside the training. What is cut
            off is finished by `push`.
        visualization_points: Upload the rows and contributions of at most so many explained rows to
            Azure ML, from 0, which leaves them out, to 20,000. Default: all contributions, and as
            many rows as studio shows, 5,000. The MLflow run holds all of them.
        log_figures: Log the figures: importances, values by row, importances by class.
        log_report: Log the HTML report.
        log_data: Log what belongs to single rows: the explained rows, their predictions, labels and
            contributions. False keeps all of it out of MLflow, Azure ML and the spool.
        background: Explain in another process while the training goes on: ``fit`` returns at once,
            the model is explained as it was then, and `flush` or the end of the process waits.
        disable: Undo `autolog`.
        exclusive: Leave runs alone that the user started.
        silent: Print nothing: neither the line that says what was logged, nor warnings.
        disable_for_unsupported_versions: Do nothing where an installed package is not of a
            version that this package was tested with.
        extra_tags: Tags for the runs that are made for a fit.
        estimators: Further classes with ``fit`` and ``predict`` whose models, and those of their
            subclasses, are explained though they are no scikit-learn estimators.

    Raises:
        OptionError: An argument is not allowed; the message names it and what is allowed.
    """
    options = Options(
        evaluation_examples=evaluation_examples,
        initialization_examples=initialization_examples,
        features=features,
        classes=classes,
        max_rows=max_rows,
        engine=engine,
        n_jobs=n_jobs,
        time_budget=time_budget,
        top_k=top_k,
        baseline=baseline,
        comment=comment,
        random_state=random_state,
        azureml=azureml,
        upload_timeout=upload_timeout,
        visualization_points=visualization_points,
        log_figures=log_figures,
        log_report=log_report,
        log_data=log_data,
        background=background,
        disable=disable,
        exclusive=exclusive,
        silent=silent,
        disable_for_unsupported_versions=disable_for_unsupported_versions,
        extra_tags=extra_tags,
        estimators=estimators,
    )
    from mlflow_interpret.autologging import fit_hooks
    from mlflow_interpret.stores import delivery

    delivery.check_options(options)
    show_messages()
    if disable:
        fit_hooks.uninstall()
        return
    problems = unsupported_versions()
    if problems and not silent:
        _logger.warning("Not tested with these versions: %s.", ", ".join(problems))
    if problems and disable_for_unsupported_versions:
        fit_hooks.uninstall()
        return
    if background:
        _prepare()
    delivery.prepare(options)
    fit_hooks.install(partial(_after_fit, options), tuple(estimators or ()))


def _prepare() -> None:
    """Import now what the first fit would wait for."""
    from mlflow_interpret.autologging import background  # noqa: F401
    from mlflow_interpret.explaining import explain  # noqa: F401


def _after_fit(options: Options, event: FitEvent) -> None:
    """Explain and log; only MLflow's test mode lets an error of ours out."""
    try:
        fit = Fit(type(event.model).__name__, place_of(event.started))
        if options.exclusive and fit.place.user_made:
            return
        if options.background and _queued(options, event, fit):
            return
        # Warnings of this thread only, and without a lock: it may span requests to a server.
        with suppress_warnings():
            _explain_and_log(options, event, replace(fit, place=settled(fit.place)))
    except KeyboardInterrupt:
        warn(options, "Explaining was interrupted; the model is fitted, its run complete.")
    except Exception as error:
        if _is_testing():
            raise
        warn(options, f"The fit of {type(event.model).__name__} was not explained: {error}")
        _logger.debug("Explaining failed", exc_info=True)


def _explain_and_log(options: Options, event: FitEvent, fit: Fit) -> None:
    from mlflow_interpret.autologging import fit_hooks
    from mlflow_interpret.core.errors import (
        CannotExplainError,
        describe_error,
        describe_unexpected,
    )
    from mlflow_interpret.explaining.explain import explain
    from mlflow_interpret.explaining.model_adapter import clusters_only
    from mlflow_interpret.runtime.progress import progress

    if event.clusters:
        outcomes.note(options, fit, clusters_only(event.model))
        return
    try:
        context = _context(options, event, fit)
        with (
            fit_hooks.unrecorded(),
            progress("Explaining", unit="rows", silent=options.silent) as report,
        ):
            explanation = explain(context, _plan(options, event, report))
    except KeyboardInterrupt:
        outcomes.skip(options, fit, "interrupted by the user (Ctrl-C)")
    except CannotExplainError as error:
        outcomes.skip(options, fit, describe_error(error, log_data=options.log_data))
    except Exception as error:
        _logger.debug("The explainer failed", exc_info=True)
        outcomes.skip(options, fit, describe_unexpected(error, log_data=options.log_data))
    else:
        outcomes.log(options, fit, explanation)


def _queued(options: Options, event: FitEvent, fit: Fit) -> bool:
    """Whether what is left to do for a fit is done while the training goes on.

    Here nobody is asked and nothing computed: a snapshot is written, and that is all.
    """
    from mlflow_interpret.autologging import background
    from mlflow_interpret.core.errors import CannotExplainError, describe_error
    from mlflow_interpret.explaining.explain import draw_inputs
    from mlflow_interpret.explaining.model_adapter import clusters_only

    if event.clusters:
        background.note(options, fit, clusters_only(event.model))
        return True
    plan = _plan(options, event)
    try:
        background.check(options)
        subject = draw_inputs(_context(options, event, fit), plan)
        background.submit(options, fit, (subject, plan))
    except CannotExplainError as error:
        background.skip(options, fit, describe_error(error, log_data=options.log_data))
    except background.NotQueuedError as error:
        if not options.silent:
            _logger.info("%s is explained at once, not in the background: %s", fit.model, error)
        return False
    return True


def default_budget(fit_seconds: float) -> float | None:
    """Seconds of explaining that a training of ``fit_seconds`` hardly feels."""
    return min(max(_SHARE_OF_FIT * fit_seconds, _SHORTEST_BUDGET), _LONGEST_BUDGET)


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
    )


def _context(options: Options, event: FitEvent, fit: Fit) -> TrainingContext:
    _refuse_changed_rows(options, event)
    return TrainingContext(
        model=event.model,
        X=event.X,
        y=event.y,
        evaluation_examples=options.evaluation_rows,
        evaluation_labels=options.evaluation_labels,
        initialization_examples=options.initialization_examples,
        features=options.features,
        classes=options.classes,
        run_id=fit.place.run_id,
    )


def _refuse_changed_rows(options: Options, event: FitEvent) -> None:
    from mlflow_interpret.core.errors import CannotExplainError

    given = options.evaluation_examples is not None and options.initialization_examples is not None
    if event.changed and not given:
        raise CannotExplainError(
            "fit changed its training rows in place, as a step with copy=False does; give "
            "evaluation_examples and initialization_examples, or let the step copy"
        )


def _is_testing() -> bool:
    return os.environ.get("MLFLOW_AUTOLOGGING_TESTING", "").lower() in {"true", "1"}
