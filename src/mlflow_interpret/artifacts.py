"""The files of an explanation in a run, but for its status record; pure."""

from __future__ import annotations

from pathlib import Path

from mlflow_interpret import report, storage
from mlflow_interpret.records import Explanation

FIGURE = "global_importances.png"


def write(explanation: Explanation, folder: Path, *, figures: bool) -> None:
    """Write an explanation's data, and what is drawn of it, into an existing folder."""
    storage.write(explanation, folder)
    if figures:
        report.bar_chart(explanation).savefig(folder / FIGURE)
