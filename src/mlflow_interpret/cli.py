"""The ``mlflow-interpret`` command."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

_NAME_WIDTH = 60
_BAR_WIDTH = 30
_PUSH_FAILURES = 5  # in a row: then it is not the runs, and each could take minutes


_HELP = """Explanations of MLflow runs, from the terminal.

The tracking store is MLflow's: the one that MLFLOW_TRACKING_URI names, or --tracking-uri.

\b
Examples:
  mlflow-interpret show 3f2a9c...   the features that drive a run's model, ranked
  mlflow-interpret compare 3f2a9c... 81d204...   rankings side by side
  mlflow-interpret flush            log what was kept while no server answered
  mlflow-interpret doctor           what would happen on this machine, and why
  mlflow-interpret push 3f2a9c...   finish the upload to Azure ML
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mlflow-interpret")
def main() -> None:
    """Explanations of MLflow runs, from the terminal."""


_tracking_uri = click.option(
    "--tracking-uri", metavar="URI", help="The MLflow store. Default: MLflow's own setting."
)


@main.command()
@click.argument("run_id")
@click.option(
    "--top",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Show at most so many features.",
)
@click.option(
    "--class", "label", metavar="CLASS", help="Rank for one class, or target, instead of over all."
)
@click.option(
    "--engineered", is_flag=True, help="Rank a pipeline's engineered columns instead of the raw."
)
@click.option(
    "--workspace",
    metavar="WORKSPACE",
    help="Read from an Azure ML workspace: an azureml:// URI, a resource id or a config.json.",
)
@_tracking_uri
def show(
    run_id: str,
    top: int,
    label: str | None,
    engineered: bool,
    workspace: str | None,
    tracking_uri: str | None,
) -> None:
    """Rank the features of the explanation in run RUN_ID.

    Prints how the model was explained, then each feature with its importance: the mean absolute
    contribution to the model's output.
    """
    from mlflow_interpret import loading
    from mlflow_interpret.errors import MlflowInterpretError

    uri = _use(tracking_uri)
    try:
        explanation = loading.load(run_id, uri, engineered=engineered, workspace=workspace)
        ranked = explanation.ranked() if label is None else _ranked_for(explanation, label)
    except MlflowInterpretError as error:
        raise click.ClickException(str(error)) from error
    click.echo(_headline(explanation, run_id))
    shown = ranked[:top]
    block = "█" if _draws() else "#"
    widest = max(len(_shorten(name)) for name, _ in shown)
    finite = [value for _, value in shown if math.isfinite(value)]
    largest = max(finite, default=0.0) or 1.0
    for position, (name, value) in enumerate(shown, start=1):
        bar = block * round(_BAR_WIDTH * value / largest) if math.isfinite(value) else ""
        click.echo(f"{position:>4}  {_shorten(name):<{widest}}  {value:>10.4g}  {bar}")
    if len(ranked) > top:
        click.echo(f"      ... and {len(ranked) - top} more; --top {len(ranked)} shows all")


@main.command()
@_tracking_uri
@click.option("--experiment", metavar="NAME", help="Where runs are made for fits without a run.")
@click.option("--list", "only_list", is_flag=True, help="Only say what is kept.")
def flush(tracking_uri: str | None, experiment: str | None, only_list: bool) -> None:
    """Log the explanations that were kept on this machine while their server did not answer.

    Models that were still to be explained in the background when their process ended are explained
    first. Each explanation goes to the run it was meant for, in the store it was meant for or in
    that of --tracking-uri, from there to Azure ML where the run is Azure ML's, and is then
    forgotten. What still fails stays.
    """
    from mlflow_interpret import spool, tracking
    from mlflow_interpret.training import pending

    current = tracking.current_tracking_uri()

    def store(entry: Any) -> str:
        same = tracking.without_credentials(current) == entry.tracking_uri
        # MLflow's own setting may hold the password, which the entry does not.
        return tracking_uri or (current if same else str(entry.tracking_uri))

    left = pending.abandoned()
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
    from mlflow_interpret.config import Options
    from mlflow_interpret.errors import CannotExplainError
    from mlflow_interpret.training import background, outcomes, pending
    from mlflow_interpret.training.runs import Place

    name = left.folder.name
    try:
        entry = pending.entry_of(left)
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


@main.command()
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
@_tracking_uri
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
    from mlflow_interpret import pushing
    from mlflow_interpret.config import Options
    from mlflow_interpret.errors import MlflowInterpretError

    if (run_id is None) == (experiment is None):
        raise click.UsageError("Give a RUN_ID, or --all EXPERIMENT.")
    uri = _use(tracking_uri)
    option = "auto" if to is None else to
    try:
        options = Options(azureml=option, upload_timeout=timeout, visualization_points=points)
        if experiment is not None:
            _push_all(experiment, uri, options)
            return
        for found in pushing.push(str(run_id), uri, options):
            click.echo(f"{run_id}  in Azure ML as explanation {found}")
    except MlflowInterpretError as error:
        raise click.ClickException(str(error)) from error


def _push_all(experiment: str, uri: str, options: Any) -> None:
    from mlflow_interpret import pushing
    from mlflow_interpret.progress import progress

    waiting = pushing.pending(experiment, uri)
    if not waiting:
        click.echo(f"All explanations of experiment {experiment} are in Azure ML.")
        return
    failures = in_a_row = 0
    with progress("Pushing to Azure ML", unit="runs") as report:
        for done, run_id in enumerate(waiting):
            report(done, len(waiting))
            try:
                pushing.push(run_id, uri, options)
            except Exception as error:  # one that fails must not keep the others
                failures, in_a_row = failures + 1, in_a_row + 1
                click.echo(f"{run_id}  failed: {error}", err=True)
            else:
                in_a_row = 0
                click.echo(f"{run_id}  in Azure ML")
            if in_a_row == _PUSH_FAILURES:
                left = len(waiting) - done - 1
                raise click.ClickException(f"{in_a_row} in a row failed; {left} were not tried.")
    if failures:
        raise click.ClickException(f"{failures} of {len(waiting)} did not get to Azure ML.")


@main.command()
@click.option(
    "--workspace", metavar="WORKSPACE", help="An Azure ML workspace that is to be asked, too."
)
@_tracking_uri
@click.pass_context
def doctor(context: click.Context, workspace: str | None, tracking_uri: str | None) -> None:
    """Say what would happen on this machine, and why.

    Looks at versions, the MLflow store, Azure ML with its credentials, the spool and optional
    packages. Nothing is changed, no browser is opened, no secret is shown. The exit code is 1
    where something that is set up cannot work.
    """
    # This process is ours: a server that is not there is to be told within seconds.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    from mlflow_interpret import doctor as examination

    marks = {"ok": "ok", "note": "note", "broken": "BROKEN"}
    findings, topic = [], None
    for finding in examination.examine(_use(tracking_uri), workspace):
        findings.append(finding)
        shown = "" if finding.topic == topic else finding.topic
        topic = finding.topic
        click.echo(f"{shown:<13} {marks[finding.state]:<7} {finding.text}")
        if finding.remedy:
            click.echo(f"{'':<21} -> {finding.remedy}")
    if examination.is_broken(findings):
        context.exit(1)


@main.command()
@click.argument("runs", nargs=-1, metavar="RUN...")
@click.option("--experiment", "experiments", multiple=True, metavar="NAME", help="Search here.")
@click.option(
    "--filter", "filter_string", default="", metavar="FILTER", help="As of mlflow.search_runs."
)
@click.option("--order-by", multiple=True, metavar="COLUMN", help="As of mlflow.search_runs.")
@click.option(
    "--max-results",
    default=20,
    show_default=True,
    type=click.IntRange(2, 50_000),
    help="Find at most so many runs.",
)
@click.option(
    "--top",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="Show at most so many features.",
)
@click.option("--class", "label", metavar="CLASS", help="Compare for one class, or target.")
@click.option("--engineered", is_flag=True, help="Compare pipelines by engineered column.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a page with figures and all differences.",
)
@_tracking_uri
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

    from mlflow_interpret import api
    from mlflow_interpret.comparing.text import text
    from mlflow_interpret.errors import MlflowInterpretError

    mlflow.set_tracking_uri(_use(tracking_uri))
    try:
        comparison = api.compare_runs(
            runs or None,
            experiment_names=experiments or None,
            filter_string=filter_string,
            order_by=order_by or None,
            max_results=max_results,
            top_k=top,
            label=label,
            engineered=engineered,
            silent=not sys.stderr.isatty(),  # the text says what was skipped
        )
    except MlflowInterpretError as error:
        raise click.ClickException(str(error)) from error
    arrows = ("▲", "▼") if _draws() else ("+", "-")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    click.echo(text(comparison, width=width, arrows=arrows))
    if html is not None:
        comparison.to_html(html)
        click.echo(f"The page is in {html}")


def _draws() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")


def _log_kept(folder: Path, entry: Any, uri: str, experiment: str | None) -> str:
    import mlflow

    from mlflow_interpret import api, delivery, spool, tracking
    from mlflow_interpret.config import Options
    from mlflow_interpret.training.runs import run_to_log

    tracking.check_reachable(uri)
    mlflow.set_tracking_uri(uri)
    if entry.run_id is None:
        if experiment is not None:
            mlflow.set_experiment(experiment)
        with run_to_log(None) as run_id:
            entry = replace(entry, run_id=run_id)
        spool.update(folder, entry)  # another try goes to the same run
    options = Options(
        comment=entry.comment,
        top_k=entry.top_k,
        log_figures=entry.figures,
        baseline=entry.baseline,
        log_report=entry.report,
        visualization_points=entry.visualization_points,
    )
    delivery.deliver(spool.load(folder), str(entry.run_id), uri, options)
    spool.drop(folder)
    api.flush()
    return str(entry.run_id)


def _use(tracking_uri: str | None) -> str:
    from mlflow_interpret import tracking

    # This process is ours: MLflow's progress bars would stand between the lines of the table.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

    return tracking_uri or tracking.current_tracking_uri()


def _ranked_for(explanation: Any, label: str) -> list[tuple[str, float]]:
    from mlflow_interpret.errors import OptionError
    from mlflow_interpret.records import rank

    labels = [str(known) for known in explanation.blocks or ()]
    if label not in labels or explanation.per_class_values is None:
        allowed = ", ".join(labels) if labels else "none: the model has no classes"
        raise OptionError(f"--class must be one of the model's classes ({allowed}), got {label!r}.")
    values = explanation.per_class_values[labels.index(label)]
    return [(explanation.features[i], float(values[i])) for i in rank(values)]


def _headline(explanation: Any, run_id: str) -> str:
    details = explanation.details
    rows = details.get("rows", {})
    parts = [f"Run {run_id}: {explanation.model_class}, {explanation.method}"]
    if rows:
        parts.append(f"{rows['explained']} of {rows['available']} rows ({rows['source']})")
    if details.get("output_scale"):
        parts.append(f"scale: {details['output_scale']}")
    return ", ".join(parts)


def _shorten(name: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in name)
    return line if len(line) <= _NAME_WIDTH else f"{line[: _NAME_WIDTH - 1]}…"


if __name__ == "__main__":
    main()
