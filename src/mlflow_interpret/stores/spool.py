"""Explanations that could not be logged, kept on this machine until they can."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import MlflowInterpretError, one_line
from mlflow_interpret.core.explanation import Explanation

VARIABLE = "MLFLOW_INTERPRET_SPOOL"
_ENTRY = "entry.json"


@dataclass(frozen=True)
class Entry:
    """One kept explanation.

    Attributes:
        tracking_uri: The store it was meant for, without credentials.
        run_id: The run it was meant for, None for a run that is still to be made.
        comment: The user's comment.
        top_k: How many features become metrics.
        baseline: What it is compared with.
        figures: Draw the figures.
        report: Write the report.
        visualization_points: How many explained rows go to Azure ML, None for the default.
        azureml: Where in Azure ML it goes, as text, without credentials.
    """

    tracking_uri: str
    run_id: str | None
    comment: str | None
    top_k: int
    figures: bool
    baseline: str | None = None
    report: bool = True
    visualization_points: int | None = None
    azureml: str | bool = "auto"


def directory() -> Path:
    """The spool of this user, or the folder that ``MLFLOW_INTERPRET_SPOOL`` names."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("mlflow-interpret") / "spool"


def keep(explanation: Explanation, entry: Entry) -> Path:
    """Store an explanation and return its folder, which only this user can read."""
    folder = directory() / explanation.id
    directory().mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    explanation_io.write(explanation, folder)
    update(folder, entry)  # last: a folder without it is unfinished and never read
    return folder


def update(folder: Path, entry: Entry) -> None:
    """Write an entry, whole or not at all."""
    unfinished = folder / f"{_ENTRY}.new"
    explanation_io.write_json(unfinished, asdict(entry))
    unfinished.replace(folder / _ENTRY)


def folders() -> list[Path]:
    """The folders of the kept explanations, oldest first."""
    found = sorted(directory().glob(f"*/{_ENTRY}"), key=lambda path: path.stat().st_mtime)
    return [path.parent for path in found]


def entry_of(folder: Path) -> Entry:
    """The entry of a kept explanation.

    Raises:
        MlflowInterpretError: It cannot be read.
    """
    try:
        return Entry(**json.loads((folder / _ENTRY).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise MlflowInterpretError(
            f"{folder / _ENTRY} cannot be read: {one_line(error)}"
        ) from error


def load(folder: Path) -> Explanation:
    """The explanation of a kept folder."""
    return explanation_io.read(folder)


def drop(folder: Path) -> None:
    """Forget a kept explanation."""
    shutil.rmtree(folder)
