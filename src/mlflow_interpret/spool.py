"""Explanations that could not be logged, kept on this machine until they can."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from mlflow_interpret import storage
from mlflow_interpret.records import Explanation

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
        figures: Draw the bar chart.
    """

    tracking_uri: str
    run_id: str | None
    comment: str | None
    top_k: int
    figures: bool


def directory() -> Path:
    """The spool of this user, or the folder that ``MLFLOW_INTERPRET_SPOOL`` names."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("mlflow-interpret") / "spool"


def keep(explanation: Explanation, entry: Entry) -> Path:
    """Store an explanation and return its folder."""
    folder = directory() / explanation.id
    folder.mkdir(parents=True, exist_ok=True)
    storage.write(explanation, folder)
    # Appears last and whole: a folder without it is unfinished and never read.
    unfinished = folder / f"{_ENTRY}.new"
    storage.write_json(unfinished, asdict(entry))
    unfinished.replace(folder / _ENTRY)
    return folder


def entries() -> Iterator[tuple[Path, Entry]]:
    """The kept explanations, oldest first."""
    found = sorted(directory().glob(f"*/{_ENTRY}"), key=lambda path: path.stat().st_mtime)
    for path in found:
        yield path.parent, Entry(**json.loads(path.read_text(encoding="utf-8")))


def load(folder: Path) -> Explanation:
    """The explanation of a kept folder."""
    return storage.read(folder)


def drop(folder: Path) -> None:
    """Forget a kept explanation."""
    shutil.rmtree(folder)
