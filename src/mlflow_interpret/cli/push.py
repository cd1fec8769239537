"""The command ``mlflow-interpret push``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from mlflow_interpret.cli.terminal import tracking_uri_of, tracking_uri_option

# In a row: the cause is then not a single run, and each further upload could take minutes.
_MAX_FAILURES = 5


@click.command()
@click.argument("run_id", required=False)
@click.option(
    "--all", "experiment", metavar="EXPERIMENT", help="Upload for all runs of an experiment."
)
@click.option(
    "--to",
    metavar="WORKSPACE",
    help="Azure ML workspace: an azureml:// URI, a resource id or a config.json file. Default: the "
    "workspace of the run.",
)
@click.option(
    "--timeout", default=300.0, show_default=True, help="Maximum seconds for each explanation."
)
@click.option(
    "--visualization-points",
    "points",
    type=int,
    help="Maximum number of explained rows to upload; 0 for none. Default: the number that was set "
    "when the explanation was logged.",
)
@tracking_uri_option
def push(
    run_id: str | None,
    experiment: str | None,
    to: str | None,
    timeout: float,
    points: int | None,
    tracking_uri: str | None,
) -> None:
    """Finish the upload of run RUN_ID to Azure ML, or of all runs of an experiment.

    Explanations that are already in Azure ML are not uploaded again, and nothing is computed again.
    """
    from mlflow_interpret.api import push
    from mlflow_interpret.core.errors import MlflowInterpretError
    from mlflow_interpret.core.options import Options
    from mlflow_interpret.stores import delivery

    if (run_id is None) == (experiment is None):
        raise click.UsageError("Give a RUN_ID, or --all EXPERIMENT.")
    uri = tracking_uri_of(tracking_uri)
    target = "auto" if to is None else to
    try:
        options = Options(azureml=target, upload_timeout=timeout, visualization_points=points)
        delivery.check_options(options)
        if experiment is not None:
            _push_experiment(experiment, uri, options)
            return
        for explanation_id in push.push(str(run_id), uri, options):
            click.echo(f"{run_id}  in Azure ML as explanation {explanation_id}")
    except MlflowInterpretError as error:
        raise click.ClickException(str(error)) from error


def _push_experiment(experiment: str, uri: str, options: Any) -> None:
    from mlflow_interpret.api import push
    from mlflow_interpret.runtime.progress import aside, progress

    options = replace(options, silent=True)  # no progress bar for each run
    run_ids = push.pending(experiment, uri)
    if not run_ids:
        click.echo(f"All explanations of experiment {experiment} are in Azure ML.")
        return
    failures = in_a_row = 0
    with progress("Pushing to Azure ML", unit="runs") as report:
        for done, run_id in enumerate(run_ids):
            report(done, len(run_ids))
            try:
                push.push(run_id, uri, options)
            except Exception as error:  # continue with the other runs
                failures, in_a_row = failures + 1, in_a_row + 1
                with aside():
                    click.echo(f"{run_id}  failed: {error}", err=True)
            else:
                in_a_row = 0
                with aside():
                    click.echo(f"{run_id}  in Azure ML")
            if in_a_row == _MAX_FAILURES:
                remaining = len(run_ids) - done - 1
                raise click.ClickException(
                    f"{in_a_row} runs in a row failed; {remaining} were not tried."
                )
    if failures:
        raise click.ClickException(f"{failures} of {len(run_ids)} runs could not be uploaded.")
