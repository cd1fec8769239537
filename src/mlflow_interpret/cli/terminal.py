"""Options, tables and error messages that the commands share."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

tracking_uri_option = click.option(
    "--tracking-uri", metavar="URI", help="URI of the MLflow store. Default: the MLflow setting."
)
class_option = click.option(
    "--class", "label", metavar="CLASS", help="Importances for one class or target. Default: all."
)
engineered_option = click.option(
    "--engineered", is_flag=True, help="Engineered columns of a pipeline instead of raw columns."
)


def top_option(default: int) -> Callable[[Any], Any]:
    """The option ``--top``: the number of features to show."""
    return click.option(
        "--top",
        default=default,
        show_default=True,
        type=click.IntRange(min=1),
        help="Maximum number of features to show.",
    )


@contextmanager
def errors_on_one_line(options: Mapping[str, str] | None = None) -> Iterator[None]:
    """Report errors on one line, without a traceback.

    Args:
        options: Names of the command's options by the names of arguments in error messages.
    """
    from mlflow.exceptions import MlflowException

    from mlflow_interpret.core.errors import MlflowInterpretError, one_line

    try:
        yield
    except MlflowException as error:
        raise click.ClickException(f"MLflow: {one_line(error)}") from error
    except MlflowInterpretError as error:
        raise click.ClickException(_with_option_name(error, options or {})) from error


def _with_option_name(error: Exception, options: Mapping[str, str]) -> str:
    """The message, with the name of the argument at its start replaced by that of the option."""
    message, argument = str(error), getattr(error, "argument", None)
    # Some errors do not carry the argument, but their messages start with it, too.
    for name in options if argument is None else (argument,):
        if name in options and message.startswith(f"{name} "):
            return f"{options[name]}{message.removeprefix(name)}"
    return message


@contextmanager
def package_warnings_disabled() -> Iterator[None]:
    """Disable the warnings of this package, for a command that prints the same facts itself."""
    logger = logging.getLogger("mlflow_interpret")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def tracking_uri_of(option: str | None) -> str:
    """The tracking URI of the option ``--tracking-uri``, or else of the MLflow setting."""
    from mlflow_interpret.stores import mlflow as mlflow_store

    # MLflow's progress bars would interrupt the output of the command.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return option or mlflow_store.current_tracking_uri()


def escape_unencodable_characters() -> None:
    """Escape characters that the encoding of the output lacks, as of a pipe on Windows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def supports_unicode() -> bool:
    """Whether the terminal can show more than ASCII."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table without borders, with columns aligned by display width.

    Args:
        rows: The cells; each row has the same number.
    """
    from prettytable import PrettyTable

    if not rows:
        return []
    table = PrettyTable(header=False, border=False, padding_width=0)
    table.right_padding_width = 2
    table.add_rows([list(row) for row in rows])
    table.align = "l"
    return [line.rstrip() for line in table.get_string().splitlines()]
