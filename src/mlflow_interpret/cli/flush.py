"""``mlflow-interpret flush``: what was kept on this machine, logged at last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mlflow_interpret.cli.terminal import store_option


@click.command()
@store_option
@click.option("--experiment", metavar="NAME", help="Where runs are made for fits without a run.")
@click.option("--list", "only_list", is_flag=True, help="Only say what is kept.")
def flush(tracking_uri: str | None, experiment: str | None, only_list: bool) -> None:
    """Log the explanations that were kept on this machine while their server did not answer.

    Models that were still to be explained in the background when their process ended are explained
    first. Each explanation goes to the run it was meant for, in the store it was meant for or in
    that of --tracking-uri, from there to Azure ML where the run is Azure ML's, and is then
    forgotten. What still fails stays.
    """
    from mlflow_interpret.autologging import snapshots
    from mlflow_interpret.core.redaction import without_credentials
    from mlflow_interpret.stores import mlflow as mlflow_store
    from mlflow_interpret.stores import spool

    current = mlflow_store.current_tracking_uri()

    def store(entry: Any) -> str:
        same = without_credentials(current) == entry.tracking_uri
        # MLflow's own setting may hold the password, which the entry does not.
        return tracking_uri or (current if same else str(entry.tracking_uri))

    left = snapshots.abandoned()
    failures = sum(not _explain_left(one, store, only_list) for one in left)
    kept = spool.folders()
    total = failures + len(kept)
    if not kept and not left:
        click.echo(f"Nothing is kept in {spool.directory()}.")
        return
    for folder in kept:
        try:
            entry = spool.entry_of(folder)
            if only_list:
                click.echo(f"{folder.name}  run {entry.run_id or '(new)'}  {entry.tracking_uri}")
            else:
                run_id = _log_kept(folder, entry, store(entry), experiment)
                click.echo(f"{folder.name}  logged to run {run_id}")
        except Exception as error:  # one that fails must not keep the others
            failures += 1
            click.echo(f"{folder.name}  still kept: {error}", err=True)
    if failures:
        raise click.ClickException(f"{failures} of {total} could not be logged.")


def _explain_left(left: Any, store: Callable[[Any], str], only_list: bool) -> bool:
    """Whether what a process that is gone has left could be seen to."""
    from mlflow_interpret.autologging import background, outcomes, snapshots
    from mlflow_interpret.autologging.run_context import Place
    from mlflow_interpret.core.errors import CannotExplainError
    from mlflow_interpret.core.options import Options

    name = left.folder.name
    try:
        entry = snapshots.entry_of(left)
        kept = entry.kept
        if only_list:
            run = kept.run_id or "(new)"
            click.echo(f"{name}  run {run}  {kept.tracking_uri}  {entry.model}, not explained yet")
            return True
        background.recover(left, entry)
    except CannotExplainError as error:
        click.echo(f"{name}  not explained: {error}", err=True)
        fit = outcomes.Fit(
            entry.model, Place(store(kept), kept.run_id, started=time.time()), beside=True
        )
        outcomes.skip(Options(silent=True, comment=kept.comment), fit, str(error))
        left.drop()
        return False
    except Exception as error:
        click.echo(f"{name}  still kept: {error}", err=True)
        return False
    return True


def _log_kept(folder: Path, entry: Any, uri: str, experiment: str | None) -> str:
    import mlflow

    from mlflow_interpret.api import explanations
    from mlflow_interpret.autologging.outcomes import options_of
    from mlflow_interpret.autologging.run_context import run_to_log
    from mlflow_interpret.stores import delivery, spool
    from mlflow_interpret.stores import mlflow as mlflow_store

    mlflow_store.check_reachable(uri)
    mlflow.set_tracking_uri(uri)
    if entry.run_id is None:
        if experiment is not None:
            mlflow.set_experiment(experiment)
        with run_to_log(None) as run_id:
            entry = replace(entry, run_id=run_id)
        spool.update(folder, entry)  # another try goes to the same run
    delivery.deliver(spool.load(folder), str(entry.run_id), uri, options_of(entry))
    spool.drop(folder)
    explanations.flush()
    return str(entry.run_id)
