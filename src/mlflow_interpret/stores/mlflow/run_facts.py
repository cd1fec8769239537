"""Metrics and params that a run holds beside its importances."""

from __future__ import annotations

import logging

from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_interpret.stores.mlflow.layout import get_run
from mlflow_interpret.stores.mlflow.metrics import OWN_METRIC

_logger = logging.getLogger(__name__)

_OF_MACHINE = "system/"  # MLflow's measurements of the machine


def model_metrics(run: Run) -> dict[str, float]:
    """Return the metrics of a run without importances and measurements of the machine, by name."""
    metrics = run.data.metrics
    names = sorted(
        name for name in metrics if not OWN_METRIC.match(name) and not name.startswith(_OF_MACHINE)
    )
    return {name: float(metrics[name]) for name in names}


def read_model_metrics(run_id: str, tracking_uri: str) -> dict[str, float]:
    """Return the metrics that a run holds now as `model_metrics`, none if it cannot be read."""
    try:
        return model_metrics(get_run(MlflowClient(tracking_uri), run_id))
    except Exception:  # a report is complete without them
        _logger.debug("The metrics of run %s cannot be read", run_id, exc_info=True)
        return {}
