"""Explanations in MLflow runs: written, found again, and their status kept.

`stores` knows where runs are kept, `numbering` which explanation of a run is which, `writing` and
`reading` write and read one run; `registered` knows the runs of models; `finding` and `importances`
look at many runs.
"""

from __future__ import annotations

from mlflow_interpret.stores.mlflow.connection import (
    ask_for_an_experiment,
    check_reachable,
    current_tracking_uri,
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
from mlflow_interpret.stores.mlflow.writer import log, log_skipped, note_skipped, update_status

__all__ = [
    "STATUS",
    "TAG",
    "Logged",
    "State",
    "ask_for_an_experiment",
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
    "records",
    "run_id_of",
    "runs_with_explanations",
    "status_of",
    "tag_name",
    "update_status",
]
