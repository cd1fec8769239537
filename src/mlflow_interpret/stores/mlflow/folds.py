"""Scores of a cross-validation as metrics, and the runs of its folds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from mlflow_interpret.stores.mlflow.layout import get_run
from mlflow_interpret.stores.mlflow.metrics import metric_name
from mlflow_interpret.stores.mlflow.new_runs import with_mlflow_tags


def log_scores(
    tracking_uri: str,
    run_id: str,
    scores: Mapping[str, float],
    by_fold: Mapping[str, Sequence[float]],
) -> None:
    """Log scores as metrics.

    Args:
        tracking_uri: The tracking URI.
        run_id: The run.
        scores: Scores by the name of the metric.
        by_fold: Scores of each fold, whose steps are the numbers of the folds.
    """
    now = int(time.time() * 1000)
    # The names of scorers are the user's, and MLflow allows fewer characters.
    metrics = [Metric(metric_name(name), value, now, 0) for name, value in scores.items()]
    metrics += [
        Metric(metric_name(name), value, now, step)
        for name, values in by_fold.items()
        for step, value in enumerate(values, start=1)
    ]
    MlflowClient(tracking_uri).log_batch(run_id, metrics=metrics)


@contextmanager
def child_run(tracking_uri: str, parent_id: str, name: str) -> Iterator[str]:
    """Create a run below another one, and end it with the block.

    Args:
        tracking_uri: The tracking URI.
        parent_id: The other run.
        name: The name of the new run.
    """
    client = MlflowClient(tracking_uri)
    experiment_id = get_run(client, parent_id).info.experiment_id
    tags = with_mlflow_tags({MLFLOW_PARENT_RUN_ID: parent_id})
    run_id = client.create_run(experiment_id, tags=tags, run_name=name).info.run_id
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)
