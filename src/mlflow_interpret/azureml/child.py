"""The process that calls ExplanationClient: ``python -m mlflow_interpret.azureml.child``.

The client writes into the current directory, sets an environment variable, and may hang or keep
the interpreter alive. So it runs in a process of its own, in a temporary directory, which the
training process can end at any time.

Standard input holds one JSON object with ``target``, ``folder``, ``comment``, ``random_state`` and
``seconds``, after which the process ends itself. The last line of standard output is one JSON
object with ``ok`` and, where that is false, ``reason``.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret import interpret, storage
from mlflow_interpret.azureml.targets import Target
from mlflow_interpret.records import Explanation

_SECRET = re.compile(
    r"""(?ix)
      (?<=bearer\s)[^\s'"]+                     # a token in a header
    | eyJ[\w-]+\.[\w-]+\.?[\w-]*                # a JSON web token anywhere
    | (?<=sig=)[^&\s'"]+                        # the signature of a shared access URL
    | (?<=accountkey=)[^;\s'"]+                 # a storage key
    | (?<=secret=)[^&;\s'"]+
    """
)


def redact(text: str, *secrets: str | None) -> str:
    """``text`` without tokens, signatures and keys, on one line of at most 500 characters."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    line = " ".join(_SECRET.sub("***", text).split())
    return line if len(line) <= 500 else f"{line[:497]}..."


def prepared(explanation: Explanation) -> Explanation:
    """The explanation as ExplanationClient uploads it undistorted.

    Class names become text and labels the positions of their classes: the client maps labels
    only where all of them are text, and drops what is no list or array. Predictions of several
    targets are left out: it knows of one.
    """
    if explanation.targets is not None:
        explanation = replace(
            explanation, predicted=None, predicted_probabilities=None, true_labels=None
        )
    classes = explanation.classes
    return replace(
        explanation,
        classes=None if classes is None else tuple(str(label) for label in classes),
        predicted=_positions(explanation.predicted, classes),
        true_labels=_positions(explanation.true_labels, classes),
    )


def _positions(labels: Any, classes: tuple[Any, ...] | None) -> npt.NDArray[Any] | None:
    if labels is None or classes is None:
        return None if labels is None else np.asarray(labels)
    positions = {label: position for position, label in enumerate(classes)}
    by_text = {str(label): position for position, label in enumerate(classes)}
    found = [positions.get(label, by_text.get(str(label))) for label in np.asarray(labels).tolist()]
    # Labels that are no classes, as where the user renamed the classes, stay as they are.
    return np.asarray(labels if None in found else found)


def _cells(rows: pd.DataFrame) -> Any:
    """The rows as the client's JSON can hold them: numbers, booleans and text."""
    numeric = [isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in rows.dtypes]
    if all(numeric):
        return rows.to_numpy(dtype=np.float64)
    columns = [
        rows.iloc[:, i].tolist() if plain else [_cell(cell) for cell in rows.iloc[:, i]]
        for i, plain in enumerate(numeric)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _cell(cell: Any) -> Any:
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return None
    if isinstance(cell, np.generic):
        cell = cell.item()
    return cell if isinstance(cell, (bool, int, float, str)) else str(cell)


def upload(explanation: Explanation, run: Any, comment: str | None) -> None:
    """Upload an explanation to an ``azureml.core.Run`` with ExplanationClient.

    The engineered view goes first: the client downloads the latest explanation unless asked for
    another.
    """
    from azureml.interpret import ExplanationClient

    if explanation.engineered is not None:
        upload(explanation.engineered, run, comment)
    ready = prepared(explanation)
    subject = interpret.to_interpret(ready)
    if ready.evaluation_rows is not None:
        subject._eval_data = _cells(ready.evaluation_rows)
    labels = None if ready.true_labels is None else ready.true_labels.tolist()
    ExplanationClient.from_run(run).upload_model_explanation(
        subject, comment=comment, true_ys=labels
    )


def find_run(target: Target) -> Any:
    """The ``azureml.core.Run`` of a target."""
    from azureml.core import Experiment, Run, Workspace

    if target.kind == "job":
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


def main() -> None:
    """Upload what standard input names and answer on standard output."""
    request = json.load(sys.stdin)
    # Should the training be killed, nobody else ends this process.
    watchdog = threading.Timer(request["seconds"], os._exit, args=(1,))
    watchdog.daemon = True
    watchdog.start()
    target = Target(**request["target"])
    answer: dict[str, Any] = {"ok": True}
    try:
        np.random.seed(request["random_state"])  # noqa: NPY002 - what the client samples with
        explanation = storage.read(Path(request["folder"]))
        upload(explanation, find_run(target), request["comment"])
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        answer = {"ok": False, "reason": redact(reason, target.token)}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads would keep the interpreter alive


if __name__ == "__main__":
    main()
