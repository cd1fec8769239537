"""An explanation of a run, from wherever it is: the MLflow run, else Azure ML's assets."""

from __future__ import annotations

from functools import partial
from typing import Any

from mlflow_interpret import interpret_community
from mlflow_interpret.core.errors import ExplanationNotFoundError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores import mlflow as mlflow_store


def load(
    run_id: str,
    tracking_uri: str,
    *,
    explanation_id: str | None = None,
    comment: str | None = None,
    engineered: bool = False,
    raw: bool = False,
    workspace: Any = None,
) -> Explanation:
    """The record of an explanation; see `mlflow_interpret.load_explanation`."""
    run_id = mlflow_store.run_id_of(run_id, tracking_uri)
    if workspace is None:
        try:
            view = partial(interpret_community.view, engineered=engineered, raw=raw)
            return mlflow_store.load(run_id, explanation_id, tracking_uri, comment, view)
        except ExplanationNotFoundError:
            if not tracking_uri.startswith("azureml://"):
                raise
    from mlflow_interpret.stores.azureml import asset_reader, targets
    from mlflow_interpret.stores.azureml.workspace import open_workspace

    wanted = asset_reader.Wanted(explanation_id, comment, raw=raw, engineered=engineered)
    place = (
        targets.workspace_of_tracking(tracking_uri)
        if workspace is None
        else open_workspace(workspace)
    )
    return asset_reader.read(place, run_id, wanted)
