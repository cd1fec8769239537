"""What the commands share: the store that is meant, and what the terminal can show."""

from __future__ import annotations

import os
import sys

import click

_NAME_WIDTH = 60

store_option = click.option(
    "--tracking-uri", metavar="URI", help="The MLflow store. Default: MLflow's own setting."
)


def store_named(tracking_uri: str | None) -> str:
    """The store of --tracking-uri, else that of MLflow's own setting."""
    from mlflow_interpret import tracking

    # This process is ours: MLflow's progress bars would stand between the lines of the table.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return tracking_uri or tracking.current_tracking_uri()


def draws() -> bool:
    """Whether the terminal shows more than ASCII."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def shorten(name: str) -> str:
    """A name on one line that is not too long."""
    line = "".join(c if c.isprintable() else " " for c in name)
    return line if len(line) <= _NAME_WIDTH else f"{line[: _NAME_WIDTH - 1]}…"
