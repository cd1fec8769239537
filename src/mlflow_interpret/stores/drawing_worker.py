"""The process that draws the figures and reports of explanations, one after the other.

Each line on standard input is a request, each line on standard output its answer.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import one_line
from mlflow_interpret.report import artifacts
from mlflow_interpret.runtime.worker_process import NICENESS


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Draw the figures and the report of an explanation.

    Args:
        request: ``folder`` of the explanation, ``target``, an empty folder, ``figures``, ``report``
            and ``run_facts``. An empty request draws nothing.

    Returns:
        ``ok`` and ``not_drawn``, the reasons for files that could not be drawn; or ``reason``.
    """
    if not request:
        return {"ok": True}
    try:
        not_drawn = artifacts.draw(
            explanation_io.read(Path(request["folder"])),
            Path(request["target"]),
            figures=request["figures"],
            report=request["report"],
            run_facts=request["run_facts"],
        )
    except Exception as error:
        return {"ok": False, "reason": one_line(error)}
    return {"ok": True, "not_drawn": not_drawn}


def main() -> None:
    """Answer each line of standard input with a line on standard output."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    artifacts.import_figures()
    for line in sys.stdin:
        request = json.loads(line)
        style = request.pop("style", {})
        answers.write(json.dumps(_in_style(style, request)) + "\n")
        answers.flush()
        with suppress(OSError):
            os.ftruncate(2, 0)  # the output matters only if this process dies


def _in_style(style: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    import matplotlib as mpl

    settings: Any = mpl.rcParams
    with mpl.rc_context():
        for name, value in style.items():
            with suppress(KeyError, ValueError):
                settings[name] = value
        return answer(request)


if __name__ == "__main__":
    main()
