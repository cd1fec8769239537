"""The ``mlflow-interpret`` command; each of its commands is a module."""

from __future__ import annotations

import click

from mlflow_interpret.cli.compare import compare
from mlflow_interpret.cli.doctor import doctor
from mlflow_interpret.cli.flush import flush
from mlflow_interpret.cli.push import push
from mlflow_interpret.cli.show import show
from mlflow_interpret.cli.terminal import escape_what_cannot_be_shown

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
    escape_what_cannot_be_shown()


for _command in (show, compare, flush, doctor, push):
    main.add_command(_command)
