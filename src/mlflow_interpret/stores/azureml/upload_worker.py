"""The process that uploads to Azure ML.

Where ExplanationClient can be imported it is used, else our own writer. The client writes into
the current directory, sets an environment variable, and may hang or keep the interpreter alive.
So it runs in a process of its own, in a temporary directory, which the training process can end at
any time.

Standard input holds one JSON object with ``target``, ``folder``, ``comment``, ``random_state``,
``points``, how many explained rows are uploaded, ``until``, the time by which it has to be done,
and ``seconds``, after which the process ends itself. The last line of standard output is one JSON
object with ``ok`` and ``explanation_id`` with ``tagged``, or ``reason``.
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
from mlflow_interpret.stores.azureml import mirror_runs, rest_writer, sanitize, targets
from mlflow_interpret.stores.azureml.targets import Target

_TO_ANSWER = 1.0  # seconds before the end at which our writer gives up, so that it can say why


def explanation_client() -> Any:
    """The class ExplanationClient, or None where it cannot be imported."""
    try:
        from azureml.interpret import ExplanationClient
    except Exception:  # on a Python it was not made for, the import fails in many ways
        return None
    return ExplanationClient


def upload(
    client: Any,
    explanation: Explanation,
    run: Any,
    comment: str | None,
    random_state: int,
    points: int | None = None,
) -> None:
    """Upload an explanation to an ``azureml.core.Run`` with ExplanationClient.

    The engineered view goes first: the client downloads the latest explanation unless asked for
    another.
    """
    if explanation.engineered is not None:
        upload(client, explanation.engineered, run, comment, random_state, points)
    ready = sanitize.sanitize_for_json(explanation)
    subject = interpret_community.to_interpret_community(ready)
    if ready.evaluation_rows is not None:
        subject._eval_data = sanitize.cells(ready.evaluation_rows)
    labels = None if ready.true_labels is None else sanitize.plain(ready.true_labels)
    np.random.seed(random_state)  # noqa: NPY002 - what the client samples with
    shown = {"visualization_points": points} if points else {}
    client.from_run(run).upload_model_explanation(subject, comment=comment, true_ys=labels, **shown)


def find_run(target: Target) -> Any:
    """The ``azureml.core.Run`` of a target."""
    from azureml.core import Experiment, Run, Workspace

    if target.kind == "job":
        if target.token is not None:
            os.environ["AZUREML_RUN_TOKEN"] = target.token
            os.environ.pop("AZUREML_RUN_TOKEN_EXPIRY", None)  # the token says it itself
        return Run.get_context(allow_offline=False)
    workspace = Workspace(
        target.subscription,
        target.resource_group,
        target.workspace,
        auth=_token_authentication(target.token),
        _disable_service_check=False,
    )
    return Run(Experiment(workspace, target.experiment), run_id=target.run_id)


def _token_authentication(token: str | None) -> Any:
    from azureml.core.authentication import AbstractAuthentication

    class TokenAuthentication(AbstractAuthentication):  # type: ignore[misc]
        """Hands out the one token that the training process has."""

        def _get_arm_token(self) -> Any:
            return token

        def _check_if_subscription_exists(self, *_: Any) -> bool:
            return True  # the token opens what it opens; the service says so, not a list

        def _get_all_subscription_ids(self) -> Any:
            return [], None

        def _get_workspace(self, *_: Any) -> None:
            return None

    return TokenAuthentication()


def carry_out(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks for; the answer says how it ended, without secrets."""
    target = Target(**request["target"])
    answer: dict[str, Any]
    try:
        explanation = explanation_io.read(Path(request["folder"]))
        comment, random_state, points = (
            request[name] for name in ("comment", "random_state", "points")
        )
        explanation = sanitize.capped(explanation, points, random_state)
        client = explanation_client()
        run = None if client is None else find_run(target)
        # The client fails at the tag where there is no room for it, between two views.
        if run is not None and mirror_runs.has_room(run.get_tags()):
            upload(client, explanation, run, comment, random_state, points)
            written = rest_writer.Written(explanation.id, tagged=True)
        else:
            left = max(_TO_ANSWER, request["until"] - time.time() - _TO_ANSWER)
            service = rest_writer.service_of(target)
            written = rest_writer.write(explanation, service, comment, left, random_state, points)
        answer = {"ok": True, **asdict(written)}
    except AzureMLError as error:
        answer = {"ok": False, "reason": redact(str(error), target.token)}
    except BaseException as error:
        answer = {"ok": False, "reason": redact(said_by(error), target.token)}
    with suppress(AzureMLError):  # a run that goes on for ever is no reason to upload again
        targets.complete(target, max(_TO_ANSWER, request["until"] - time.time()) / 2)
    return answer


def said_by(error: BaseException) -> str:
    """The kind and the text of an error."""
    try:
        text = str(error)
    except Exception:  # the SDK's own, of an answer without details
        text = str(getattr(error, "message", "it has no text"))
    return f"{type(error).__name__}: {text}"


def main() -> None:
    """Upload what standard input names and answer on standard output."""
    request = json.load(sys.stdin)
    # Should the training be killed, nobody else ends this process.
    watchdog = threading.Timer(request["seconds"], os._exit, args=(1,))
    watchdog.daemon = True
    watchdog.start()
    answer = carry_out(request)
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads would keep the interpreter alive


if __name__ == "__main__":
    main()
