"""Artifacts of an explanation in a run: data, figures and the report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import one_line
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.report.description import describe
from mlflow_interpret.report.page import render_report

FIGURE = "global_importances.png"
BEESWARM = "beeswarm.png"
PER_CLASS = "per_class_importances.png"
GROUPS = "group_importances.png"
INTERACTIONS = "interactions.png"
REPORT = "report.html"

__all__ = [
    "BEESWARM",
    "FIGURE",
    "GROUPS",
    "INTERACTIONS",
    "PER_CLASS",
    "REPORT",
    "describe",
    "draw",
    "import_figures",
    "write",
]

_logger = logging.getLogger("mlflow_interpret")


def write(
    explanation: Explanation,
    folder: Path,
    *,
    figures: bool,
    report: bool,
    run_facts: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Write the data, figures and report of an explanation into an existing folder.

    Args:
        explanation: The explanation.
        folder: The folder.
        figures: Whether to draw the figures.
        report: Whether to write the report.
        run_facts: As for `draw`.

    Returns:
        The reasons for files that could not be drawn, by file name. A figure that fails does not
        keep the data from being written.
    """
    explanation_io.write(explanation, folder)
    return draw(explanation, folder, figures=figures, report=report, run_facts=run_facts)


def draw(
    explanation: Explanation,
    folder: Path,
    *,
    figures: bool,
    report: bool,
    run_facts: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Draw the figures and the report of an explanation into an existing folder.

    Args:
        explanation: The explanation.
        folder: The folder.
        figures: Whether to draw the figures.
        report: Whether to write the report.
        run_facts: Facts about the run for the report, as for `page.render_report`.

    Returns:
        The reasons for files that could not be drawn, by file name.
    """
    writers: dict[str, Callable[[Path], None]] = {}
    if figures:
        writers.update(_figure_writers(explanation))
    if report:
        writers[REPORT] = partial(_write_report, explanation, run_facts)
    if report and explanation.engineered is not None:
        (folder / explanation_io.ENGINEERED).mkdir(exist_ok=True)
        name = f"{explanation_io.ENGINEERED}/{REPORT}"
        writers[name] = partial(_write_report, explanation.engineered, run_facts)
    return _write_all(writers, folder)


def import_figures() -> None:
    """Import the modules that drawing needs, before the first figure is drawn."""
    from mlflow_interpret.rendering import figure  # noqa: F401
    from mlflow_interpret.report import figures  # noqa: F401


def _write_all(writers: Mapping[str, Callable[[Path], None]], folder: Path) -> dict[str, str]:
    failures = {}
    for name, write_file in writers.items():
        try:
            write_file(folder / name)
        except Exception as error:
            _logger.debug("%s could not be drawn", name, exc_info=True)
            failures[name] = one_line(error)
    return failures


def _figure_writers(explanation: Explanation) -> dict[str, Callable[[Path], None]]:
    from mlflow_interpret.report import figures

    return {
        FIGURE: partial(_save_figure, figures.importances, explanation),
        BEESWARM: partial(_save_figure, figures.beeswarm, explanation),
        PER_CLASS: partial(_save_figure, figures.per_class, explanation),
        GROUPS: partial(_save_figure, figures.groups, explanation),
        INTERACTIONS: partial(_save_figure, figures.interactions, explanation),
    }


def _save_figure(
    draw_figure: Callable[[Explanation], Any], explanation: Explanation, path: Path
) -> None:
    figure = draw_figure(explanation)
    if figure is not None:
        figure.savefig(path)


def _write_report(
    explanation: Explanation, run_facts: Mapping[str, Any] | None, path: Path
) -> None:
    path.write_text(render_report(explanation, run_facts), encoding="utf-8")
