"""Outcomes of a fit: its explanation is logged, kept on this machine, or skipped with a reason."""

from __future__ import annotations

import logging
import shutil
import uuid
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_interpret.autologging.baseline import baseline_details, with_details
from mlflow_interpret.autologging.computed import Computed, ComputedHere
from mlflow_interpret.autologging.logged_models import ModelLink
from mlflow_interpret.autologging.run_context import ExplanationRun, RunContext
from mlflow_interpret.core.details import Details, ModelInfo, RowCounts, as_notes
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.core.text import format_number, truncate
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.runtime.messages import inform_once, warn, warn_first
from mlflow_interpret.stores.spool_entry import SkippedFit

if TYPE_CHECKING:
    from mlflow_interpret.stores.record import Record

_logger = logging.getLogger("mlflow_interpret")

_SHARED_BUDGET = (
    "Repeated fits share one time budget; a number of seconds as time_budget is a budget for each."
)

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

    def run(self, options: Options, subject_id: str, *, is_skipped: bool = False) -> ExplanationRun:
        """Return a context with the run, which is created and ended where there is none.

        Args:
            options: The options.
            subject_id: The explanation, or the id of a fit that was skipped.
            is_skipped: The fit was skipped.
        """
        return ExplanationRun(
            self.context,
            subject_id,
            options.extra_tags,
            is_skipped=is_skipped,
            is_background=self.is_background,
        )


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
    from mlflow_interpret.autologging import begun_logs, kept
    from mlflow_interpret.stores import mlflow as mlflow_store
    from mlflow_interpret.stores.delivery import deliver

    uri, run = fit.context.tracking_uri, fit.run(options, computed.explanation_id)
    folder: Path | None = None
    record: Record | None = None
    logged: mlflow_store.Logged | None = None
    try:
        mlflow_store.check_reachable(uri)
        folder = temporary_folders.create()
        entry = kept.entry_for(options, uri, run, fit.model)
        with begun_logs.noted(computed.explanation_id, entry) as note, run as run_id:
            details = {}
            if options.baseline is not None:
                details = baseline_details(computed.importances(), run_id, uri, options)
            read_metrics = partial(mlflow_store.read_model_metrics, run_id, uri)
            record = computed.write(folder, options, run_id, details, read_metrics)
            entry = replace(kept.entry_for(options, uri, run), created=record.created)
            note.write(entry, folder)
            logged = deliver(record, run_id, uri, options)
    except (Exception, KeyboardInterrupt) as error:
        _logger.debug("Logging failed", exc_info=True)
        is_logged = logged is not None
        attempt = kept.Attempt(fit.model, uri, run, record or computed, is_logged, fit.link)
        kept.keep(options, attempt, error)
        if folder is not None and not is_logged:
            shutil.rmtree(folder, ignore_errors=True)
        return None
    if fit.link is not None:
        fit.link.add_explanation(options, record.explanation, logged)
    kept.log_earlier(options, uri)
    if not options.silent:
        _logger.info(_summary(fit, record.explanation, logged))
    explained = record.explanation.details
    if explained.additivity_breach is not None:
        warn(options, f"{fit.model}: {explained.additivity_breach} Run {logged.run_id}")
    if explained.groups_missing is not None:
        warn(
            options,
            f"{fit.model} was explained without groups: {explained.groups_missing.rstrip('.')}. "
            f"Change feature_groups of autolog. Run {logged.run_id}",
        )
    if explained.partial_reason is not None:
        _warn_partial(options, fit, f"{explained.partial_reason} Run {logged.run_id}", explained)
    return logged.run_id


def with_shared_budget(explanation: Explanation) -> Explanation:
    """Return an explanation with the note that other fits had used up its time budget."""
    notes = (*explanation.details.notes, *as_notes([_SHARED_BUDGET]))
    return with_details(explanation, {"notes": notes})


def _warn_partial(options: Options, fit: Fit, reason: str, details: Details) -> None:
    if _SHARED_BUDGET not in (note.text for note in details.notes):
        warn(options, f"{fit.model}: {reason}")
        return
    hint = f"{_SHARED_BUDGET} Later explanations within it are information, not warnings."
    warn_first(options, _SHARED_BUDGET, f"{fit.model}: {reason}. {hint}")


def skip(options: Options, fit: Fit, reason: str) -> None:
    """Warn that a fit was not explained, and log the reason; where that fails, keep it.

    Args:
        options: The options.
        fit: The fit.
        reason: The reason.
    """
    from mlflow_interpret.autologging import begun_logs, kept
    from mlflow_interpret.stores import mlflow as mlflow_store

    uri, skipped, is_logged = fit.context.tracking_uri, SkippedFit(str(uuid.uuid4()), reason), False
    run = fit.run(options, skipped.fit_id, is_skipped=True)
    try:
        mlflow_store.check_reachable(uri)
        entry = replace(kept.entry_for(options, uri, run, fit.model), skipped=skipped)
        with begun_logs.noted(skipped.fit_id, entry), run as run_id:
            details = {"model": {"fitted": fit.model}, "comment": options.comment}
            mlflow_store.log_skipped(run_id, uri, reason, details, fit_id=skipped.fit_id)
            is_logged = True
    except (Exception, KeyboardInterrupt) as error:
        _logger.debug("The reason could not be logged", exc_info=True)
        attempt = kept.Attempt(fit.model, uri, run, skipped, is_logged)
        kept.keep(options, attempt, error)
    else:
        warn(options, f"The fit of {fit.model} was not explained: {reason}")
        kept.log_earlier(options, uri)


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
