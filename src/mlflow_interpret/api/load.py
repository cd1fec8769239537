"""Load an explanation from an MLflow run, or from the assets of an Azure ML run."""

from __future__ import annotations

from functools import partial
from typing import Any

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
    """Load the record of an explanation; see `mlflow_interpret.load_explanation`."""
    run_id, of_model = mlflow_store.explanation_at(run_id, tracking_uri)
    if explanation_id is None and comment is None:
        explanation_id = of_model
    if workspace is None:
        try:
            view = partial(select_view, engineered=engineered, raw=raw)
            return mlflow_store.load(run_id, explanation_id, tracking_uri, comment, view)
        except ExplanationNotFoundError:
            if not tracking_uri.startswith("azureml://"):
                raise
    from mlflow_interpret.stores.azureml import asset_reader, targets
    from mlflow_interpret.stores.azureml.workspace import open_workspace

    selection = asset_reader.Selection(explanation_id, comment, raw=raw, engineered=engineered)
    opened = (
        targets.workspace_of_tracking_uri(tracking_uri)
        if workspace is None
        else open_workspace(workspace)
    )
    return asset_reader.read(opened, run_id, selection)


def select_view(record: Explanation, *, engineered: bool, raw: bool = False) -> Explanation:
    """Select the view of an explanation: as it is, or by engineered column.

    Raises:
        ExplanationNotFoundError: The explanation has no such view.
    """
    if raw and record.raw is not None:
        return record.raw
    if raw and not record.is_raw:
        raise ExplanationNotFoundError(
            f"The explanation {record.id} has no raw view: its model is not a pipeline with "
            "separable columns. Leave raw out."
        )
    if not engineered or record.is_engineered:
        return record
    if record.engineered is None:
        raise ExplanationNotFoundError(
            f"The explanation {record.id} has no engineered view: its model is not a pipeline "
            "with separable columns. Leave engineered out."
        )
    return record.engineered
