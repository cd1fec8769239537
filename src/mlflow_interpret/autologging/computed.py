"""Explanations that are computed and not yet written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlflow_interpret.autologging.baseline import with_details
from mlflow_interpret.core.explanation import Explanation, Importances, importances_of
from mlflow_interpret.core.options import Options

if TYPE_CHECKING:
    from mlflow_interpret.stores.record import Record


class Computed(Protocol):
    """An explanation that is computed and not yet written, in this process or in a worker."""

    @property
    def explanation_id(self) -> str:
        """The id of the explanation."""

    def importances(self) -> Importances:
        """Return the importances, for a comparison with a baseline."""

    def write(
        self,
        folder: Path,
        options: Options,
        run_id: str | None,
        details: Mapping[str, Any],
        read_metrics: Callable[[], Mapping[str, float]] = dict,
    ) -> Record:
        """Write the folder of the explanation.

        Args:
            folder: An empty folder.
            options: Whether rows, figures and the report are written.
            run_id: The run, shown in the report.
            details: Further details of the explanation.
            read_metrics: Reads the metrics of the run, for a report that is drawn at once.
        """


@dataclass(frozen=True, eq=False)
class ComputedHere:
    """An explanation in this process."""

    explanation: Explanation

    @property
    def explanation_id(self) -> str:
        """The id of the explanation."""
        return self.explanation.id

    def importances(self) -> Importances:
        """Return the importances."""
        return importances_of(self.explanation)

    def write(
        self,
        folder: Path,
        options: Options,
        run_id: str | None,
        details: Mapping[str, Any],
        read_metrics: Callable[[], Mapping[str, float]] = dict,
    ) -> Record:
        """Write the folder of the explanation."""
        from mlflow_interpret.stores import drawing
        from mlflow_interpret.stores.record import write_record

        explanation = with_details(self.explanation, details) if details else self.explanation
        draw_later = drawing.has_room()
        return write_record(
            explanation if options.log_data else explanation.without_rows(),
            folder,
            figures=options.log_figures,
            report=options.log_report,
            run_id=run_id,
            comment=options.comment,
            metrics={} if draw_later or not options.log_report else read_metrics(),
            draw_later=draw_later,
        )
