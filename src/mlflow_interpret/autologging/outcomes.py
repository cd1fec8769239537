"""Outcomes of a fit: its explanation is logged, kept on this machine, or skipped with a reason."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlflow_interpret.autologging.baseline import baseline_details, with_details
from mlflow_interpret.autologging.logged_models import ModelLink
from mlflow_interpret.autologging.run_context import ExplanationRun, RunContext
from mlflow_interpret.core.details import ModelInfo, RowCounts
from mlflow_interpret.core.explanation import Explanation, Importances, importances_of
from mlflow_interpret.core.options import Options
from mlflow_interpret.core.text import format_number, truncate
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.runtime.messages import inform_once, warn

if TYPE_CHECKING:
    from mlflow_interpret.stores.record import Record

_logger = logging.getLogger("mlflow_interpret")

# The latest note of each run, so that a loop of fits asks the server once.
_notes: dict[tuple[str, str], str] = {}
_MAX_NOTES = 1000


@dataclass(frozen=True)
class Fit:
    """A fit, without its model and rows.

    Attributes:
        model: The class of the fitted model.
        context: The run of its explanation.
        is_background: The training has continued since.
        link: Its link to the logged models of MLflow.
    """

    model: str
    context: RunContext
    is_background: bool = False
    link: ModelLink | None = None

    def run(self, options: Options, explanation_id: str | None = None) -> ExplanationRun:
        """Return a context with the run, which is created and ended where there is none."""
        return ExplanationRun(
            self.context, explanation_id, options.extra_tags, is_background=self.is_background
        )


class Computed(Protocol):
    """An explanation that is computed and not yet written, in this process or in a worker."""

    @property
    def explanation_id(self) -> str:
        """The id of the explanation."""

    def importances(self) -> Importances:
        """Return the importances, for a comparison with a baseline."""

    def write(
        self,
        folder: Path,
        options: Options,
        run_id: str | None,
        details: Mapping[str, Any],
        read_metrics: Callable[[], Mapping[str, float]] = dict,
    ) -> Record:
        """Write the folder of the explanation.

        Args:
            folder: An empty folder.
            options: Whether rows, figures and the report are written.
            run_id: The run, shown in the report.
            details: Further details of the explanation.
            read_metrics: Reads the metrics of the run, for a report that is drawn at once.
        """


@dataclass(frozen=True, eq=False)
class ComputedHere:
    """An explanation in this process."""

    explanation: Explanation

    @property
    def explanation_id(self) -> str:
        """The id of the explanation."""
        return self.explanation.id

    def importances(self) -> Importances:
        """Return the importances."""
        return importances_of(self.explanation)

    def write(
        self,
        folder: Path,
        options: Options,
        run_id: str | None,
        details: Mapping[str, Any],
        read_metrics: Callable[[], Mapping[str, float]] = dict,
    ) -> Record:
        """Write the folder of the explanation."""
        from mlflow_interpret.stores import drawing
        from mlflow_interpret.stores.record import write_record

        explanation = with_details(self.explanation, details) if details else self.explanation
        draw_later = drawing.has_room()
        return write_record(
            explanation if options.log_data else explanation.without_rows(),
            folder,
            figures=options.log_figures,
            report=options.log_report,
            run_id=run_id,
            comment=options.comment,
            metrics={} if draw_later or not options.log_report else read_metrics(),
            draw_later=draw_later,
        )


@dataclass(frozen=True, eq=False)
class _Attempt:
    """An attempt to log an explanation.

    Attributes:
        run: The run.
        computed: The explanation.
        record: Its folder, None where it was not written.
        is_logged: The explanation is in the run, which was not ended.
    """

    run: ExplanationRun
    computed: Computed
    record: Record | None
    is_logged: bool


def log(options: Options, fit: Fit, explanation: Explanation) -> str | None:
    """Log an explanation to its run; where that fails, keep it in the spool.

    Args:
        options: The options.
        fit: The fit.
        explanation: Its explanation.

    Returns:
        The id of the run, None where it failed.
    """
    return log_computed(options, fit, ComputedHere(explanation))


def log_computed(options: Options, fit: Fit, computed: Computed) -> str | None:
    """Write an explanation and log it to its run; where that fails, keep it in the spool.

    Args:
        options: The options.
        fit: The fit.
        computed: Its explanation.

    Returns:
        The id of the run, None where it failed.
    """
    from mlflow_interpret.autologging import kept
    from mlflow_interpret.stores import mlflow as mlflow_store
    from mlflow_interpret.stores.delivery import deliver

    uri, run = fit.context.tracking_uri, fit.run(options, computed.explanation_id)
    folder = temporary_folders.create()
    record: Record | None = None
    logged: mlflow_store.Logged | None = None
    try:
        mlflow_store.check_reachable(uri)
        with run as run_id:
            details = {}
            if options.baseline is not None:
                details = baseline_details(computed.importances(), run_id, uri, options)
            read_metrics = partial(mlflow_store.read_model_metrics, run_id, uri)
            record = computed.write(folder, options, run_id, details, read_metrics)
            logged = deliver(record, run_id, uri, options)
    except (Exception, KeyboardInterrupt) as error:
        _logger.debug("Logging failed", exc_info=True)
        is_logged = logged is not None
        _keep(options, fit, _Attempt(run, computed, record, is_logged), error)
        if not is_logged:
            shutil.rmtree(folder, ignore_errors=True)
        return None
    if fit.link is not None:
        fit.link.add_explanation(options, record.explanation, logged)
    kept.log_earlier(options, uri)
    if not options.silent:
        _logger.info(_summary(fit, record.explanation, logged))
    explained = record.explanation.details
    for problem in (explained.additivity_breach, explained.partial_reason):
        if problem is not None:
            warn(options, f"{fit.model}: {problem} Run {logged.run_id}")
    return logged.run_id


def skip(options: Options, fit: Fit, reason: str) -> None:
    """Warn that a fit was not explained, and log the reason."""
    from mlflow_interpret.stores import mlflow as mlflow_store

    warn(options, f"The fit of {fit.model} was not explained: {reason}")
    try:
        mlflow_store.check_reachable(fit.context.tracking_uri)
        with fit.run(options) as run_id:
            details = {"model": {"fitted": fit.model}, "comment": options.comment}
            mlflow_store.log_skipped(run_id, fit.context.tracking_uri, reason, details)
    except Exception:
        _logger.debug("The reason could not be logged", exc_info=True)


def note(options: Options, fit: Fit, reason: str) -> None:
    """Say once in a process, and in the active run, why there is no explanation.

    No run is created for that.
    """
    from mlflow_interpret.stores import mlflow as mlflow_store

    inform_once(options, reason)
    run_id, uri = fit.context.run_id, fit.context.tracking_uri
    if run_id is None or _notes.get((run_id, uri)) == reason:
        return
    try:
        mlflow_store.note_skipped(run_id, uri, reason)
        _notes[run_id, uri] = reason
        if len(_notes) > _MAX_NOTES:
            del _notes[next(iter(_notes))]
    except Exception:
        _logger.debug("The reason could not be logged", exc_info=True)


def _keep(options: Options, fit: Fit, attempt: _Attempt, error: BaseException) -> None:
    from mlflow_interpret.autologging import kept
    from mlflow_interpret.core.errors import MlflowInterpretError, one_line
    from mlflow_interpret.stores import spool

    uri, run_id = fit.context.tracking_uri, attempt.run.run_id
    run = f"run {run_id}" if run_id else "a new run"
    problem = one_line(error.problem if isinstance(error, MlflowInterpretError) else error)
    failure = f"The explanation of {fit.model} could not be logged to {run}: {problem}"
    later = "log it later with"
    if attempt.is_logged:
        failure = f"The explanation of {fit.model} is in {run}, which could not be ended: {problem}"
        later = "end the run later with"
    try:
        folder = _kept_folder(attempt, options, uri)
    except Exception as unwritable:
        _logger.debug("The explanation could not be kept", exc_info=True)
        warn(
            options,
            f"{failure} Nor could it be kept on this machine: {one_line(unwritable)}. Name a "
            f"writable folder in the environment variable {spool.VARIABLE}.",
        )
        return
    kept.remember(uri, folder)
    warn(options, f"{failure} It is kept in {folder}; {later}: {_flush_command(error, uri)}")


def _flush_command(error: BaseException, tracking_uri: str) -> str:
    """The command that logs a kept explanation after an error."""
    from mlflow_interpret.core.errors import RunNotFoundError
    from mlflow_interpret.core.redaction import without_credentials

    command = "mlflow-interpret flush"
    if isinstance(error, RunNotFoundError):
        return f"{command} --tracking-uri URI, where URI is the store that holds the run"
    if without_credentials(tracking_uri) != tracking_uri:  # the entry lacks the password
        return f"{command} --tracking-uri URI, where URI is the whole address of the store"
    return command


def _kept_folder(attempt: _Attempt, options: Options, tracking_uri: str) -> Path:
    from mlflow_interpret.stores import spool

    run, record = attempt.run, attempt.record
    entry = spool.Entry.of(options, tracking_uri, run.run_id)
    created = None if record is None else record.created
    entry = replace(entry, new_run=run.new_run(all_tags=True), created=created)
    if record is None:  # the figures and the report are drawn when it is logged
        folder = temporary_folders.create()
        data_only = replace(options, log_figures=False, log_report=False)
        record = attempt.computed.write(folder, data_only, None, {})
    elif attempt.is_logged:  # the folder belongs to the stores
        return spool.keep(record.explanation, entry)
    return spool.keep_folder(record.folder, record.explanation.id, entry)


def _summary(fit: Fit, explanation: Explanation, logged: Any) -> str:
    details = explanation.details
    rows, estimator = details.rows or RowCounts(), (details.model or ModelInfo()).estimator
    model = fit.model if fit.model == estimator else f"{fit.model} with {estimator}"
    top = ", ".join(
        f"{truncate(name, 40)} {format_number(value)}" for name, value in explanation.ranked()[:3]
    )
    reason = f", ranking stable after {rows.explained:,} rows" if details.is_stopped_early else ""
    place = f"artifacts in {logged.folder}/"
    if logged.report is not None:
        place = f"report: {logged.report}"
    return (
        f"Explained {model} ({explanation.method}, {details.output_scale}, "
        f"{rows.explained:,} of {rows.available:,} {str(rows.source).replace('_', ' ')}{reason}, "
        f"{details.seconds or 0.0:.1f} s): {top}. "
        f"{_shift_text(logged.status.get('baseline'))}"
        f"Run {logged.run_id}, {place}"
    )


def _shift_text(baseline: Any) -> str:
    if not baseline:
        return ""
    spearman = baseline["spearman"]
    text = "No Spearman correlation" if spearman is None else f"Spearman {spearman:.2f}"
    return f"{text} to run {baseline['run_id'][:8]}. "
