"""The process that explains fits in the background, one after the other.

Each line on standard input is a request, each line on standard output its answer. A request
explains a snapshot (``snapshot``), or writes the folder of the explanation that was computed last
(``write``): the training process asks its server in between.
"""

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
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow_interpret.core.errors import CannotExplainError, describe_error, describe_unexpected
from mlflow_interpret.core.explanation import Explanation, importances_of
from mlflow_interpret.runtime.worker_process import NICENESS
from mlflow_interpret.stores.record import write_record

_private_folders: set[str] = set()  # with rows that must not outlive the training process


class Worker:
    """Explain snapshots and write explanations."""

    def __init__(self) -> None:
        self._explanation: Explanation | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out a request.

        Args:
            request: ``cwd``, the working directory of the training process, and ``log_data``. To
                explain: ``snapshot``, a path, ``id``, the id of the explanation, and
                ``importances``, a path to write the importances to, or None. To write: ``write``,
                an empty folder, ``details``, ``figures``, ``report``, ``run_id`` and ``comment``.

        Returns:
            ``ok`` and the result, or ``reason`` and ``traceback``.
        """
        try:
            with suppress(OSError):
                os.chdir(request["cwd"])
            if "write" in request:
                return {"ok": True, **self._write(request)}
            self._explain(request)
        except CannotExplainError as error:
            reason = describe_error(error, log_data=request["log_data"])
            return {"ok": False, "reason": reason, "traceback": traceback.format_exc()}
        except Exception as error:
            reason = describe_unexpected(error, log_data=request["log_data"])
            return {"ok": False, "reason": reason, "traceback": traceback.format_exc()}
        return {"ok": True}

    def _explain(self, request: dict[str, Any]) -> None:
        from mlflow_interpret.explaining.explain import explain_inputs
        from mlflow_interpret.runtime.isolation import suppress_warnings

        self._explanation = None
        with suppress_warnings():
            with Path(request["snapshot"]).open("rb") as file:
                inputs, plan = pickle.load(file)  # noqa: S301 - the training process wrote it
            self._explanation = replace(explain_inputs(inputs, plan), id=request["id"])
        if request["importances"] is not None:
            with Path(request["importances"]).open("xb") as file:
                pickle.dump(importances_of(self._explanation), file)

    def _write(self, request: dict[str, Any]) -> dict[str, Any]:
        explanation = self._explanation
        if explanation is None:
            raise CannotExplainError("there is no explanation to write")
        if request["details"]:
            details = replace(explanation.details, **request["details"])
            explanation = replace(explanation, details=details)
        record = write_record(
            explanation if request["log_data"] else explanation.without_rows(),
            Path(request["write"]),
            figures=request["figures"],
            report=request["report"],
            run_id=request["run_id"],
            comment=request["comment"],
            metrics=request["metrics"],
        )
        return {"created": record.created, "not_drawn": dict(record.not_drawn)}


def _listen(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if not request["log_data"] and "snapshot" in request:
            _private_folders.add(str(Path(request["snapshot"]).parent))
        requests.put(request)
    # The training process has closed the pipe or is gone; the pending fits are in its spool.
    for folder in _private_folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def main() -> None:
    """Answer each line of standard input with a line on standard output."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # models may print
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    worker = Worker()
    while True:
        answers.write(json.dumps(worker.answer(requests.get())) + "\n")
        answers.flush()
        with suppress(OSError):
            os.ftruncate(2, 0)  # the output matters only if this process dies


if __name__ == "__main__":
    main()
