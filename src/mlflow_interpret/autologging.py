"""The one line: every ``fit`` is explained, and nothing of ours reaches the user's training."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from typing import Any

from mlflow_interpret.config import Options
from mlflow_interpret.hooks import FitEvent
from mlflow_interpret.quiet import BusyError, own_chance, quiet

_logger = logging.getLogger("mlflow_interpret")

INTEGRATION = "mlflow_interpret"


def autolog(
    *,
    evaluation_examples: Any = None,
    initialization_examples: Any = None,
    features: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    max_rows: int | None = None,
    engine: str = "auto",
    top_k: int = 20,
    comment: str | None = None,
    random_state: int = 0,
    azureml: Any = "auto",
    upload_timeout: float = 60.0,
    log_figures: bool = True,
    log_data: bool = True,
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
            their true labels. Default: a seeded sample of the training rows with their labels.
        initialization_examples: Background rows, ``(n_rows, n_features)``. Default: the training
            rows.
        features: Feature names, one for each column. Default: the columns' own.
        classes: Class names in the order of the model's classes. Default: the model's labels.
        max_rows: Explain at most so many rows. Default: a cap that keeps the explanation to
            seconds, by engine.
        engine: ``"auto"`` takes the fastest engine that gives right values for the model,
            ``"kernel"`` TabularExplainer's kernel explainer.
        top_k: So many features become metrics, from 1 to 30; all features are in the artifacts.
        comment: Stands in the status record and beside the explanation in Azure ML studio.
        random_state: Chooses the rows and seeds the engine.
        azureml: ``"auto"`` uploads where the process is an Azure ML job or the tracking URI is an
            ``azureml://`` one; an ``azureml.core.Run`` uploads to that run; False never uploads.
        upload_timeout: Seconds that an upload may take; it runs beside the training.
        log_figures: Log the bar chart.
        log_data: Log what belongs to single rows: the explained rows, their predictions, labels and
            contributions. False keeps all of it out of MLflow, Azure ML and the spool.
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
        top_k=top_k,
        comment=comment,
        random_state=random_state,
        azureml=azureml,
        upload_timeout=upload_timeout,
        log_figures=log_figures,
        log_data=log_data,
        disable=disable,
        exclusive=exclusive,
        silent=silent,
        disable_for_unsupported_versions=disable_for_unsupported_versions,
        extra_tags=extra_tags,
        estimators=estimators,
    )
    from mlflow_interpret import hooks

    show_messages()
    if disable:
        hooks.uninstall()
        return
    problems = unsupported_versions()
    if problems and not silent:
        _logger.warning("Not tested with these versions: %s.", ", ".join(problems))
    if problems and disable_for_unsupported_versions:
        hooks.uninstall()
        return
    hooks.install(partial(_after_fit, options), tuple(estimators or ()))


def _after_fit(options: Options, event: FitEvent) -> None:
    """Explain and log; only MLflow's test mode lets an error of ours out."""
    try:
        with quiet():
            _explain_and_log(options, event)
    except KeyboardInterrupt:
        _warn(options, "Explaining was interrupted; the model is fitted, its run complete.")
    except Exception as error:
        if _is_testing() and not isinstance(error, BusyError):
            raise
        _warn(options, f"The fit of {_name(event)} was not explained: {error}")
        _logger.debug("Explaining failed", exc_info=True)


def _explain_and_log(options: Options, event: FitEvent) -> None:
    from mlflow_interpret import hooks, tracking
    from mlflow_interpret.errors import CannotExplainError, one_line
    from mlflow_interpret.explaining import explain
    from mlflow_interpret.records import TrainingContext

    run_id, user_made = active_run(event.started)
    if options.exclusive and user_made:
        return
    if event.clusters:
        _note_clusterer(options, event, run_id)
        return
    context = TrainingContext(
        model=event.model,
        X=event.X,
        y=event.y,
        evaluation_examples=options.evaluation_rows,
        evaluation_labels=options.evaluation_labels,
        initialization_examples=options.initialization_examples,
        features=options.features,
        classes=options.classes,
        run_id=run_id,
    )
    tracking_uri = tracking.current_tracking_uri()
    try:
        _refuse_changed_rows(options, event)
        with hooks.unrecorded():
            explanation = explain(context, options.max_rows, options.random_state, options.engine)
    except KeyboardInterrupt:
        _skip(options, event, run_id, tracking_uri, "interrupted by the user (Ctrl-C)")
    except CannotExplainError as error:
        _skip(options, event, run_id, tracking_uri, str(error))
    except Exception as error:
        _logger.debug("The engine failed", exc_info=True)
        reason = f"{type(error).__name__}: {one_line(error)}"
        _skip(options, event, run_id, tracking_uri, reason)
    else:
        _log(options, event, context, tracking_uri, explanation)


def _refuse_changed_rows(options: Options, event: FitEvent) -> None:
    from mlflow_interpret.errors import CannotExplainError

    given = options.evaluation_examples is not None and options.initialization_examples is not None
    if event.changed and not given:
        raise CannotExplainError(
            "fit changed its training rows in place, as a step with copy=False does; give "
            "evaluation_examples and initialization_examples, or let the step copy"
        )


def _log(
    options: Options, event: FitEvent, context: Any, tracking_uri: str, explanation: Any
) -> None:
    from mlflow_interpret import tracking
    from mlflow_interpret.delivery import deliver

    run_id = context.run_id
    try:
        tracking.check_reachable(tracking_uri)
        with run_to_log(run_id, options.extra_tags) as run_id:
            logged = deliver(explanation, run_id, tracking_uri, options)
    except (Exception, KeyboardInterrupt) as error:
        _logger.debug("Logging failed", exc_info=True)
        _keep(options, event, explanation, tracking_uri, run_id, error)
        return
    if not options.silent:
        _logger.info(_summary(event, explanation, logged))
    breach = explanation.details.get("additivity_breach")
    if breach is not None:
        _warn(options, f"{breach} Run {logged.run_id}")


def _keep(
    options: Options,
    event: FitEvent,
    explanation: Any,
    tracking_uri: str,
    run_id: str | None,
    error: BaseException,
) -> None:
    from mlflow_interpret import spool, tracking
    from mlflow_interpret.errors import one_line

    entry = spool.Entry(
        tracking.without_credentials(tracking_uri),
        run_id,
        options.comment,
        options.top_k,
        options.log_figures,
    )
    where = f"run {run_id}" if run_id else "a new run"
    failure = f"The explanation of {_name(event)} could not be logged to {where}: {one_line(error)}"
    if not options.log_data:
        explanation = explanation.without_rows()
    try:
        folder = spool.keep(explanation, entry)
    except OSError as unwritable:
        _warn(
            options,
            f"{failure} Nor could it be kept on this machine: {one_line(unwritable)}. Name a "
            f"folder that can be written in the environment variable {spool.VARIABLE}.",
        )
        return
    _warn(
        options,
        f"{failure} It is kept in {folder}; log it later with: mlflow-interpret flush",
    )


def _note_clusterer(options: Options, event: FitEvent, run_id: str | None) -> None:
    """Say in the run that is active why it has no explanation; none is made for that."""
    from mlflow_interpret import tracking
    from mlflow_interpret.explaining.models import clusters_only

    if run_id is None:
        return
    reason = clusters_only(event.model)
    if not options.silent:
        _logger.info("The fit of %s was not explained: %s", _name(event), reason)
    try:
        tracking.note_skipped(run_id, tracking.current_tracking_uri(), reason)
    except Exception:
        _logger.debug("The reason could not be logged", exc_info=True)


def _skip(
    options: Options, event: FitEvent, run_id: str | None, tracking_uri: str, reason: str
) -> None:
    _warn(options, f"The fit of {_name(event)} was not explained: {reason}")
    _log_skipped(options, event, run_id, tracking_uri, reason)


def _log_skipped(
    options: Options, event: FitEvent, run_id: str | None, tracking_uri: str, reason: str
) -> None:
    from mlflow_interpret import tracking

    try:
        tracking.check_reachable(tracking_uri)
        with run_to_log(run_id, options.extra_tags) as target:
            details = {"model": {"fitted": _name(event)}, "comment": options.comment}
            tracking.log_skipped(target, tracking_uri, reason, details)
    except Exception:
        _logger.debug("The reason could not be logged", exc_info=True)


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


def _summary(event: FitEvent, explanation: Any, logged: Any) -> str:
    details = explanation.details
    rows, last = details["rows"], details["model"]["estimator"]
    name = _name(event) if _name(event) == last else f"{_name(event)} with {last}"
    top = ", ".join(f"{_short(name)} {value:.3g}" for name, value in explanation.ranked()[:3])
    return (
        f"Explained {name} ({explanation.method}, {details['output_scale']}, "
        f"{rows['explained']:,} of {rows['available']:,} {rows['source'].replace('_', ' ')}, "
        f"{details['seconds']:.1f} s): {top}. Run {logged.run_id}, artifacts in {logged.folder}/"
    )


def _short(name: str, limit: int = 40) -> str:
    line = " ".join(name.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _name(event: FitEvent) -> str:
    return type(event.model).__name__


def _warn(options: Options, message: str) -> None:
    if not options.silent:
        _logger.warning(message)


def _is_testing() -> bool:
    return os.environ.get("MLFLOW_AUTOLOGGING_TESTING", "").lower() in {"true", "1"}


def unsupported_versions() -> list[str]:
    """The installed packages that are outside the bounds this package declares."""
    from packaging.requirements import Requirement

    problems = []
    for line in metadata.requires("mlflow-interpret") or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} {version} (tested: {requirement.specifier})")
    return problems


class _MessageHandler(logging.Handler):
    """Writes our messages to standard error unless the user has set up logging."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        with suppress(Exception):  # no standard error, or a closed one: fit must not hear of it
            sys.stderr.write(f"{self.format(record)}\n")


def show_messages() -> None:
    """Let the one line and the warnings be seen, as MLflow does with its own."""
    if not any(isinstance(handler, _MessageHandler) for handler in _logger.handlers):
        handler = _MessageHandler()
        handler.setFormatter(
            logging.Formatter(
                "%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y/%m/%d %H:%M:%S"
            )
        )
        _logger.addHandler(handler)
    if _logger.level == logging.NOTSET:
        _logger.setLevel(logging.INFO)
