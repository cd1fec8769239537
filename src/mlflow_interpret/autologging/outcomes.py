"""What becomes of a fit's explanation: logged, kept on this machine, or skipped for a reason."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_interpret.autologging.run_context import Place, run_beside, run_to_log
from mlflow_interpret.core.details import ModelInfo, RowCounts
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.core.text import format_number, truncate
from mlflow_interpret.runtime.messages import warn

if TYPE_CHECKING:
    from mlflow_interpret.stores import spool

_logger = logging.getLogger("mlflow_interpret")


@dataclass(frozen=True)
class Fit:
    """What of a fit its outcome names; nothing of the model or its rows.

    Attributes:
        model: The class of the fitted model.
        place: Where its explanation is logged.
        beside: The training has gone on since.
    """

    model: str
    place: Place
    beside: bool = False

    def run(self, options: Options) -> AbstractContextManager[str]:
        """The run, which is made and closed where there is none."""
        if self.beside:
            return run_beside(self.place, options.extra_tags)
        return run_to_log(self.place.run_id, options.extra_tags)


def log(options: Options, fit: Fit, explanation: Explanation, drawn: Path | None = None) -> None:
    """Log an explanation to its run; where that fails, keep it on this machine.

    Args:
        options: The options.
        fit: The fit.
        explanation: Its explanation.
        drawn: A folder with the figures, where they are drawn already.
    """
    from mlflow_interpret.stores import mlflow as mlflow_store
    from mlflow_interpret.stores.delivery import deliver

    run_id, uri = fit.place.run_id, fit.place.tracking_uri
    try:
        mlflow_store.check_reachable(uri)
        with fit.run(options) as run_id:
            logged = deliver(explanation, run_id, uri, options, drawn)
    except (Exception, KeyboardInterrupt) as error:
        _logger.debug("Logging failed", exc_info=True)
        _keep(options, fit, run_id, explanation, error)
        return
    if not options.silent:
        _logger.info(_summary(fit, explanation, logged))
    breach = explanation.details.additivity_breach
    if breach is not None:
        warn(options, f"{breach} Run {logged.run_id}")


def skip(options: Options, fit: Fit, reason: str) -> None:
    """Warn that a fit was not explained, and log why."""
    from mlflow_interpret.stores import mlflow as mlflow_store

    warn(options, f"The fit of {fit.model} was not explained: {reason}")
    try:
        mlflow_store.check_reachable(fit.place.tracking_uri)
        with fit.run(options) as target:
            details = {"model": {"fitted": fit.model}, "comment": options.comment}
            mlflow_store.log_skipped(target, fit.place.tracking_uri, reason, details)
    except Exception:
        _logger.debug("The reason could not be logged", exc_info=True)


def note(options: Options, fit: Fit, reason: str) -> None:
    """Say in the run that is active why it has no explanation; none is made for that."""
    from mlflow_interpret.stores import mlflow as mlflow_store

    run_id = fit.place.run_id
    if run_id is None:
        return
    if not options.silent:
        _logger.info("The fit of %s was not explained: %s", fit.model, reason)
    try:
        mlflow_store.note_skipped(run_id, fit.place.tracking_uri, reason)
    except Exception:
        _logger.debug("The reason could not be logged", exc_info=True)


def entry_of(options: Options, fit: Fit, run_id: str | None) -> spool.Entry:
    """What the spool has to know to log an explanation later as it would be now."""
    from mlflow_interpret.stores import spool

    return spool.Entry(
        without_credentials(fit.place.tracking_uri),
        run_id,
        comment=options.comment,
        top_k=options.top_k,
        figures=options.log_figures,
        baseline=options.baseline,
        report=options.log_report,
        visualization_points=options.visualization_points,
        azureml=options.azureml_place,
    )


def options_of(entry: spool.Entry) -> Options:
    """The options that `entry_of` has taken the entry from, as far as logging needs them."""
    return Options(
        comment=entry.comment,
        top_k=entry.top_k,
        log_figures=entry.figures,
        baseline=entry.baseline,
        log_report=entry.report,
        visualization_points=entry.visualization_points,
        azureml=entry.azureml,
    )


def _keep(
    options: Options,
    fit: Fit,
    run_id: str | None,
    explanation: Explanation,
    error: BaseException,
) -> None:
    from mlflow_interpret.core.errors import one_line
    from mlflow_interpret.stores import spool

    entry = entry_of(options, fit, run_id)
    where = f"run {run_id}" if run_id else "a new run"
    failure = f"The explanation of {fit.model} could not be logged to {where}: {one_line(error)}"
    if not options.log_data:
        explanation = explanation.without_rows()
    try:
        folder = spool.keep(explanation, entry)
    except OSError as unwritable:
        warn(
            options,
            f"{failure} Nor could it be kept on this machine: {one_line(unwritable)}. Name a "
            f"folder that can be written in the environment variable {spool.VARIABLE}.",
        )
        return
    warn(options, f"{failure} It is kept in {folder}; log it later with: mlflow-interpret flush")


def _summary(fit: Fit, explanation: Explanation, logged: Any) -> str:
    details = explanation.details
    rows, model = details.rows or RowCounts(), details.model or ModelInfo()
    last = model.estimator
    name = fit.model if fit.model == last else f"{fit.model} with {last}"
    top = ", ".join(
        f"{truncate(name, 40)} {format_number(value)}" for name, value in explanation.ranked()[:3]
    )
    spent = ", the time budget was spent" if details.partial else ""
    return (
        f"Explained {name} ({explanation.method}, {details.output_scale}, "
        f"{rows.explained:,} of {rows.available:,} {str(rows.source).replace('_', ' ')}, "
        f"{details.seconds or 0.0:.1f} s{spent}): {top}. "
        f"{_moved(logged.status.get('baseline'))}Run {logged.run_id}, artifacts in {logged.folder}/"
    )


def _moved(baseline: Any) -> str:
    if not baseline:
        return ""
    spearman = baseline["spearman"]
    told = "No Spearman correlation" if spearman is None else f"Spearman {spearman:.2f}"
    return f"{told} to run {baseline['run_id'][:8]}. "
