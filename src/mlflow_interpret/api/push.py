"""Uploads to Azure ML that failed or never ran, finished from the explanations in an MLflow run.

`rest_writer` uploads, because it looks for an existing upload first: ExplanationClient refuses file
names that an earlier upload has reserved.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.runtime.progress import progress
from mlflow_interpret.runtime.timeouts import call_with_timeout
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.azureml import (
    mirror_runs,
    rest_writer,
    sanitize,
    store,
    targets,
    upload_queue,
)
from mlflow_interpret.stores.azureml.workspace import AzureRun
from mlflow_interpret.stores.delivery import note_receipt

_COMPLETION_SECONDS = 10.0


def push(run_id: str, tracking_uri: str, options: Options) -> list[str]:
    """Upload all explanations of a run that are not in Azure ML; see `mlflow_interpret.push`.

    Args:
        run_id: The MLflow run.
        tracking_uri: The tracking URI of the run.
        options: The Azure ML run or workspace, the time for each explanation, and the number of
            explained rows to upload.
    """
    store.check_option(options.azureml)
    if not targets.is_upload_requested(options.azureml, tracking_uri):
        mlflow_store.check_reachable(tracking_uri)
        mlflow_store.records(run_id, tracking_uri)  # raises if there is no such run
        raise AzureMLError(
            f"Run {run_id} is not an Azure ML run: name the workspace to upload to, with "
            "azureml=... or, on the command line, --to WORKSPACE."
        )
    upload_queue.flush()  # the uploads of this process
    stored = mlflow_store.explanations(run_id, tracking_uri)
    find_run = partial(targets.find_run, options.azureml, tracking_uri, run_id)
    return [_push_one(logged, explanation, find_run, options) for logged, explanation in stored]


def pending(experiment: str, tracking_uri: str) -> list[str]:
    """Return the runs of an experiment with an explanation that is not known to be in Azure ML."""
    return [
        run_id
        for run_id in mlflow_store.runs_with_explanations(experiment, tracking_uri)
        if any(
            (record.get("azureml") or {}).get("state") != "uploaded"
            for record in mlflow_store.records(run_id, tracking_uri)
            if record.get("explanation_id")
        )
    ]


def _push_one(
    logged: mlflow_store.Logged,
    explanation: Explanation,
    find_run: Callable[[], AzureRun],
    options: Options,
) -> str:
    started = time.monotonic()
    run: AzureRun | None = None
    uploaded: rest_writer.UploadedExplanation | None = None
    reason: str | None = None
    try:
        run = call_with_timeout(options.upload_timeout, find_run)
        remaining = started + options.upload_timeout - time.monotonic()
        uploaded = _upload(logged, explanation, run, options, max(0.1, remaining))
        with suppress(AzureMLError):  # a run that is not completed is no reason to push again
            mirror_runs.complete(run, _COMPLETION_SECONDS)
    except AzureMLError as error:
        reason = str(error)
    except TimeoutError as error:
        reason = f"Azure ML did not return the run: {error}"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    if reason is not None:
        reason = redact(reason, None if run is None else run.workspace.token)
    seconds = round(time.monotonic() - started, 3)
    if uploaded is None:
        result = upload_queue.UploadResult(False, reason, seconds)
        with suppress(Exception):  # the reason of the upload is more important
            note_receipt(logged, {"azureml": store.receipt_of(result)})
        raise AzureMLError(
            f"The explanation of run {logged.run_id} was not uploaded to Azure ML: {reason}. Call "
            "push again when this is fixed: it goes on from here."
        )
    result = upload_queue.UploadResult(
        True, None, seconds, uploaded.explanation_id, uploaded.tagged
    )
    note_receipt(logged, {"azureml": store.receipt_of(result)})
    return uploaded.explanation_id


def _upload(
    logged: mlflow_store.Logged,
    explanation: Explanation,
    run: AzureRun,
    options: Options,
    seconds: float,
) -> rest_writer.UploadedExplanation:
    status = logged.status
    seed, points = status.get("random_state", 0), options.visualization_points
    if points is None:
        points = (status.get("azureml") or {}).get("visualization_points")
    explanation = sanitize.limit_rows(explanation, points, seed)
    with progress("Uploading to Azure ML", unit="files", silent=options.silent) as report:
        return rest_writer.write(
            explanation, run, status.get("comment"), seconds, seed, points, report
        )
