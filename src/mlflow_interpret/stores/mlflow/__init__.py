"""The MLflow store: write explanations into runs, find them again and keep their status."""

from __future__ import annotations

from mlflow_interpret.stores.mlflow.connection import (
    check_reachable,
    current_tracking_uri,
    request_experiment,
)
from mlflow_interpret.stores.mlflow.layout import (
    STATUS,
    TAG,
    Logged,
    State,
    explanations_of,
    folder_of,
    get_run,
    tag_name,
)
from mlflow_interpret.stores.mlflow.model_uris import run_id_of
from mlflow_interpret.stores.mlflow.reader import (
    explanations,
    load,
    records,
    runs_with_explanations,
    status_of,
)
from mlflow_interpret.stores.mlflow.run_facts import read_model_metrics
from mlflow_interpret.stores.mlflow.writer import log, log_skipped, note_skipped, update_status

__all__ = [
    "STATUS",
    "TAG",
    "Logged",
    "State",
    "check_reachable",
    "current_tracking_uri",
    "explanations",
    "explanations_of",
    "folder_of",
    "get_run",
    "load",
    "log",
    "log_skipped",
    "note_skipped",
    "read_model_metrics",
    "records",
    "request_experiment",
    "run_id_of",
    "runs_with_explanations",
    "status_of",
    "tag_name",
    "update_status",
]
