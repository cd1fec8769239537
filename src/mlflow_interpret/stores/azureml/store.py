"""Azure ML as a store: uploads beside the training, and the limits of its tracking server."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.option_checks import option_error
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores.azureml import (
    diagnosis,
    mirror_runs,
    resource_ids,
    targets,
    upload_queue,
)
from mlflow_interpret.stores.azureml.token_refresh import job_token
from mlflow_interpret.stores.base import (
    Finding,
    Receipt,
    Store,
    StoreLimits,
    TargetRun,
    register_store,
)

_ALLOWED = (
    "'auto', False, a Run or a Workspace of azureml.core, an MLClient, an azureml:// URI, "
    "a workspace's resource id or the path of its config.json"
)


@register_store
class AzureMLStore(Store):
    """Model explanations of Azure ML, as studio and ExplanationClient show them."""

    name: ClassVar[str] = "azureml"
    title: ClassVar[str] = "Azure ML"
    option: ClassVar[str | None] = "azureml"
    scheme: ClassVar[str | None] = targets.SCHEME
    limits: ClassVar[StoreLimits] = StoreLimits(
        metrics=50,
        tags=mirror_runs.MAX_TAGS - 1,  # each upload sets a tag of its own
        tag_length=1000,
        overwrites=False,
        has_mlflow_pages=False,
        has_logged_models=False,
    )

    def accepts(self, options: Options, tracking_uri: str) -> bool:
        """Return whether the explanations of a run are uploaded."""
        return targets.is_upload_requested(options.azureml, tracking_uri)

    def put(
        self,
        explanation: Explanation,  # noqa: ARG002 - the worker reads the folder
        folder: Path,
        run: TargetRun,
    ) -> Receipt:
        """Start an upload in a worker process."""
        options = run.options
        upload_options = upload_queue.UploadOptions(
            options.comment,
            options.random_state,
            options.visualization_points,
            options.upload_timeout,
            options.silent,
        )
        find_run = partial(targets.find_run, options.azureml, run.tracking_uri, run.run_id)
        remedy = _push_command(run.run_id, options.azureml)
        upload_queue.start(
            folder,
            find_run,
            upload_options,
            lambda result: run.finish(receipt_of(result, remedy)),
            targets.order_key(options.azureml, run.tracking_uri, run.run_id),
        )
        return Receipt("pending")

    def check_options(self, options: Options) -> None:
        """Check the option ``azureml``.

        Raises:
            OptionError: Its value is not allowed.
        """
        check_option(options.azureml)

    def option_value(self, options: Options) -> str | bool | None:
        """Return the option ``azureml`` as text, without credentials."""
        return resource_ids.location_of(options.azureml)

    def initial_entry(self, options: Options) -> Mapping[str, Any]:
        """Return the entry of an upload that has not started."""
        return {"visualization_points": options.visualization_points}

    def prepare(self, options: Options) -> None:
        """Keep the token of this process's job valid during the training."""
        if options.azureml is not False and targets.is_job():
            job_token.start()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait for the running uploads; return whether all have ended."""
        return upload_queue.flush(timeout)

    def end_idle_workers(self) -> None:
        """End the processes that upload nothing."""
        upload_queue.end_idle_workers()

    def check_connection(self, tracking_uri: str) -> None:
        """Check that there are credentials for an ``azureml://`` tracking URI.

        Raises:
            AzureMLError: There are none.
        """
        targets.check_login(tracking_uri)

    def check(self, tracking_uri: str, location: str | None = None) -> Iterable[Finding]:
        """Examine jobs, log-ins and workspaces for ``mlflow-interpret doctor``."""
        yield from diagnosis.examine(tracking_uri, location)


def check_option(value: Any) -> None:
    """Check a value of the option ``azureml``, without importing an SDK.

    Raises:
        OptionError: It is not allowed.
    """
    if value is False or (isinstance(value, str) and value == "auto"):
        return
    if resource_ids.is_sdk_run(value) or resource_ids.is_workspace(value):
        return
    raise option_error("azureml", _ALLOWED, value)


def check_workspace(workspace: Any) -> None:
    """Check the workspace for `load_explanation`.

    Raises:
        OptionError: It is not allowed.
    """
    if not resource_ids.is_workspace(workspace):
        allowed = (
            f"a Workspace of azureml.core, an MLClient, {resource_ids.WORKSPACE_FORMS}, or None"
        )
        raise option_error("workspace", allowed, workspace)


def receipt_of(result: upload_queue.UploadResult, remedy: str | None = None) -> Receipt:
    """Return the receipt of an upload.

    Args:
        result: The result of the upload.
        remedy: The command that finishes a failed upload.
    """
    entry: dict[str, Any] = {
        "state": "uploaded" if result.ok else "failed",
        "explanation_id": result.explanation_id,
        "reason": result.reason,
    }
    if result.ok:
        return Receipt("complete", entry={**entry, "tagged": result.tagged}, seconds=result.seconds)
    return Receipt("failed", result.reason, entry, result.seconds, remedy)


def _push_command(run_id: str, option: Any) -> str:
    location = resource_ids.location_of(option)
    workspace = "" if location == "auto" else f" --to {shlex.quote(str(location))}"
    return f"mlflow-interpret push {run_id}{workspace}"
