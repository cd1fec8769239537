"""The files of an explanation in a run, but for its status record; pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mlflow_interpret import storage
from mlflow_interpret.errors import one_line
from mlflow_interpret.records import Explanation
from mlflow_interpret.report import page

FIGURE = "global_importances.png"
BEESWARM = "beeswarm.png"
PER_CLASS = "per_class_importances.png"
REPORT = "report.html"

_logger = logging.getLogger("mlflow_interpret")


def write(
    explanation: Explanation,
    folder: Path,
    *,
    figures: bool,
    report: bool,
    made: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Write an explanation's data, and what is drawn of it, into an existing folder.

    Args:
        explanation: The explanation.
        folder: Where to.
        figures: Draw the figures.
        report: Write the report.
        made: What the report says of the run: ``run_id``, ``created``, ``comment``.

    Returns:
        The files that could not be drawn, with the reasons: a picture that fails must not keep the
        numbers from the run.
    """
    storage.write(explanation, folder)
    drawers = _figures(explanation) if figures else {}
    if report:
        drawers[REPORT] = partial(_write_report, explanation, made)
    if report and explanation.engineered is not None:
        name = f"{storage.ENGINEERED}/{REPORT}"
        drawers[name] = partial(_write_report, explanation.engineered, made)
    failed = {}
    for name, draw in drawers.items():
        try:
            draw(folder / name)
        except Exception as error:
            _logger.debug("%s could not be drawn", name, exc_info=True)
            failed[name] = one_line(error)
    return failed


def _figures(explanation: Explanation) -> dict[str, Callable[[Path], None]]:
    from mlflow_interpret import figures

    return {
        FIGURE: partial(_save_figure, figures.importances, explanation),
        BEESWARM: partial(_save_figure, figures.beeswarm, explanation),
        PER_CLASS: partial(_save_figure, figures.per_class, explanation),
    }


def _save_figure(draw: Callable[[Explanation], Any], explanation: Explanation, path: Path) -> None:
    figure = draw(explanation)
    if figure is not None:
        figure.savefig(path)


def _write_report(explanation: Explanation, made: Mapping[str, Any] | None, path: Path) -> None:
    path.write_text(page(explanation, made), encoding="utf-8")
