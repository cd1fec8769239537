"""The child process that explains fits in the background, one after the other."""

from __future__ import annotations

import json
import os
import pickle
import queue
import shutil
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import CannotExplainError, describe_error, describe_unexpected
from mlflow_interpret.report import artifacts

_NICENESS = 10  # the training goes first

_private: set[str] = set()  # folders whose rows must not outlive the training process


def explained(request: dict[str, Any]) -> dict[str, Any]:
    """Explain a snapshot and write the explanation's files; why not, where it fails.

    Args:
        request: ``snapshot``, ``record`` and ``drawn``, paths; ``log_data``; ``figures``; ``cwd``,
            the training process' working directory.
    """
    try:
        with suppress(OSError):
            os.chdir(request["cwd"])
        _explain(request)
    except CannotExplainError as error:
        reason = describe_error(error, log_data=request["log_data"])
        return {"ok": False, "reason": reason, "traceback": traceback.format_exc()}
    except Exception as error:
        reason = describe_unexpected(error, log_data=request["log_data"])
        return {"ok": False, "reason": reason, "traceback": traceback.format_exc()}
    return {"ok": True}


def _explain(request: dict[str, Any]) -> None:
    from mlflow_interpret.explaining.explain import explain_inputs
    from mlflow_interpret.runtime.isolation import suppress_warnings

    with suppress_warnings():
        with Path(request["snapshot"]).open("rb") as file:
            subject, plan = pickle.load(file)  # noqa: S301 - the training process wrote it
        explanation = explain_inputs(subject, plan)
        if not request["log_data"]:
            explanation = explanation.without_rows()
        for name in ("record", "drawn"):
            shutil.rmtree(request[name], ignore_errors=True)  # of a try that was cut off
            Path(request[name]).mkdir(mode=0o700)
        explanation_io.write(explanation, Path(request["record"]))
        if request["figures"]:
            artifacts.draw(explanation, Path(request["drawn"]))


def _listen(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if not request["log_data"]:
            _private.add(str(Path(request["snapshot"]).parent))
        requests.put(request)
    # The training process has closed the pipe or is gone; what is pending is in its spool.
    for folder in _private:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def main() -> None:
    """Answer each line of standard input with a line on standard output."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # models may print
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        answers.write(json.dumps(explained(requests.get())) + "\n")
        answers.flush()
        with suppress(OSError):
            os.ftruncate(2, 0)  # what was printed matters only if this process dies


if __name__ == "__main__":
    main()
