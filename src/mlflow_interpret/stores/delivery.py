"""An explanation goes to its sinks: the MLflow run, then Azure ML."""

from __future__ import annotations

import logging
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_interpret.autologging.baseline import compared
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.messages import warn
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.azureml import targets, token_refresh

if TYPE_CHECKING:
    from mlflow_interpret.stores.azureml.upload_queue import Result

_logger = logging.getLogger("mlflow_interpret")


def prepare(options: Options) -> None:
    """Get ready for explanations that may come after hours of training."""
    if options.azureml is not False and targets.is_job():
        token_refresh.keep()


def deliver(
    explanation: Explanation,
    run_id: str,
    tracking_uri: str,
    options: Options,
    drawn: Path | None = None,
) -> mlflow_store.Logged:
    """Write an explanation into a run and, where the run is Azure ML's, start its upload.

    Args:
        explanation: The explanation.
        run_id: An existing run.
        tracking_uri: The store that holds the run.
        options: The options.
        drawn: A folder with the figures, where they are drawn already.

    A failed upload is one warning and the status ``failed``; it raises nothing.
    """
    explanation = compared(explanation, run_id, tracking_uri, options)
    if not options.log_data:
        explanation = explanation.without_rows()
    upload = targets.wanted(options.azureml, tracking_uri)
    logged = mlflow_store.log(
        explanation,
        run_id,
        tracking_uri,
        top_k=options.top_k,
        figures=options.log_figures,
        report=options.log_report,
        state="pending" if upload else "complete",
        comment=options.comment,
        model_id=options.model_id,
        azureml={"visualization_points": options.visualization_points} if upload else None,
        drawn=drawn,
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


def _start_upload(explanation: Explanation, logged: mlflow_store.Logged, options: Options) -> None:
    from mlflow_interpret.stores.azureml import upload_queue

    upload_queue.start(
        explanation,
        partial(targets.resolve, options.azureml, logged.tracking_uri, logged.run_id),
        upload_queue.UploadOptions(
            options.comment,
            options.random_state,
            options.visualization_points,
            options.upload_timeout,
            options.silent,
        ),
        partial(_finish, logged, options),
    )


def _finish(logged: mlflow_store.Logged, options: Options, result: Result) -> None:
    if not result.ok:
        warn(
            options,
            f"The upload to Azure ML failed for run {logged.run_id}; the explanation is in the "
            f"MLflow run. Reason: {result.reason}. Finish it later with: "
            f"{_push_command(logged, options)}",
        )
    try:
        note_upload(logged, result)
    except Exception:
        warn(options, f"The status of run {logged.run_id} could not be updated.")
        _logger.debug("Updating the status failed", exc_info=True)


def _push_command(logged: mlflow_store.Logged, options: Options) -> str:
    place = options.azureml_place
    to = "" if place == "auto" else f" --to {shlex.quote(str(place))}"
    return f"mlflow-interpret push {logged.run_id}{to}"


def note_upload(logged: mlflow_store.Logged, result: Result) -> mlflow_store.Logged:
    """Write into a run how an upload ended, unless the run says so already."""
    state: mlflow_store.State = "complete" if result.ok else "failed"
    azureml: dict[str, Any] = {
        "state": "uploaded" if result.ok else "failed",
        "explanation_id": result.explanation_id,
        "reason": result.reason,
    }
    if result.ok:
        azureml["tagged"] = result.tagged
    known = logged.status.get("azureml") or {}
    if logged.status.get("status") == state and azureml.items() <= known.items():
        return logged
    azureml = {**known, **azureml, "seconds": result.seconds}
    return mlflow_store.update_status(logged, state, result.reason, {"azureml": azureml})
