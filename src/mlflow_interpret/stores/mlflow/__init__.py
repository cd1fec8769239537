"""The MLflow store: write explanations into runs, find them again and keep their status."""

from __future__ import annotations

from mlflow_interpret.stores.mlflow.connection import (
    check_reachable,
    current_tracking_uri,
    request_experiment,
)
from mlflow_interpret.stores.mlflow.folds import child_run, log_scores
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
from mlflow_interpret.stores.mlflow.loaded_models import find_model, load_model
from mlflow_interpret.stores.mlflow.logged_models import (
    add_importances,
    is_importance,
    link_explanation,
)
from mlflow_interpret.stores.mlflow.model_uris import explanation_at
from mlflow_interpret.stores.mlflow.new_runs import (
    INTEGRATION,
    create_run,
    delete_copies,
    end_new_run,
    find_new_run,
    new_run_tags,
    skipped_run_tags,
    with_mlflow_tags,
)
from mlflow_interpret.stores.mlflow.reader import (
    explanations,
    load,
    records,
    runs_with_explanations,
    status_of,
)
from mlflow_interpret.stores.mlflow.run_facts import read_model_metrics
from mlflow_interpret.stores.mlflow.writer import (
    add_files,
    log,
    log_skipped,
    note_skipped,
    update_status,
)

__all__ = [
    "INTEGRATION",
    "STATUS",
    "TAG",
    "Logged",
    "State",
    "add_files",
    "add_importances",
    "check_reachable",
    "child_run",
    "create_run",
    "current_tracking_uri",
    "delete_copies",
    "end_new_run",
    "explanation_at",
    "explanations",
    "explanations_of",
    "find_model",
    "find_new_run",
    "folder_of",
    "get_run",
    "is_importance",
    "link_explanation",
    "load",
    "load_model",
    "log",
    "log_scores",
    "log_skipped",
    "new_run_tags",
    "note_skipped",
    "read_model_metrics",
    "records",
    "request_experiment",
    "runs_with_explanations",
    "skipped_run_tags",
    "status_of",
    "tag_name",
    "update_status",
    "with_mlflow_tags",
]
