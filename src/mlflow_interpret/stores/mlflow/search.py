"""Find runs for a comparison, by their ids, models or a search."""

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
    explanation_of,
    model_at,
    run_of_version,
    uri_of,
)

LATEST = "latest"

_MAX_CANDIDATES = 10  # for the latest run with a model of the same class
_EXPLAINED = f"tags.{TAG}.explanations != '0'"


def find_runs(runs: Any, options: Comparison, tracking_uri: str, report: Report) -> list[Named]:
    """Return the runs of a list, of a search, or of both; a run may be there more than once.

    Args:
        runs: What `compare_runs` takes as runs.
        options: The search.
        tracking_uri: The tracking URI.
        report: Called with the progress.

    Raises:
        RunNotFoundError: A run or model version does not exist.
        OptionError: An item is no run, MLflow does not understand the search, or there is an order
            without a search.
    """
    searches = runs is None or options.experiment_names is not None or bool(options.filter_string)
    if options.order_by and not searches:
        raise OptionError(
            "order_by must be None where runs are given and nothing is searched, got "
            f"{describe_value(options.order_by)}. The runs are compared in their order."
        )
    named = [] if runs is None else named_runs(_items_of(runs), tracking_uri, report)
    if searches:
        named += search(options, tracking_uri)
    return named


def _items_of(runs: Any) -> list[Any]:
    if isinstance(runs, (str, Run, ModelVersion)):
        raise OptionError(
            f"runs must be a list of two or more runs to compare, got one: {_describe_run(runs)}. "
            "Write compare_runs([first, second]), or leave runs out to compare the newest."
        )
    if not isinstance(runs, Iterable):
        raise OptionError(
            "runs must be a list of run ids, Run objects or model versions, or None, got "
            f"{describe_value(runs)}."
        )
    if not hasattr(runs, "columns"):
        return list(runs)
    table: Any = runs  # the default result of mlflow.search_runs
    if "run_id" not in table:
        raise OptionError(
            "runs must have a column run_id where it is a table, as that of mlflow.search_runs, "
            f"got {describe_value(runs)}."
        )
    return list(table["run_id"])


def _describe_run(run: str | Run | ModelVersion) -> str:
    if isinstance(run, ModelVersion):
        return describe_value(uri_of(run))
    return describe_value(run if isinstance(run, str) else f"run {run.info.run_id}")


def named_runs(items: Iterable[Any], tracking_uri: str, report: Report) -> list[Named]:
    """Return the runs of run ids, MLflow's `Run` and `ModelVersion` objects and ``models:/`` URIs.

    Raises:
        RunNotFoundError: A run or model version does not exist.
        OptionError: An item is none of these.
    """
    client = MlflowClient(tracking_uri)

    def find(item: Any) -> Named:
        if isinstance(item, Run) and explanations_of(item):
            return Named(item, _name(item))
        if isinstance(item, Run):  # it may be older than the explanation
            item = item.info.run_id
        if isinstance(item, ModelVersion):
            return _named_model(client, item, uri_of(item))
        if isinstance(item, str) and item.startswith(MODELS):
            return _named_model(client, model_at(client, item), item)
        if isinstance(item, str) and item:
            run = get_run(client, item)
            return Named(run, _name(run))
        raise OptionError(
            "runs must hold run ids, mlflow.entities.Run objects or model versions "
            f"('models:/name/1', 'models:/name@alias'), got {describe_value(item)}."
        )

    return map_concurrently(find, list(items), report)


def search(options: Comparison, tracking_uri: str) -> list[Named]:
    """Search for runs with an explanation, with the filters of `mlflow.search_runs`.

    Without an order, the newest runs are found and returned from the oldest on: the first run is
    the reference of a comparison.

    Raises:
        OptionError: There is no such experiment, or MLflow does not understand the search.
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
        invalid = _invalid_option(error, ids, options)
        if invalid is None:
            raise
        raise OptionError(
            f"{invalid} must be as for mlflow.search_runs, got {getattr(options, invalid)!r}: "
            f"{one_line(error)}"
        ) from error
    if not options.order_by:
        runs = sorted(runs, key=lambda run: run.info.start_time or 0)
    return [Named(run, _name(run)) for run in runs]


def _invalid_option(
    error: MlflowException, experiment_ids: list[str] | None, options: Comparison
) -> str | None:
    """Return the option of a search that MLflow refuses, None if it is none of them."""
    if error.error_code != "INVALID_PARAMETER_VALUE":
        return None
    given = [name for name in ("filter_string", "order_by") if getattr(options, name)]
    if len(given) < 2:
        return given[0] if given else None
    try:
        mlflow.search_runs(experiment_ids, options.filter_string, max_results=1)
    except MlflowException:
        return "filter_string"
    return "order_by"


def _experiment_id(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        uri = without_credentials(client.tracking_uri)
        raise OptionError(
            f"experiment_names must be experiments in {uri}, got {name!r}, which does not exist "
            "there."
        )
    return str(experiment.experiment_id)


def load_baseline(
    name: str, run_id: str, model_class: str | None, tracking_uri: str
) -> Importances | None:
    """Return the importances of the baseline of a new explanation.

    Args:
        name: A run id, a model version, or ``"latest"``: the latest finished run of the same
            experiment with an explanation, of the same class of model where the last ten have one.
        run_id: The run of the new explanation, which is not its own baseline.
        model_class: The class of its model.
        tracking_uri: The tracking URI.

    Returns:
        The importances; None where ``"latest"`` finds no run.

    Raises:
        RunNotFoundError: The run or model version does not exist.
        ExplanationNotFoundError: It holds no explanation.
    """
    if name != LATEST:
        (named,) = named_runs([name], tracking_uri, nothing)
        loaded, reasons = load_importances([named], tracking_uri, nothing)
        if reasons:
            raise ExplanationNotFoundError(f"Run {named.run.info.run_id}: {reasons.popitem()[1]}")
        return loaded[0]
    client = MlflowClient(tracking_uri)
    experiment = get_run(client, run_id).info.experiment_id
    latest = client.search_runs(
        [experiment],
        f"{_EXPLAINED} and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=_MAX_CANDIDATES + 1,
    )
    others = [Named(run, _name(run)) for run in latest if run.info.run_id != run_id]
    loaded, _ = load_importances(others[:_MAX_CANDIDATES], tracking_uri, nothing)
    same_class = [importances for importances in loaded if importances.model_class == model_class]
    return next(iter(same_class or loaded), None)


def _named_model(client: MlflowClient, model: Any, uri: str) -> Named:
    """Return the run that explains a model version or logged model, and the explanation if known.

    Raises:
        RunNotFoundError: It was registered without a run, or the run does not exist.
    """
    explanation = explanation_of(client, model)
    if explanation is None:
        return Named(run_of_version(client, model, uri), uri)
    run_id, explanation_id = explanation
    return Named(get_run(client, run_id), uri, explanation_id)


def _name(run: Run) -> str:
    return str(run.info.run_name or run.info.run_id)
