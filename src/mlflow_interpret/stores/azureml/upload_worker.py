"""The process that uploads to Azure ML.

ExplanationClient is used where it is importable, else `rest_writer`. The client writes into the
current directory, sets an environment variable, and may hang or keep the interpreter alive, so it
runs in a process of its own, in a temporary directory, which the training process can kill.

Each line of standard input is a JSON object:

- ``run``: The Azure ML run, as a dictionary of `AzureRun`.
- ``folder``: The explanation's folder.
- ``work``: An empty folder for the client.
- ``comment``, ``random_state``, ``points``: As in `upload_queue.UploadOptions`.
- ``until``: The time at which the process ends itself, in seconds since 1970.

The answer is a line on standard output: ``ok`` and either ``explanation_id`` and ``tagged``, or
``reason``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_interpret import interpret_community
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.stores.azureml import mirror_runs, rest_writer, sanitize, sdk_internals
from mlflow_interpret.stores.azureml.workspace import AzureRun

_ANSWER_SECONDS = 1.0  # between the end of our own requests and the deadline, for the answer
_GRACE_SECONDS = 5.0  # between the deadline, when the parent kills this process, and its own end


def explanation_client() -> Any:
    """Return the class ExplanationClient, or None if it is not importable."""
    try:
        from azureml.interpret import ExplanationClient
    except Exception:  # the import fails in many ways on a Python that it was not made for
        return None
    return ExplanationClient


def upload_with_client(
    client: Any,
    explanation: Explanation,
    run: Any,
    comment: str | None,
    random_state: int,
    points: int | None = None,
) -> None:
    """Upload an explanation to an ``azureml.core.Run`` with ExplanationClient.

    The engineered view is first: the client downloads the latest explanation by default.

    Args:
        client: The class ExplanationClient.
        explanation: The explanation.
        run: The ``azureml.core.Run``.
        comment: The comment shown in studio.
        random_state: The seed of the sample of rows for studio.
        points: The most rows that studio shows. Default: 5,000.
    """
    if explanation.engineered is not None:
        upload_with_client(client, explanation.engineered, run, comment, random_state, points)
    ready = sanitize.sanitize_for_json(explanation)
    converted = interpret_community.to_interpret_community(ready)
    if ready.evaluation_rows is not None:
        rows = sanitize.table_to_json(ready.evaluation_rows)
        sdk_internals.set_evaluation_rows(converted, rows)
    labels = None if ready.true_labels is None else sanitize.array_to_json(ready.true_labels)
    np.random.seed(random_state)  # noqa: NPY002 - the client samples with the global generator
    limits = {"visualization_points": points} if points else {}
    client.from_run(run).upload_model_explanation(
        converted, comment=comment, true_ys=labels, **limits
    )


def sdk_run(run: AzureRun) -> Any:
    """Return the ``azureml.core.Run`` of an Azure ML run."""
    from azureml.core import Experiment, Run

    workspace = run.workspace
    if run.is_job:
        if workspace.token != os.environ.get("AZUREML_RUN_TOKEN"):
            os.environ["AZUREML_RUN_TOKEN"] = workspace.token
            os.environ.pop("AZUREML_RUN_TOKEN_EXPIRY", None)  # the token itself has it
        return Run.get_context(allow_offline=False)
    opened = sdk_internals.open_sdk_workspace(
        workspace.subscription, workspace.resource_group, workspace.name, workspace.token
    )
    return Run(Experiment(opened, run.experiment), run_id=run.run_id)


def carry_out(request: dict[str, Any]) -> dict[str, Any]:
    """Upload the explanation of a request; return the answer, without secrets."""
    run = AzureRun.from_dict(request["run"])
    answer: dict[str, Any]
    try:
        answer = {"ok": True, **asdict(_upload(request, run))}
    except AzureMLError as error:
        answer = {"ok": False, "reason": redact(str(error), run.workspace.token)}
    except BaseException as error:
        answer = {"ok": False, "reason": redact(error_text(error), run.workspace.token)}
    with suppress(AzureMLError):  # a run that is not completed is no reason to upload again
        mirror_runs.complete(run, max(_ANSWER_SECONDS, request["until"] - time.time()) / 2)
    return answer


def _upload(request: dict[str, Any], run: AzureRun) -> rest_writer.UploadedExplanation:
    comment, random_state, points = (
        request[name] for name in ("comment", "random_state", "points")
    )
    explanation = explanation_io.read(Path(request["folder"]))
    explanation = sanitize.limit_rows(explanation, points, random_state)
    client = explanation_client()
    client_run = None if client is None else sdk_run(run)
    # The client fails, between two views, if there is no room for its tag.
    if client_run is not None and mirror_runs.has_room_for_tag(client_run.get_tags()):
        upload_with_client(client, explanation, client_run, comment, random_state, points)
        return rest_writer.UploadedExplanation(explanation.id, tagged=True)
    seconds = max(_ANSWER_SECONDS, request["until"] - time.time() - _ANSWER_SECONDS)
    return rest_writer.write(explanation, run, comment, seconds, random_state, points)


def error_text(error: BaseException) -> str:
    """Return the type and the text of an error."""
    try:
        text = str(error)
    except Exception:  # raised by the SDK's error for a response without details
        text = str(getattr(error, "message", "it has no text"))
    return f"{type(error).__name__}: {text}"


def main() -> None:
    """Answer each request on standard input with a line on standard output."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the SDK prints
    home = Path.cwd()
    for line in sys.stdin:
        request = json.loads(line)
        # If the training process is killed, no other process ends this one.
        watchdog = threading.Timer(request["until"] - time.time() + _GRACE_SECONDS, os._exit, (1,))
        watchdog.daemon = True
        watchdog.start()
        os.chdir(request["work"])
        answer = carry_out(request)
        os.chdir(home)
        watchdog.cancel()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # threads of the SDK would keep the interpreter alive


if __name__ == "__main__":
    main()
