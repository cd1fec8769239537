"""The command ``mlflow-interpret doctor``."""

from __future__ import annotations

import os

import click

from mlflow_interpret.cli.terminal import tracking_uri_of, tracking_uri_option


@click.command()
@click.option("--workspace", metavar="WORKSPACE", help="An Azure ML workspace to check, too.")
@tracking_uri_option
@click.pass_context
def doctor(context: click.Context, workspace: str | None, tracking_uri: str | None) -> None:
    """Check the configuration of this machine.

    Checks versions, the MLflow store, Azure ML and its credentials, stored explanations and
    optional packages. It changes nothing, opens no browser and shows no secrets. The exit code is 1
    if something is configured but cannot work.
    """
    # Report a server that does not answer within seconds.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    from mlflow_interpret import doctor as checks

    states = {"ok": "ok", "note": "note", "broken": "BROKEN"}
    findings, topic = [], None
    for finding in checks.examine(tracking_uri_of(tracking_uri), workspace):
        findings.append(finding)
        heading = "" if finding.topic == topic else finding.topic
        topic = finding.topic
        click.echo(f"{heading:<13} {states[finding.state]:<7} {finding.text}")
        if finding.remedy:
            click.echo(f"{'':<21} -> {finding.remedy}")
    if checks.is_broken(findings):
        context.exit(1)
