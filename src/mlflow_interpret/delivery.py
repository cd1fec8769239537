"""An explanation goes to its sinks: the MLflow run, then Azure ML."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from mlflow_interpret import tracking
from mlflow_interpret.azureml import targets
from mlflow_interpret.baselines import compared
from mlflow_interpret.config import Options
from mlflow_interpret.records import Explanation

if TYPE_CHECKING:
    from mlflow_interpret.azureml.uploads import Result

_logger = logging.getLogger("mlflow_interpret")


def deliver(
    explanation: Explanation, run_id: str, tracking_uri: str, options: Options
) -> tracking.Logged:
    """Write an explanation into a run and, where the run is Azure ML's, start its upload.

    A failed upload is one warning and the status ``failed``; it raises nothing.
    """
    explanation = compared(explanation, run_id, tracking_uri, options)
    if not options.log_data:
        explanation = explanation.without_rows()
    upload = targets.wanted(options.azureml, tracking_uri)
    logged = tracking.log(
        explanation,
        run_id,
        tracking_uri,
        top_k=options.top_k,
        figures=options.log_figures,
        report=options.log_report,
        state="pending" if upload else "complete",
        comment=options.comment,
    )
    if logged.not_drawn and not options.silent:
        _logger.warning(
            "Some files of the explanation in run %s could not be drawn; its numbers are there. "
            "Draw again with mlflow_interpret.ExplanationDisplay.from_run(...). Reasons: %s",
            logged.run_id,
            "; ".join(f"{name}: {reason}" for name, reason in logged.not_drawn.items()),
        )
    if upload:
        _start_upload(explanation, logged, options)
    return logged


def _start_upload(explanation: Explanation, logged: tracking.Logged, options: Options) -> None:
    from mlflow_interpret.azureml import uploads
    from mlflow_interpret.azureml.redaction import redact

    finish = partial(_finish, logged, options.silent)
    try:
        target = targets.resolve(options.azureml, logged.tracking_uri, logged.run_id)
    except (Exception, KeyboardInterrupt) as error:
        _logger.debug("No Azure ML run was found", exc_info=True)
        finish(uploads.Result(False, redact(str(error)), 0.0))
        return
    uploads.start(
        explanation,
        target,
        comment=options.comment,
        random_state=options.random_state,
        timeout=options.upload_timeout,
        done=finish,
    )


def _finish(logged: tracking.Logged, silent: bool, result: Result) -> None:
    azureml: dict[str, Any] = {
        "state": "uploaded" if result.ok else "failed",
        "seconds": result.seconds,
        "reason": result.reason,
    }
    state: tracking.State = "complete" if result.ok else "failed"
    if not result.ok and not silent:
        _logger.warning(
            "The upload to Azure ML failed for run %s; the explanation is in the MLflow run. "
            "Reason: %s",
            logged.run_id,
            result.reason,
        )
    try:
        tracking.update_status(logged, state, result.reason, {"azureml": azureml})
    except Exception:
        _logger.warning("The status of run %s could not be updated.", logged.run_id)
        _logger.debug("Updating the status failed", exc_info=True)
