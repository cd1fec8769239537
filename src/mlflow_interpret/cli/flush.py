"""The command ``mlflow-interpret flush``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mlflow_interpret.cli.terminal import tracking_uri_option


@click.command()
@tracking_uri_option
@click.option(
    "--experiment", metavar="NAME", help="Experiment for new runs, for fits that had no run."
)
@click.option("--list", "only_list", is_flag=True, help="List the stored explanations only.")
def flush(tracking_uri: str | None, experiment: str | None, only_list: bool) -> None:
    """Log explanations that this machine stored while the server did not answer.

    Models whose background explanation was interrupted are explained first. Each explanation is
    logged to its run, in its own store or in that of --tracking-uri, and uploaded to Azure ML if
    the run is an Azure ML run. It is then deleted from this machine; if logging fails, it is kept.
    The reasons of skipped fits are logged, too. Figures and reports that an interrupted process
    did not draw are drawn.
    """
    from mlflow_interpret.autologging import begun_logs, snapshots
    from mlflow_interpret.core.redaction import without_credentials
    from mlflow_interpret.stores import drawing, spool
    from mlflow_interpret.stores import mlflow as mlflow_store

    current_uri = mlflow_store.current_tracking_uri()

    def store_uri(entry: Any) -> str:
        # The entry has no password, but the MLflow setting for the same store may have one.
        is_current = without_credentials(current_uri) == entry.tracking_uri
        return tracking_uri or (current_uri if is_current else str(entry.tracking_uri))

    pending = snapshots.abandoned()
    drawings, notes = drawing.abandoned(), begun_logs.abandoned()
    total = len(pending) + len(notes) + len(drawings) + len(spool.folders())
    failures = sum(not _explain_pending(item, only_list) for item in pending)
    failures += sum(not _keep_begun(path, store_uri, only_list) for path in notes)
    failures += sum(not _draw_pending(path, store_uri, only_list) for path in drawings)
    folders = spool.folders()
    if not total:
        click.echo(f"Nothing is kept in {spool.directory()}.")
        return
    for folder in folders:
        try:
            entry = spool.entry_of(folder)
            if only_list:
                click.echo(f"{folder.name}  run {entry.run_id or '(new)'}  {entry.tracking_uri}")
            else:
                run_id = _log_stored(folder, store_uri(entry), experiment)
                click.echo(f"{folder.name}  logged to run {run_id}")
        except spool.ClaimedError as error:
            click.echo(f"{folder.name}  left out: {error}")
        except Exception as error:  # continue with the others
            failures += 1
            click.echo(f"{folder.name}  kept: {error}", err=True)
    if failures:
        raise click.ClickException(f"{failures} of {total} could not be logged.")


def _explain_pending(pending: Any, only_list: bool) -> bool:
    """Explain or list a model of a process that ended, and return whether it succeeded."""
    from mlflow_interpret.autologging import background, kept
    from mlflow_interpret.core.errors import CannotExplainError
    from mlflow_interpret.stores import spool

    name = pending.folder.name
    try:
        entry = spool.entry_of(pending.folder)
        if only_list:
            run = entry.run_id or "(new)"
            click.echo(f"{name}  run {run}  {entry.tracking_uri}  {entry.model}, not explained yet")
            return True
        background.recover(pending, entry)
    except CannotExplainError as error:
        click.echo(f"{name}  not explained: {error}", err=True)
        kept.skip_pending(entry, str(error))
        pending.drop()
        return False
    except Exception as error:
        click.echo(f"{name}  kept: {error}", err=True)
        return False
    return True


def _keep_begun(path: Path, store_uri: Callable[[Any], str], only_list: bool) -> bool:
    """Keep or list an explanation that a process was logging, and return whether it succeeded."""
    from mlflow_interpret.autologging import begun_logs

    try:
        entry = begun_logs.entry_of(path)
        if only_list:
            run = entry.run_id or "(new)"
            click.echo(f"{path.stem}  run {run}  {entry.tracking_uri}  not logged completely")
        elif not begun_logs.recover(path, store_uri(entry)):
            click.echo(f"{path.stem}  is in run {entry.run_id}")
    except Exception as error:
        click.echo(f"{path.stem}  kept: {error}", err=True)
        return False
    return True


def _draw_pending(path: Path, store_uri: Callable[[Any], str], only_list: bool) -> bool:
    """Draw or list the drawings of a process that ended, and return whether it succeeded."""
    from mlflow_interpret.core.errors import ExplanationNotFoundError, RunNotFoundError
    from mlflow_interpret.stores import drawing

    name = path.stem
    try:
        pending = drawing.read_note(path)
        if only_list:
            click.echo(f"{name}  run {pending.run_id}  {pending.tracking_uri}  not drawn yet")
            return True
        not_drawn = drawing.recover(pending, store_uri(pending))
    except (ExplanationNotFoundError, RunNotFoundError) as error:
        click.echo(f"{name}  not drawn: {error}", err=True)
        path.unlink(missing_ok=True)
        return False
    except Exception as error:
        click.echo(f"{name}  not drawn yet: {error}", err=True)
        return False
    path.unlink(missing_ok=True)
    if not_drawn:
        click.echo(f"{name}  not drawn in run {pending.run_id}: {', '.join(not_drawn)}", err=True)
    else:
        click.echo(f"{name}  drawn in run {pending.run_id}")
    return True


def _log_stored(folder: Path, uri: str, experiment: str | None) -> str:
    """Log a stored explanation, delete it, and return the id of its run."""
    import mlflow

    from mlflow_interpret.autologging.kept import log_kept
    from mlflow_interpret.stores import delivery
    from mlflow_interpret.stores import mlflow as mlflow_store

    mlflow_store.check_reachable(uri)
    mlflow.set_tracking_uri(uri)
    experiment_id = None
    if experiment is not None:
        experiment_id = str(mlflow.set_experiment(experiment).experiment_id)
    run_id = log_kept(folder, uri, experiment_id)
    delivery.flush()
    return run_id
