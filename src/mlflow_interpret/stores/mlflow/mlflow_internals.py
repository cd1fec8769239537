"""The parts of MLflow that are not documented; each has a contract test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

TABLES_TAG: str = MLFLOW_LOGGED_ARTIFACTS
"""The tag of tables that MLflow's UI compares across runs; `mlflow.log_table` sets it."""


def list_artifacts(run: Run, folder: str, tracking_uri: str) -> list[str]:
    """Return the paths in an artifact folder of a run.

    The artifact store of the run is asked directly: MLflow's client also asks for logged models,
    which Azure ML does not have.

    Raises:
        MlflowException: Some stores raise it for a folder that does not exist.
    """
    repository = get_artifact_repository(run.info.artifact_uri, tracking_uri)
    return [file.path for file in repository.list_artifacts(folder)]


def download_file(run: Run, path: str, tracking_uri: str, target: Path) -> None:
    """Download a file with one request; the public download lists first and draws a bar."""
    repository: Any = get_artifact_repository(run.info.artifact_uri, tracking_uri)
    repository._download_file(path, str(target))


def registry_uri(client: MlflowClient) -> str:
    """Return the URI of a client's model registry, without a request."""
    return str(getattr(client, "_registry_uri", None) or client.tracking_uri)


def parse_model_uri(uri: str) -> Any:
    """Parse a ``models:/`` URI into ``name``, ``version``, ``stage``, ``alias`` and ``model_id``.

    Returns:
        The parts, or None where the URI is not one.
    """
    from mlflow.store.artifact.utils.models import _parse_model_uri

    try:
        return _parse_model_uri(uri)
    except MlflowException:
        return None
