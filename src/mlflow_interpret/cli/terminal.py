"""What the commands share: options, the store that is meant, and what the terminal can show."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

_NAME_WIDTH = 60

store_option = click.option(
    "--tracking-uri", metavar="URI", help="The MLflow store. Default: MLflow's own setting."
)
label_option = click.option(
    "--class", "label", metavar="CLASS", help="For one class, or target, instead of over all."
)
engineered_option = click.option(
    "--engineered", is_flag=True, help="By a pipeline's engineered columns instead of the raw."
)


def top_option(default: int) -> Callable[[Any], Any]:
    """How many features a command shows."""
    return click.option(
        "--top",
        default=default,
        show_default=True,
        type=click.IntRange(min=1),
        help="Show at most so many features.",
    )


@contextmanager
def plain_errors() -> Iterator[None]:
    """What is wrong is told in one line, without a traceback."""
    from mlflow_interpret.errors import MlflowInterpretError

    try:
        yield
    except MlflowInterpretError as error:
        raise click.ClickException(str(error)) from error


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
