"""Azure ML as a store: explanations are uploaded beside the training."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores.azureml import targets, token_refresh
from mlflow_interpret.stores.azureml.resource_ids import place_of
from mlflow_interpret.stores.base import (
    Receipt,
    Store,
    StoreLimits,
    TargetRun,
    register_store,
)


@register_store
class AzureMLStore(Store):
    """Azure ML."""

    name = "azureml"
    title = "Azure ML"
    option = "azureml"
    scheme = "azureml"
    # A run has 50 tags, of which one is for the tag that an upload sets.
    limits = StoreLimits(metrics=50, tags=49, tag_length=1000, overwrites=False, shows_tables=False)

    def accepts(self, options: Options, tracking_uri: str) -> bool:
        """Return whether the run is uploaded, by the option, the process and the tracking URI."""
        return targets.wanted(options.azureml, tracking_uri)

    def put(self, explanation: Explanation, folder: Path, run: TargetRun) -> Receipt:  # noqa: ARG002
        """Start an upload in a process of its own."""
        from mlflow_interpret.stores.azureml import upload_queue

        options = run.options
        upload_queue.start(
            folder,
            partial(targets.resolve, options.azureml, run.tracking_uri, run.run_id),
            upload_queue.UploadOptions(
                options.comment,
                options.random_state,
                options.visualization_points,
                options.upload_timeout,
                options.silent,
            ),
            lambda result: run.finish(receipt_of(result, push_command(run.run_id, options))),
        )
        return Receipt("pending")

    def option_value(self, options: Options) -> str | bool | None:
        """Return the place that the option names, as text."""
        return place_of(options.azureml)

    def initial_entry(self, options: Options) -> Mapping[str, Any]:
        """Return how many explained rows are uploaded."""
        return {"visualization_points": options.visualization_points}

    def prepare(self, options: Options) -> None:
        """Keep the token of a job alive."""
        if options.azureml is not False and targets.is_job():
            token_refresh.keep()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait for the uploads."""
        from mlflow_interpret.stores.azureml import upload_queue

        return upload_queue.flush(timeout)

    def check_connection(self, tracking_uri: str) -> None:
        """Check the credentials: MLflow's plug-in would open a browser without any."""
        targets.check_login(tracking_uri)


def receipt_of(result: Any, remedy: str | None = None) -> Receipt:
    """Return the receipt for the result of an upload."""
    entry = {
        "state": "uploaded" if result.ok else "failed",
        "explanation_id": result.explanation_id,
        "reason": result.reason,
    }
    if result.ok:
        entry["tagged"] = result.tagged
    state = "complete" if result.ok else "failed"
    return Receipt(state, result.reason, entry, result.seconds, remedy)  # type: ignore[arg-type]


def push_command(run_id: str, options: Options) -> str:
    """Return the command that finishes an upload."""
    location = place_of(options.azureml)
    to = "" if location == "auto" else f" --to {shlex.quote(str(location))}"
    return f"mlflow-interpret push {run_id}{to}"
