"""The code of explainable models, which MLflow runs when it loads one."""

from __future__ import annotations

from mlflow.models import set_model

from mlflow_interpret.api.explainable_model import ExplainableModel

set_model(ExplainableModel())
