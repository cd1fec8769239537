"""``mlflow-interpret compare``: rankings side by side."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from mlflow_interpret.cli.terminal import (
    draws,
    engineered_option,
    label_option,
    no_warnings,
    plain_errors,
    store_named,
    store_option,
    top_option,
)

_OPTIONS = {
    "experiment_names": "--experiment",
    "filter_string": "--filter",
    "order_by": "--order-by",
}


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    metavar="NAME",
    help="Search in it; several are allowed.",
)
@click.option(
    "--filter",
    "filter_string",
    default="",
    metavar="FILTER",
    help="Which runs, as of mlflow.search_runs.",
)
@click.option(
    "--order-by", multiple=True, metavar="COLUMN", help="In which order, as of mlflow.search_runs."
)
@click.option(
    "--max-results",
    default=20,
    show_default=True,
    type=click.IntRange(2, 50_000),
    help="Find at most so many runs.",
)
@top_option(10)
@label_option
@engineered_option
@click.option(
    "--html",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a page with figures and all differences.",
)
@store_option
def compare(
    runs: tuple[str, ...],
    experiments: tuple[str, ...],
    filter_string: str,
    order_by: tuple[str, ...],
    max_results: int,
    top: int,
    label: str | None,
    engineered: bool,
    html: Path | None,
    tracking_uri: str | None,
) -> None:
    """Put the rankings of several runs side by side.

    RUN is a run id or a model version, as models:/name/1 or models:/name@alias. Without any, the
    newest explained runs of the active experiment, or of those named, are compared, the oldest of
    them first, unless --order-by is given. The first is the one that the others are compared with.
    """
    import mlflow

    from mlflow_interpret.api import explanations
    from mlflow_interpret.cli.compare_text import text

    mlflow.set_tracking_uri(store_named(tracking_uri))
    with plain_errors(_OPTIONS), no_warnings():
        comparison = explanations.compare_runs(
            runs or None,
            experiment_names=experiments or None,
            filter_string=filter_string,
            order_by=order_by or None,
            max_results=max_results,
            top_k=top,
            label=label,
            engineered=engineered,
        )
    arrows = ("▲", "▼") if draws() else ("+", "-")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    click.echo(text(comparison, width=width, arrows=arrows))
    if html is not None:
        try:
            comparison.to_html(html)
        except OSError as error:
            raise click.ClickException(
                f"--html must be a file that can be written, got {str(html)!r}: {error.strerror}."
            ) from error
        click.echo(f"The page is in {html}")
