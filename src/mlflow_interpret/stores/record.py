"""The folder of an explanation: written once, read by every store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.report import artifacts


@dataclass(frozen=True)
class Drawings:
    """Drawings that are not in the folder of an explanation yet.

    Attributes:
        figures: Draw the figures.
        report: Write the HTML report.
        run_facts: Facts about the run for the report, as for `artifacts.draw`.
    """

    figures: bool
    report: bool
    run_facts: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Record:
    """An explanation and its folder.

    Attributes:
        explanation: The explanation.
        folder: The folder with its data, figures and report.
        created: The time of writing, ISO 8601.
        not_drawn: The figures and reports that could not be drawn, with the reasons.
        drawings: The figures and the report that are drawn later, None if they are drawn.
    """

    explanation: Explanation
    folder: Path
    created: str
    not_drawn: Mapping[str, str]
    drawings: Drawings | None = None

    @property
    def has_report(self) -> bool:
        """Whether the folder holds the HTML report, or will."""
        if self.drawings is not None:
            return self.drawings.report
        return (self.folder / artifacts.REPORT).is_file()

    def describe(self, report: str | None, limit: int) -> str:
        """Return a description in Markdown.

        Args:
            report: The address of the report, None where it has none.
            limit: The largest number of characters.
        """
        return artifacts.describe(self.explanation, report, limit)


def write_record(
    explanation: Explanation,
    folder: Path,
    *,
    figures: bool,
    report: bool,
    run_id: str | None = None,
    comment: str | None = None,
    metrics: Mapping[str, float] | None = None,
    created: str | None = None,
    draw_later: bool = False,
) -> Record:
    """Write an explanation with its figures and report.

    Args:
        explanation: The explanation.
        folder: An empty folder.
        figures: Draw the figures.
        report: Write the HTML report.
        run_id: The run, shown in the report.
        comment: The user's comment, shown in the report.
        metrics: The metrics of the model in the run, shown in the report.
        created: The time of an earlier attempt to log it, ISO 8601. Default: now.
        draw_later: Leave the figures and the report to `Record.drawings`.
    """
    created = created or now()
    shown = {"run_id": run_id, "created": created, "comment": comment, "metrics": metrics}
    drawings = Drawings(figures, report, shown) if draw_later and (figures or report) else None
    is_drawn = drawings is None
    not_drawn = artifacts.write(
        explanation,
        folder,
        figures=figures and is_drawn,
        report=report and is_drawn,
        run_facts=shown,
    )
    return Record(explanation, folder, created, not_drawn, drawings)


def now() -> str:
    """Return the current time, ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
