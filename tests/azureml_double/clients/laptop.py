"""A program outside of Azure that logs in as a service principal and reads a run.

Usage: laptop.py RESULT.json SUBSCRIPTION GROUP WORKSPACE EXPERIMENT RUN
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from azureml.core import Experiment, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
from azureml.core.run import Run
from azureml.interpret import ExplanationClient


def error_of(action: Callable[[], object]) -> str:
    try:
        action()
    except Exception as error:
        return type(error).__name__
    return "none"


def login(secret: str) -> ServicePrincipalAuthentication:
    return ServicePrincipalAuthentication(
        tenant_id=os.environ["AZURE_TENANT_ID"],
        service_principal_id=os.environ["AZURE_CLIENT_ID"],
        service_principal_password=secret,
    )


def main() -> None:
    target, subscription, group, name, experiment, run_id = sys.argv[1:]
    auth = login(os.environ["AZURE_CLIENT_SECRET"])
    workspace = Workspace.get(name, auth, subscription, group)
    client = ExplanationClient.from_run_id(workspace, experiment, run_id)
    interactive = Experiment(workspace, "interactive").start_logging(snapshot_directory=None)
    interactive.complete()
    result = {
        "importances": client.download_model_explanation().get_feature_importance_dict(),
        "files": Run.get(workspace, run_id).get_file_names(),
        "interactive": [interactive.id, interactive.get_status()],
        "unknown_run": error_of(lambda: Run.get(workspace, "no-such-run")),
        "unknown_workspace": error_of(lambda: Workspace.get("other", auth, subscription, group)),
        "bad_login": error_of(lambda: login("wrong").get_authentication_header()),
    }
    Path(target).write_text(json.dumps(result))


main()
