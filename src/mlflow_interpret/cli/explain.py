"""The command ``mlflow-interpret explain``."""

from __future__ import annotations

from pathlib import Path

import click

from mlflow_interpret.cli.terminal import errors_on_one_line, tracking_uri_of, tracking_uri_option

_OPTIONS = {
    "rows": "ROWS",
    "target": "--output",
    "initialization_examples": "--initialization-examples",
}


@click.command()
@click.argument("model")
@click.argument("rows", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The Parquet or CSV file to write, by its suffix.",
)
@click.option(
    "--initialization-examples",
    "background",
    type=click.Path(path_type=Path),
    help="A file with training rows, if the explanation of the model was logged without rows.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@tracking_uri_option
def explain(
    model: str,
    rows: Path,
    output: Path,
    background: Path | None,
    force: bool,
    tracking_uri: str | None,
) -> None:
    """Write the predictions and contributions of the rows in a file.

    MODEL is the URI of a logged model ("models:/name@alias", "runs:/ID/model") or the id of its
    run. ROWS is a Parquet or CSV file, or a folder of Parquet files; further columns are ignored.

    The columns of the output are prediction, expected_value and contribution/FEATURE; for more than
    two classes, expected_value/CLASS and contribution/CLASS/FEATURE. Rows keep their order.

    Loading a model runs code that is stored in it: explain only models that you trust.
    """
    import mlflow

    from mlflow_interpret.api.explain_file import explain_file
    from mlflow_interpret.core.text import truncate
    from mlflow_interpret.runtime.progress import progress

    with errors_on_one_line(_OPTIONS):
        mlflow.set_tracking_uri(tracking_uri_of(tracking_uri))
        with progress("Explaining", unit="rows") as report:
            result = explain_file(
                model,
                rows,
                output,
                initialization_examples=background,
                force=force,
                report=report,
            )
    if result.ignored:
        names = ", ".join(truncate(name, 40) for name in result.ignored[:5])
        names += ", ..." if len(result.ignored) > 5 else ""
        click.echo(f"Columns that the model does not take were ignored: {names}", err=True)
    for note in result.notes:
        click.echo(note, err=True)
    click.echo(f"{result.n_rows:,} rows explained: {output}")
