"""The files of an explanation in a run, but for its status record; pure."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import one_line
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.report.page import render_report

FIGURE = "global_importances.png"
BEESWARM = "beeswarm.png"
PER_CLASS = "per_class_importances.png"
REPORT = "report.html"
_FAILED = "not_drawn.json"

_logger = logging.getLogger("mlflow_interpret")


def write(
    explanation: Explanation,
    folder: Path,
    *,
    figures: bool,
    report: bool,
    made: Mapping[str, Any] | None = None,
    drawn: Path | None = None,
) -> dict[str, str]:
    """Write an explanation's data, and what is drawn of it, into an existing folder.

    Args:
        explanation: The explanation.
        folder: Where to.
        figures: Draw the figures.
        report: Write the report.
        made: What the report says of the run: ``run_id``, ``created``, ``comment``.
        drawn: A folder with the figures, where `draw` has drawn them already.

    Returns:
        The files that could not be drawn, with the reasons: a picture that fails must not keep the
        numbers from the run.
    """
    explanation_io.write(explanation, folder)
    drawers: dict[str, Callable[[Path], None]] = {}
    if figures and drawn is None:
        drawers.update(_figures(explanation))
    if report:
        drawers[REPORT] = partial(_write_report, explanation, made)
    if report and explanation.engineered is not None:
        name = f"{explanation_io.ENGINEERED}/{REPORT}"
        drawers[name] = partial(_write_report, explanation.engineered, made)
    before = {} if drawn is None else _taken(drawn, folder)
    return before | _drawn(drawers, folder)


def draw(explanation: Explanation, folder: Path) -> None:
    """Draw the figures into an existing folder, to be given to `write` as ``drawn``."""
    explanation_io.write_json(folder / _FAILED, _drawn(_figures(explanation), folder))


def _taken(drawn: Path, folder: Path) -> dict[str, str]:
    failed: dict[str, str] = json.loads((drawn / _FAILED).read_text(encoding="utf-8"))
    for name in (FIGURE, BEESWARM, PER_CLASS):
        if (drawn / name).is_file() and name not in failed:
            shutil.copy(drawn / name, folder)
    return failed


def _drawn(drawers: Mapping[str, Callable[[Path], None]], folder: Path) -> dict[str, str]:
    failed = {}
    for name, drawer in drawers.items():
        try:
            drawer(folder / name)
        except Exception as error:
            _logger.debug("%s could not be drawn", name, exc_info=True)
            failed[name] = one_line(error)
    return failed


def _figures(explanation: Explanation) -> dict[str, Callable[[Path], None]]:
    from mlflow_interpret.report import figures

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
    path.write_text(render_report(explanation, made), encoding="utf-8")
