"""Uploads to Azure ML that failed or never ran, finished from what the MLflow run holds.

It is done by our own writer, which looks first: ExplanationClient refuses what an upload before it
has reserved.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.runtime.progress import progress
from mlflow_interpret.runtime.timeouts import call_with_timeout
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.azureml import rest_writer, sanitize, targets, upload_queue
from mlflow_interpret.stores.azureml.store import receipt_of
from mlflow_interpret.stores.delivery import note_receipt

_TO_COMPLETE = 10.0  # seconds


def push(run_id: str, tracking_uri: str, options: Options) -> list[str]:
    """Bring all explanations of a run to Azure ML that are not there; see `mlflow_interpret.push`.

    Args:
        run_id: The MLflow run.
        tracking_uri: The store that holds it.
        options: The Azure ML run or workspace, how long each explanation may take, and how many of
            its rows go there.
    """
    if not targets.wanted(options.azureml, tracking_uri):
        mlflow_store.check_reachable(tracking_uri)
        mlflow_store.records(run_id, tracking_uri)  # says so where there is no such run
        raise AzureMLError(
            f"Run {run_id} is no Azure ML run: say which workspace it is to go to, with "
            "azureml=... or, on the command line, --to WORKSPACE."
        )
    upload_queue.flush()  # what this very process is about to finish
    held = mlflow_store.explanations(run_id, tracking_uri)
    find = partial(targets.resolve, options.azureml, tracking_uri, run_id)
    return [_push_one(logged, explanation, find, options) for logged, explanation in held]


def pending(experiment: str, tracking_uri: str) -> list[str]:
    """The runs of an experiment with an explanation that is not known to be in Azure ML."""
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
    find: partial[targets.Target],
    options: Options,
) -> str:
    started, seconds = time.monotonic(), options.upload_timeout
    points, seed = options.visualization_points, logged.status.get("random_state", 0)
    if points is None:
        points = (logged.status.get("azureml") or {}).get("visualization_points")
    target: targets.Target | None = None
    written, reason = None, None
    try:
        target = call_with_timeout(seconds, find)
        service = rest_writer.service_of(target)
        left = max(0.1, started + seconds - time.monotonic())
        ready = sanitize.capped(explanation, points, seed)
        comment = logged.status.get("comment")
        with progress("Uploading to Azure ML", unit="files", silent=options.silent) as report:
            written = rest_writer.write(ready, service, comment, left, seed, points, report)
        with suppress(AzureMLError):  # a run that goes on for ever is no reason to push again
            targets.complete(target, _TO_COMPLETE)
    except AzureMLError as error:
        reason = str(error)
    except TimeoutError as error:
        reason = f"Azure ML did not say which run it is: {error}"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    if reason is not None:
        reason = redact(reason, None if target is None else target.token)
    took = round(time.monotonic() - started, 3)
    if written is None:
        with suppress(Exception):  # the reason itself is what matters
            note_receipt(logged, {"azureml": receipt_of(upload_queue.Result(False, reason, took))})
        raise AzureMLError(
            f"The explanation of run {logged.run_id} did not get to Azure ML: {reason}. Call push "
            "again when that is mended: it goes on where this ended."
        )
    found = written.explanation_id
    result = upload_queue.Result(True, None, took, found, written.tagged)
    note_receipt(logged, {"azureml": receipt_of(result)})
    return found
