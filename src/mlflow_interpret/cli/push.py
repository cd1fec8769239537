"""``mlflow-interpret push``: uploads to Azure ML that were cut off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from mlflow_interpret.cli.terminal import store_named, store_option

_PUSH_FAILURES = 5  # in a row: then it is not the runs, and each could take minutes


@click.command()
@click.argument("run_id", required=False)
@click.option("--all", "experiment", metavar="EXPERIMENT", help="All runs of an experiment.")
@click.option(
    "--to",
    metavar="WORKSPACE",
    help="The Azure ML workspace: an azureml:// URI, a resource id or a config.json. Default: that "
    "of the run itself.",
)
@click.option(
    "--timeout", default=300.0, show_default=True, help="Seconds that each explanation may take."
)
@click.option(
    "--visualization-points",
    "points",
    type=int,
    help="Upload at most so many explained rows, 0 for none. Default: as when it was logged.",
)
@store_option
def push(
    run_id: str | None,
    experiment: str | None,
    to: str | None,
    timeout: float,
    points: int | None,
    tracking_uri: str | None,
) -> None:
    """Finish the upload of run RUN_ID to Azure ML, or of all runs of an experiment.

    What the MLflow run holds is uploaded unless it is there already; nothing is computed again.
    """
    from mlflow_interpret.core.errors import MlflowInterpretError
    from mlflow_interpret.core.options import Options
    from mlflow_interpret.stores.azureml import push

    if (run_id is None) == (experiment is None):
        raise click.UsageError("Give a RUN_ID, or --all EXPERIMENT.")
    uri = store_named(tracking_uri)
    option = "auto" if to is None else to
    try:
        options = Options(azureml=option, upload_timeout=timeout, visualization_points=points)
        if experiment is not None:
            _push_all(experiment, uri, options)
            return
        for found in push.push(str(run_id), uri, options):
            click.echo(f"{run_id}  in Azure ML as explanation {found}")
    except MlflowInterpretError as error:
        raise click.ClickException(str(error)) from error


def _push_all(experiment: str, uri: str, options: Any) -> None:
    from mlflow_interpret.runtime.progress import aside, progress
    from mlflow_interpret.stores.azureml import push

    options = replace(options, silent=True)  # one bar is enough
    waiting = push.pending(experiment, uri)
    if not waiting:
        click.echo(f"All explanations of experiment {experiment} are in Azure ML.")
        return
    failures = in_a_row = 0
    with progress("Pushing to Azure ML", unit="runs") as report:
        for done, run_id in enumerate(waiting):
            report(done, len(waiting))
            try:
                push.push(run_id, uri, options)
            except Exception as error:  # one that fails must not keep the others
                failures, in_a_row = failures + 1, in_a_row + 1
                with aside():
                    click.echo(f"{run_id}  failed: {error}", err=True)
            else:
                in_a_row = 0
                with aside():
                    click.echo(f"{run_id}  in Azure ML")
            if in_a_row == _PUSH_FAILURES:
                left = len(waiting) - done - 1
                raise click.ClickException(f"{in_a_row} in a row failed; {left} were not tried.")
    if failures:
        raise click.ClickException(f"{failures} of {len(waiting)} did not get to Azure ML.")
