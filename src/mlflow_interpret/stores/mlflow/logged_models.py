"""Logged models of MLflow: importances as their metrics, and tags that lead to explanations."""

from __future__ import annotations

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_interpret.stores.mlflow.batch import metric_entities
from mlflow_interpret.stores.mlflow.layout import TAG, Logged, get_run
from mlflow_interpret.stores.mlflow.metrics import OWN_METRIC

RUN_TAG = f"{TAG}.run_id"
EXPLANATION_TAG = f"{TAG}.explanation_id"

_CONTEXT_TAG = "mlflow.data.context"


def is_importance(metric: str) -> bool:
    """Return whether a metric of a run is of an explanation."""
    return OWN_METRIC.match(metric) is not None


def link_explanation(logged: Logged, explanation_id: str, model_id: str) -> None:
    """Note in the tags of a logged model which explanation is about it."""
    client = MlflowClient(logged.tracking_uri)
    tags = {RUN_TAG: logged.run_id, EXPLANATION_TAG: explanation_id}
    client.set_logged_model_tags(model_id, tags)


def explanation_of(model: Any) -> tuple[str, str] | None:
    """Return the run and the id of the explanation of a logged model, by its tags."""
    tags = getattr(model, "tags", None) or {}
    run_id, explanation_id = tags.get(RUN_TAG), tags.get(EXPLANATION_TAG)
    return (run_id, explanation_id) if run_id and explanation_id else None


def add_importances(logged: Logged, model_id: str, *, of_training_rows: bool) -> None:
    """Log the metrics of an explanation as metrics of a logged model, too.

    The values and the time are those of the run, so that MLflow's databases store no second value
    in the run. Nothing is logged for a model of another experiment, as MLflow keeps the metrics of
    a model in the experiment of their run.

    Args:
        logged: The explanation in its run.
        model_id: The logged model.
        of_training_rows: The metrics name the training dataset, if the run has exactly one.
    """
    client = MlflowClient(logged.tracking_uri)
    run = get_run(client, logged.run_id)
    if client.get_logged_model(model_id).experiment_id != run.info.experiment_id:
        return
    dataset = _training_dataset(run) if of_training_rows else (None, None)
    metrics = metric_entities(logged.metrics, logged.status["created"], model_id, dataset)
    if metrics:
        client.log_batch(run.info.run_id, metrics=metrics)


def _training_dataset(run: Run) -> tuple[str | None, str | None]:
    """Return the name and digest of a run's training dataset, if it has exactly one."""
    inputs = run.inputs.dataset_inputs if run.inputs is not None else []
    datasets = {
        (item.dataset.name, item.dataset.digest)
        for item in inputs
        if any(tag.key == _CONTEXT_TAG and tag.value == "train" for tag in item.tags)
    }
    return datasets.pop() if len(datasets) == 1 else (None, None)
