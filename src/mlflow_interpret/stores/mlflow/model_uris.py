"""The runs of registered and logged models, by their ``models:/`` URIs."""

from __future__ import annotations

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mlflow_interpret.core.errors import RunNotFoundError
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores.mlflow import logged_models, mlflow_internals
from mlflow_interpret.stores.mlflow.layout import get_run

MODELS = "models:/"

_MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}


def explanation_at(name: str, tracking_uri: str) -> tuple[str, str | None]:
    """Return the run behind a ``models:/`` URI, and the id of the model's explanation if known.

    Any other name is a run id itself.

    Raises:
        RunNotFoundError: There is no such model version, or it was registered without a run.
    """
    if not name.startswith(MODELS):
        return name, None
    client = MlflowClient(tracking_uri)
    model = model_at(client, name)
    explanation = explanation_of(client, model)
    return explanation or (str(run_of_version(client, model, name).info.run_id), None)


def explanation_of(client: MlflowClient, model: Any) -> tuple[str, str] | None:
    """Return the run and the id of the explanation of a logged model or its registered version."""
    if isinstance(model, ModelVersion):
        parts = mlflow_internals.parse_model_uri(model.source or "")
        if parts is None or parts.model_id is None:
            return None
        try:
            model = client.get_logged_model(parts.model_id)
        except MlflowException:  # it was deleted, or the registry is another server
            return None
    return logged_models.explanation_of(model)


def model_at(client: MlflowClient, uri: str) -> Any:
    """Return a model version or logged model.

    Raises:
        RunNotFoundError: There is no such model.
    """
    missing: Exception | None = None
    try:
        model = _model_at(client, uri)
    except MlflowException as error:
        if error.error_code not in _MISSING:
            raise
        model, missing = None, error
    if model is None:
        registry = without_credentials(mlflow_internals.registry_uri(client))
        raise RunNotFoundError(
            f"{uri!r} is no model version in {registry}; name one as 'models:/name/1' or "
            "'models:/name@alias'."
        ) from missing
    return model


def run_of_version(client: MlflowClient, model: Any, uri: str) -> Run:
    """Return the run of a model version or logged model.

    Args:
        client: The client.
        model: The model version or logged model.
        uri: Its URI, for the message.

    Raises:
        RunNotFoundError: It was registered without a run, or the run does not exist.
    """
    run_id = getattr(model, "source_run_id", None) or getattr(model, "run_id", None)
    if not run_id:
        raise RunNotFoundError(f"{uri!r} was registered without a run, which would explain it.")
    return get_run(client, run_id)


def uri_of(version: ModelVersion) -> str:
    """Return the URI of a model version."""
    return f"{MODELS}{version.name}/{version.version}"


def _model_at(client: MlflowClient, uri: str) -> Any:
    """Return the model at a URI; None for an invalid URI and for a stage, which MLflow removes."""
    parts = mlflow_internals.parse_model_uri(uri)
    if parts is None:
        return None
    if parts.model_id is not None:
        return client.get_logged_model(parts.model_id)
    if parts.alias is not None:
        return client.get_model_version_by_alias(parts.name, parts.alias)
    if parts.version is not None:
        return client.get_model_version(parts.name, parts.version)
    if parts.stage is not None:
        return None
    newest = client.search_model_versions(
        f"name = '{parts.name}'", max_results=1, order_by=["version_number DESC"]
    )
    return newest[0] if newest else None
