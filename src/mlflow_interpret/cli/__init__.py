"""The ``mlflow-interpret`` command, with a module for each subcommand."""

from __future__ import annotations

import click

from mlflow_interpret.cli.compare import compare
from mlflow_interpret.cli.doctor import doctor
from mlflow_interpret.cli.explain import explain
from mlflow_interpret.cli.flush import flush
from mlflow_interpret.cli.push import push
from mlflow_interpret.cli.show import show
from mlflow_interpret.cli.terminal import escape_unencodable_characters

_HELP = """Show, compare and deliver the explanations of MLflow runs.

The tracking store is that of MLFLOW_TRACKING_URI or --tracking-uri.

\b
Examples:
  mlflow-interpret show 3f2a9c...   rank the features of a run's model
  mlflow-interpret compare 3f2a9c... 81d204...   compare rankings
  mlflow-interpret explain models:/churn@champion rows.parquet -o out.parquet
  mlflow-interpret flush            log explanations that were stored while offline
  mlflow-interpret doctor           check the configuration of this machine
  mlflow-interpret push 3f2a9c...   finish an upload to Azure ML
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mlflow-interpret")
def main() -> None:
    """Show, compare and deliver the explanations of MLflow runs."""
    escape_unencodable_characters()


for _command in (show, compare, explain, flush, doctor, push):
    main.add_command(_command)
