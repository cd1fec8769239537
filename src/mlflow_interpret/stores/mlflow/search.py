"""Runs that are to be compared, found by what users call them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mlflow_interpret.core.errors import ExplanationNotFoundError, OptionError, one_line
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.options import Comparison
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.core.text import describe_value
from mlflow_interpret.runtime.progress import Report, nothing
from mlflow_interpret.stores.mlflow.artifacts import map_concurrently
from mlflow_interpret.stores.mlflow.importances import Named, load_importances
from mlflow_interpret.stores.mlflow.layout import TAG, explanations_of, get_run
from mlflow_interpret.stores.mlflow.model_uris import (
    MODELS,
    run_of_model,
    run_of_version,
    uri_of,
)

LATEST = "latest"

_CANDIDATES = 10  # runs among which the latest of the same model is looked for
_EXPLAINED = f"tags.{TAG}.explanations != '0'"


def asked_for(runs: Any, options: Comparison, tracking_uri: str, report: Report) -> list[Named]:
    """The runs of a list, those of a search, or both; each may be there more than once.

    Raises:
        RunNotFoundError: A run, or a model version, does not exist.
        OptionError: Some are no runs, or the search is not one of MLflow's, or there is an order
            and nothing is searched.
    """
    searches = runs is None or options.experiment_names is not None or bool(options.filter_string)
    if options.order_by and not searches:
        raise OptionError(
            "order_by must be None where runs are given and nothing is searched, got "
            f"{describe_value(options.order_by)}. The runs are compared in their order."
        )
    found = [] if runs is None else named_runs(_each(runs), tracking_uri, report)
    if searches:
        found += search(options, tracking_uri)
    return found


def _each(runs: Any) -> list[Any]:
    if isinstance(runs, (str, Run, ModelVersion)):
        raise OptionError(
            f"runs must be a list of two or more runs to compare, got one: {_one(runs)}. Write "
            "compare_runs([first, second]), or leave runs out to compare the newest."
        )
    if not isinstance(runs, Iterable):
        raise OptionError(
            "runs must be a list of run ids, Run objects or model versions, or None, got "
            f"{describe_value(runs)}."
        )
    if not hasattr(runs, "columns"):
        return list(runs)
    table: Any = runs  # as mlflow.search_runs returns it by default
    if "run_id" not in table:
        raise OptionError(
            "runs must have a column run_id where it is a table, as that of mlflow.search_runs, "
            f"got {describe_value(runs)}."
        )
    return list(table["run_id"])


def _one(run: str | Run | ModelVersion) -> str:
    if isinstance(run, ModelVersion):
        return describe_value(uri_of(run))
    return describe_value(run if isinstance(run, str) else f"run {run.info.run_id}")


def named_runs(wanted: Iterable[Any], tracking_uri: str, report: Report) -> list[Named]:
    """The runs of run ids, MLflow's `Run` and `ModelVersion` objects, and ``models:/`` addresses.

    Raises:
        RunNotFoundError: A run, or a model version, does not exist.
        OptionError: One is none of these.
    """
    client = MlflowClient(tracking_uri)

    def find(item: Any) -> Named:
        if isinstance(item, Run) and explanations_of(item):
            return item, _name(item)
        if isinstance(item, Run):  # a run that was still active when the user took hold of it
            item = item.info.run_id
        if isinstance(item, ModelVersion):
            return run_of_version(client, item, uri_of(item)), uri_of(item)
        if isinstance(item, str) and item.startswith(MODELS):
            return run_of_model(client, item), item
        if isinstance(item, str) and item:
            run = get_run(client, item)
            return run, _name(run)
        raise OptionError(
            "runs must hold run ids, mlflow.entities.Run objects or model versions "
            f"('models:/name/1', 'models:/name@alias'), got {describe_value(item)}."
        )

    return map_concurrently(find, list(wanted), report)


def search(options: Comparison, tracking_uri: str) -> list[Named]:
    """Runs with an explanation, by the words of `mlflow.search_runs`, in MLflow's current store.

    Without an order, the newest are found and given from the oldest on: what came first is what
    the others are compared with.

    Raises:
        OptionError: There is no such experiment, or MLflow does not understand the words.
    """
    names, filter_string = options.experiment_names, options.filter_string
    client = MlflowClient(tracking_uri)
    ids = None
    if names is not None:
        ids = [_experiment_id(client, name) for name in names]
    try:
        runs = mlflow.search_runs(
            experiment_ids=ids,
            filter_string=f"{filter_string} and {_EXPLAINED}" if filter_string else _EXPLAINED,
            order_by=list(options.order_by) if options.order_by else None,
            max_results=options.max_results,
            output_format="list",
        )
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        raise OptionError(
            "filter_string and order_by must be in the words of mlflow.search_runs, got "
            f"{filter_string!r} and {options.order_by!r}: {one_line(error)}"
        ) from error
    if not options.order_by:
        runs = sorted(runs, key=lambda run: run.info.start_time or 0)
    return [(run, _name(run)) for run in runs]


def _experiment_id(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        raise OptionError(
            f"experiment_names must be experiments in {_shown(client.tracking_uri)}, got {name!r}, "
            "which does not exist there."
        )
    return str(experiment.experiment_id)


def load_baseline(
    wanted: str, run_id: str, model_class: str | None, tracking_uri: str
) -> Importances | None:
    """What a new explanation in run ``run_id`` is compared with.

    Args:
        wanted: A run id, a model version, or ``"latest"``: the latest finished run of the same
            experiment with an explanation, of the same class of model where the last ten have one.
        run_id: The run of the new explanation, which is not its own baseline.
        model_class: The class of its model.
        tracking_uri: The store.

    Returns:
        The importances; None where ``"latest"`` finds no run.

    Raises:
        RunNotFoundError: The run or model version does not exist.
        ExplanationNotFoundError: It holds no explanation.
    """
    if wanted != LATEST:
        (named,) = named_runs([wanted], tracking_uri, nothing)
        loaded, reasons = load_importances([named], tracking_uri, nothing)
        if reasons:
            raise ExplanationNotFoundError(f"Run {named[0].info.run_id}: {reasons.popitem()[1]}")
        return loaded[0]
    client = MlflowClient(tracking_uri)
    experiment = get_run(client, run_id).info.experiment_id
    found = client.search_runs(
        [experiment],
        f"{_EXPLAINED} and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=_CANDIDATES + 1,
    )
    others = [(run, _name(run)) for run in found if run.info.run_id != run_id][:_CANDIDATES]
    loaded, _ = load_importances(others, tracking_uri, nothing)
    same = [importances for importances in loaded if importances.model_class == model_class]
    return next(iter(same or loaded), None)


def _name(run: Run) -> str:
    return str(run.info.run_name or run.info.run_id)


def _shown(tracking_uri: str) -> str:
    return without_credentials(tracking_uri)
