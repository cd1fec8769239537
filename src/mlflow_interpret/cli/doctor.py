"""``mlflow-interpret doctor``: what would happen on this machine."""

from __future__ import annotations

import os

import click

from mlflow_interpret.cli.terminal import store_named, store_option


@click.command()
@click.option(
    "--workspace", metavar="WORKSPACE", help="An Azure ML workspace that is to be asked, too."
)
@store_option
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
    for finding in examination.examine(store_named(tracking_uri), workspace):
        findings.append(finding)
        shown = "" if finding.topic == topic else finding.topic
        topic = finding.topic
        click.echo(f"{shown:<13} {marks[finding.state]:<7} {finding.text}")
        if finding.remedy:
            click.echo(f"{'':<21} -> {finding.remedy}")
    if examination.is_broken(findings):
        context.exit(1)
