"""The runs that registered and logged models come from, by their ``models:/`` addresses."""

from __future__ import annotations

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mlflow_interpret.core.errors import RunNotFoundError
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores.mlflow.layout import get_run

MODELS = "models:/"

_MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}


def run_id_of(wanted: str, tracking_uri: str) -> str:
    """The id of the run that a ``models:/`` address comes from; any other name is one itself.

    Raises:
        RunNotFoundError: There is no such model version, or no run made it.
    """
    if not wanted.startswith(MODELS):
        return wanted
    return str(run_of_model(MlflowClient(tracking_uri), wanted).info.run_id)


def run_of_model(client: MlflowClient, address: str) -> Run:
    """The run of the model version, or logged model, at an address.

    Raises:
        RunNotFoundError: There is none, or it was registered without a run.
    """
    missing: Exception | None = None
    try:
        found = _at(client, address)
    except MlflowException as error:
        if error.error_code not in _MISSING:
            raise
        found, missing = None, error
    if found is None:
        registry = without_credentials(client._registry_uri or client.tracking_uri)
        raise RunNotFoundError(
            f"{address!r} is no model version in {registry}; name one as 'models:/name/1' or "
            "'models:/name@alias'."
        ) from missing
    return run_of_version(client, found, address)


def run_of_version(client: MlflowClient, model: Any, address: str) -> Run:
    """The run of a model version, or logged model, that is called by its address in errors.

    Raises:
        RunNotFoundError: It was registered without a run, or the run does not exist.
    """
    run_id = getattr(model, "source_run_id", None) or getattr(model, "run_id", None)
    if not run_id:
        raise RunNotFoundError(f"{address!r} was registered without a run, which would explain it.")
    return get_run(client, run_id)


def address_of(version: ModelVersion) -> str:
    """The address of a model version."""
    return f"{MODELS}{version.name}/{version.version}"


def _at(client: MlflowClient, address: str) -> Any:
    """What an address names; None where it is none, or names a stage, which MLflow gives up."""
    from mlflow.store.artifact.utils.models import _parse_model_uri

    try:
        parsed: Any = _parse_model_uri(address)
    except MlflowException:
        return None
    if parsed.model_id is not None:
        return client.get_logged_model(parsed.model_id)
    if parsed.alias is not None:
        return client.get_model_version_by_alias(parsed.name, parsed.alias)
    if parsed.version is not None:
        return client.get_model_version(parsed.name, parsed.version)
    if parsed.stage is not None:
        return None
    newest = client.search_model_versions(
        f"name = '{parsed.name}'", max_results=1, order_by=["version_number DESC"]
    )
    return newest[0] if newest else None
