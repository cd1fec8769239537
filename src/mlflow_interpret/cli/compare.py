"""The command ``mlflow-interpret compare``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from mlflow_interpret.cli.terminal import (
    class_option,
    engineered_option,
    errors_on_one_line,
    package_warnings_disabled,
    supports_unicode,
    top_option,
    tracking_uri_of,
    tracking_uri_option,
)

_OPTION_NAMES = {
    "experiment_names": "--experiment",
    "feature_groups": "--group",
    "filter_string": "--filter",
    "order_by": "--order-by",
}
_UNLIMITED_WIDTH = 10_000


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    metavar="NAME",
    help="Experiment to search; can be given several times.",
)
@click.option(
    "--filter",
    "filter_string",
    default="",
    metavar="FILTER",
    help="Filter string as for mlflow.search_runs.",
)
@click.option(
    "--order-by", multiple=True, metavar="COLUMN", help="Order as for mlflow.search_runs."
)
@click.option(
    "--max-results",
    default=20,
    show_default=True,
    type=click.IntRange(2, 50_000),
    help="Maximum number of runs to find.",
)
@top_option(10)
@class_option
@engineered_option
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME=COLUMN,...",
    help="Group of columns to compare; can be given several times.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File for an HTML page with figures and all differences.",
)
@tracking_uri_option
def compare(
    runs: tuple[str, ...],
    experiments: tuple[str, ...],
    filter_string: str,
    order_by: tuple[str, ...],
    max_results: int,
    top: int,
    label: str | None,
    engineered: bool,
    groups: tuple[str, ...],
    html: Path | None,
    tracking_uri: str | None,
) -> None:
    """Compare the rankings of several runs.

    RUN is a run id or a model version (models:/name/1 or models:/name@alias). Without RUN, the
    command compares the newest runs with an explanation, of the active experiment or of
    --experiment. The first run is the reference: without --order-by, it is the oldest of them.
    """
    import mlflow

    from mlflow_interpret.api.runs import compare_runs
    from mlflow_interpret.cli.compare_text import comparison_text

    mlflow.set_tracking_uri(tracking_uri_of(tracking_uri))
    with errors_on_one_line(_OPTION_NAMES), package_warnings_disabled():
        comparison = compare_runs(
            runs or None,
            experiment_names=experiments or None,
            filter_string=filter_string,
            order_by=order_by or None,
            max_results=max_results,
            top_k=top,
            label=label,
            engineered=engineered,
            feature_groups=_feature_groups(groups),
        )
    arrows = ("▲", "▼") if supports_unicode() else ("+", "-")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED_WIDTH
    click.echo(comparison_text(comparison, width=width, arrows=arrows))
    if html is not None:
        try:
            comparison.to_html(html)
        except OSError as error:
            raise click.ClickException(
                f"--html must be a file that can be written, got {str(html)!r}: {error.strerror}."
            ) from error
        click.echo(f"The page is in {html}")


def _feature_groups(groups: tuple[str, ...]) -> dict[str, list[str]] | None:
    """The groups of the options ``--group``, None without."""
    columns: dict[str, list[str]] = {}
    for group in groups:
        name, _, names = group.partition("=")
        if not name.strip() or not all(names.split(",")):
            raise click.BadParameter(f"--group must be NAME=COLUMN,COLUMN,..., got {group!r}.")
        columns.setdefault(name, []).extend(names.split(","))
    return columns or None
