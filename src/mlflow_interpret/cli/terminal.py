"""What the commands share: options, the store that is meant, and what the terminal can show."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
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
def plain_errors(options: Mapping[str, str] | None = None) -> Iterator[None]:
    """What is wrong is told in one line, without a traceback.

    Args:
        options: What the command calls the arguments that an error names.
    """
    from mlflow.exceptions import MlflowException

    from mlflow_interpret.core.errors import MlflowInterpretError, one_line

    try:
        yield
    except MlflowException as error:
        raise click.ClickException(f"MLflow says: {one_line(error)}") from error
    except MlflowInterpretError as error:
        told = str(error)
        for name, option in (options or {}).items():
            told = told.replace(name, option)
        raise click.ClickException(told) from error


@contextmanager
def no_warnings() -> Iterator[None]:
    """Our warnings are not shown: for a command that says in its output what they would say."""
    logger = logging.getLogger("mlflow_interpret")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def store_named(tracking_uri: str | None) -> str:
    """The store of --tracking-uri, else that of MLflow's own setting."""
    from mlflow_interpret.stores import mlflow as mlflow_store

    # This process is ours: MLflow's progress bars would stand between the lines of the table.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return tracking_uri or mlflow_store.current_tracking_uri()


def escape_what_cannot_be_shown() -> None:
    """Names may have letters that the encoding lacks, as that of a pipe on Windows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def draws() -> bool:
    """Whether the terminal shows more than ASCII."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def shorten(name: str) -> str:
    """A name on one line that is not too long."""
    line = "".join(c if c.isprintable() else " " for c in name)
    return line if len(line) <= _NAME_WIDTH else f"{line[: _NAME_WIDTH - 1]}…"
