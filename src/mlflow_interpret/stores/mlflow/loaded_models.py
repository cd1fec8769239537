"""Logged models: the run and the explanation of a model, and the model itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_interpret.core.errors import RunNotFoundError
from mlflow_interpret.stores.mlflow import logged_models
from mlflow_interpret.stores.mlflow.layout import get_run
from mlflow_interpret.stores.mlflow.model_uris import MODELS, explanation_at

RUNS = "runs:/"
FLAVORS = ("sklearn", "xgboost", "lightgbm", "catboost")
"""Flavors whose models have explainers of their own."""


@dataclass(frozen=True)
class ModelAddress:
    """A logged model.

    Attributes:
        uri: The URI for MLflow's ``load_model``.
        run_id: The run of the model or of its explanation.
        explanation_id: The id of the explanation of the model, None where it is not known.
    """

    uri: str
    run_id: str
    explanation_id: str | None


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that was loaded.

    Attributes:
        model: The model of its library, or MLflow's pyfunc model.
        flavor: The flavor by which it was loaded: one of `FLAVORS` or ``pyfunc``.
    """

    model: Any
    flavor: str


def find_model(name: str, tracking_uri: str) -> ModelAddress:
    """Find a logged model and its explanation.

    Args:
        name: ``models:/...``, ``runs:/<run id>/<path>``, or the id of a run with one logged model.
        tracking_uri: The tracking URI.

    Raises:
        RunNotFoundError: There is no such run or model, or the run has none or several models.
    """
    if name.startswith(MODELS):
        run_id, explanation_id = explanation_at(name, tracking_uri)
        return ModelAddress(name, run_id, explanation_id)
    client = MlflowClient(tracking_uri)
    run_id, _, path = name.removeprefix(RUNS).partition("/")
    models = _models_of_run(client, run_id)
    if name.startswith(RUNS):
        models = [model for model in models if model.name == path]
        explanation = logged_models.explanation_of(models[-1]) if models else None
        return ModelAddress(name, *(explanation or (run_id, None)))
    if not models:
        raise RunNotFoundError(
            f"Run {run_id} has no logged model. Log it with mlflow.sklearn.log_model(model), or "
            "name it as 'runs:/<run id>/<path>' or 'models:/name/1'."
        )
    explained = [model for model in models if logged_models.explanation_of(model)]
    candidates = explained or models
    # A search and its best estimator are logged both, and have the same explanation.
    explanations = {logged_models.explanation_of(model) for model in candidates}
    if len(candidates) > 1 and (not explained or len(explanations) > 1):
        uris = ", ".join(repr(model.model_uri) for model in candidates)
        raise RunNotFoundError(
            f"Run {run_id} has {len(candidates)} logged models; name one of them: {uris}."
        )
    model = candidates[0]
    explanation = logged_models.explanation_of(model)
    return ModelAddress(model.model_uri, *(explanation or (run_id, None)))


def _models_of_run(client: MlflowClient, run_id: str) -> list[Any]:
    """Return the logged models of a run, oldest first."""
    outputs = get_run(client, run_id).outputs
    ids = [] if outputs is None else [output.model_id for output in outputs.model_outputs]
    return [client.get_logged_model(model_id) for model_id in ids]


def load_model(uri: str) -> LoadedModel:
    """Load a model by the flavor of its library, or as a pyfunc model; MLflow may unpickle it.

    Raises:
        RunNotFoundError: There is no such model.
    """
    import mlflow
    from mlflow.models import get_model_info

    try:
        flavors = get_model_info(uri).flavors
    except (MlflowException, OSError) as error:
        raise RunNotFoundError(
            f"{uri!r} is no logged model; name one as 'models:/name/1', 'models:/name@alias', "
            "'runs:/<run id>/<path>', or by the id of its run."
        ) from error
    for flavor in FLAVORS:
        if flavor in flavors:
            return LoadedModel(getattr(mlflow, flavor).load_model(uri), flavor)
    return LoadedModel(mlflow.pyfunc.load_model(uri), "pyfunc")
