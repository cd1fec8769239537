"""Public functions for explanations: compute, log, load, compare and upload them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlflow_interpret import interpret_community
from mlflow_interpret.api import load
from mlflow_interpret.api.explain_model import explain_model
from mlflow_interpret.api.global_explanation import public_explanation
from mlflow_interpret.autologging.run_context import active_run, run_to_log
from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.options import Comparison, Options, check_views
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.runtime.messages import show_messages
from mlflow_interpret.stores import mlflow as mlflow_store

if TYPE_CHECKING:
    from mlflow_interpret.compare import RunComparison

_logger = logging.getLogger("mlflow_interpret")


def explain(
    model: Any,
    initialization_examples: Any,
    evaluation_examples: Any = None,
    *,
    features: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    max_rows: int | None = None,
    engine: str = "auto",
    random_state: int = 0,
    engineered: bool = False,
    n_jobs: int | None = None,
    time_budget: float | None = None,
    silent: bool = False,
) -> Any:
    """Explain a fitted model as `autolog` does, without a run.

    Args:
        model: A fitted scikit-learn classifier, regressor, pipeline or search, or a model of
            XGBoost, LightGBM or CatBoost, native ones included.
        initialization_examples: The training rows, ``(n_rows, n_features)``, or a DMatrix, LightGBM
            Dataset or Pool that holds them.
        evaluation_examples: Rows to explain, or ``(rows, labels)``; or a Dask DataFrame, a Parquet
            dataset (`pyarrow.dataset.Dataset`) or its path, of which all rows are explained by
            partition, unless ``max_rows`` is given. Default: a seeded sample of
            ``initialization_examples``.
        features: Feature names, one for each column. Default: the columns' own.
        classes: Class names in the order of the model's classes. Default: the model's labels.
        max_rows: The most rows to explain. Fewer are explained once the ranking of the leading
            features has converged, unless this is the number of all rows. Default: a limit that
            depends on the explainer.
        engine: As for `autolog`.
        random_state: The seed of the sample of rows and of the explainer.
        engineered: Return the explanation by engineered columns, which pipelines have beside that
            by raw columns.
        n_jobs: As for `autolog`.
        time_budget: Seconds for the explanation, None for no limit; as for `autolog`.
        silent: Show no progress.

    Returns:
        A global explanation: ``get_feature_importance_dict()``, ``local_importance_values``, ...
        It is interpret-community's type, as of ``TabularExplainer.explain_global``, if that
        package is installed, else a `GlobalExplanation` with the same interface.

    Raises:
        OptionError: An argument is not allowed.
        CannotExplainError: The model or its rows cannot be explained.
        ExplanationNotFoundError: There is no explanation by engineered columns.
    """
    from mlflow_interpret.explaining.native_data import (
        as_evaluation_examples,
        as_initialization_examples,
    )

    evaluation_examples = as_evaluation_examples(evaluation_examples)
    initialization_examples = as_initialization_examples(initialization_examples)
    record = explain_model(
        model,
        initialization_examples,
        Options(
            evaluation_examples=evaluation_examples,
            initialization_examples=initialization_examples,
            features=features,
            classes=classes,
            max_rows=max_rows,
            engine=engine,
            random_state=random_state,
            n_jobs=n_jobs,
            time_budget=time_budget,
            silent=silent,
        ),
    )
    return public_explanation(load.select_view(record, engineered=engineered))


def log_explanation(
    explanation: Any = None,
    run_id: str | None = None,
    *,
    model: Any = None,
    initialization_examples: Any = None,
    evaluation_examples: Any = None,
    max_rows: int | None = None,
    random_state: int = 0,
    true_ys: Any = None,
    model_id: str | None = None,
    comment: str | None = None,
    top_k: int = 20,
    metrics: str | Sequence[str] = ("importance", "share"),
    baseline: str | None = None,
    log_figures: bool = True,
    log_report: bool = True,
    log_data: bool = True,
    log_description: bool = True,
    azureml: Any = "auto",
    upload_timeout: float = 60.0,
    visualization_points: int | None = None,
    silent: bool = False,
) -> str:
    """Log an explanation of this package or of interpret-community, or compute and log one.

    Args:
        explanation: A global explanation. None to compute one of ``model``.
        run_id: The run. Default: the active run, or a new one, which is then ended.
        model: A fitted model to explain, as for `explain`.
        initialization_examples: As for `explain`.
        evaluation_examples: As for `explain`.
        max_rows: As for `explain`.
        random_state: As for `explain`.
        true_ys: True labels of the explained rows, ``(n_rows,)``.
        model_id: The `mlflow.entities.LoggedModel` that the metrics are about, as for
            `mlflow.log_metrics`.
        comment: A text for the status record, which Azure ML studio shows beside the explanation.
        top_k: The number of features that become metrics, from 1 to 30.
        metrics: As for `autolog`.
        baseline: As for `autolog`.
        log_figures: Log the figures: importances, values by row, importances by class.
        log_report: Log the HTML report.
        log_data: As for `autolog`.
        log_description: As for `autolog`.
        azureml: As for `autolog`.
        upload_timeout: As for `autolog`.
        visualization_points: As for `autolog`.
        silent: Suppress warnings and progress bars.

    Returns:
        The id of the run.

    Raises:
        OptionError: An argument is not allowed.
        CannotExplainError: ``explanation`` is no global explanation.
        RunNotFoundError: There is no such run.
    """
    from mlflow_interpret.autologging.baseline import log_to_run

    options = Options(
        comment=comment,
        model_id=model_id,
        top_k=top_k,
        metrics=metrics,
        baseline=baseline,
        log_figures=log_figures,
        log_report=log_report,
        log_data=log_data,
        log_description=log_description,
        azureml=azureml,
        upload_timeout=upload_timeout,
        visualization_points=visualization_points,
        silent=silent,
    )
    if (explanation is None) == (model is None):
        raise OptionError(
            "explanation must be a global explanation, or None if model is given, got "
            f"{'neither' if model is None else 'both'}."
        )
    show_messages()
    if explanation is None:
        explanation = explain(
            model,
            initialization_examples,
            evaluation_examples,
            max_rows=max_rows,
            random_state=random_state,
            silent=silent,
        )
    record = interpret_community.to_record(explanation, true_ys)
    tracking_uri = mlflow_store.current_tracking_uri()
    with suppress_warnings(), run_to_log(run_id or active_run()[0]) as chosen:
        return log_to_run(record, chosen, tracking_uri, options).run_id


def load_explanation(
    run_id: str,
    *,
    explanation_id: str | None = None,
    comment: str | None = None,
    engineered: bool = False,
    raw: bool = False,
    workspace: Any = None,
) -> Any:
    """Load an explanation from an MLflow run, or from Azure ML; nothing is unpickled.

    The MLflow run is searched first. If it has no such explanation and the tracking URI is an
    ``azureml://`` one, the assets of the Azure ML run with the same id are searched, whether this
    package or ExplanationClient uploaded them.

    Args:
        run_id: The run, or a model (``"models:/name/1"``, ``"models:/name@alias"``,
            ``"models:/<model id>"``) for the run that it comes from.
        explanation_id: The id of one of the run's explanations. Default: the latest.
        comment: Only an explanation with this comment.
        engineered: Return the explanation by engineered columns, which pipelines have beside that
            by raw columns.
        raw: Only an explanation by raw columns of a pipeline.
        workspace: Read from this Azure ML workspace only; ``run_id`` is then a run id. An
            ``azureml.core.Workspace``, an ``azure.ai.ml.MLClient``, an ``azureml://`` URI, a
            resource id or the path of a ``config.json``.

    Returns:
        A global explanation, as of `explain`, with the values, names, classes and expected values
        of the logged one, to the last bit. In Azure ML, classes are text, and rows and predictions
        are stored only if all explained rows were uploaded.

    Raises:
        OptionError: ``engineered`` and ``raw`` are both True, or ``workspace`` names none.
        RunNotFoundError: The tracking store, or the workspace, has no such run or model.
        ExplanationNotFoundError: The run holds no explanation, or not the requested one.
        AzureMLError: The workspace refuses or does not respond.
        TrackingUnavailableError: The tracking server does not respond.
    """
    check_views(engineered=engineered, raw=raw)
    if workspace is not None:
        from mlflow_interpret.stores.azureml.store import check_workspace

        check_workspace(workspace)
    record = load.load(
        run_id,
        mlflow_store.current_tracking_uri(),
        explanation_id=explanation_id,
        comment=comment,
        engineered=engineered,
        raw=raw,
        workspace=workspace,
    )
    return public_explanation(record)


def compare_runs(
    runs: Iterable[Any] | None = None,
    *,
    experiment_names: Sequence[str] | None = None,
    filter_string: str = "",
    order_by: Sequence[str] | None = None,
    max_results: int = 1000,
    top_k: int = 10,
    label: str | None = None,
    engineered: bool = False,
    silent: bool = False,
) -> RunComparison:
    """Compare the explanations of several runs.

    The latest explanation of each run is read: one small file, in parallel, without rows of data.
    The first run is the reference of `RunComparison.differences` and of the marks.

    Args:
        runs: Run ids, `mlflow.entities.Run` objects, model versions (``"models:/name/1"``,
            ``"models:/name@alias"``), in any mixture and compared in this order, or a table of
            `mlflow.search_runs`. Default: the results of the search.
        experiment_names: Experiments to search, in addition to ``runs``. Default: the active
            experiment if ``runs`` is not given.
        filter_string: A filter string as for `mlflow.search_runs`. Only runs with an explanation
            are found.
        order_by: The order of the search; ``runs`` keep theirs. Default: the newest runs are found
            and compared from the oldest on, so the oldest of them is the reference.
        max_results: The most runs that the search returns.
        top_k: The number of features in figures and in the overlap of `RunComparison.agreement`.
        label: Compare the importances for this class or target instead of the mean over all.
        engineered: Compare by engineered columns.
        silent: Suppress warnings and progress bars.

    Returns:
        The comparison: ``.table``, ``.runs``, ``.agreement``, ``.differences``, ``.plot()``,
        ``.to_html()``. Runs without an explanation are left out, with one warning, and listed in
        ``.skipped``.

    Raises:
        OptionError: An argument is not allowed.
        RunNotFoundError: A run or model version does not exist.
        ExplanationNotFoundError: Fewer than two different runs hold an explanation.
        TrackingUnavailableError: The tracking server does not respond.
    """
    from mlflow_interpret.api import compare_runs

    options = Comparison(
        experiment_names, filter_string, order_by, max_results, top_k, label, engineered, silent
    )
    show_messages()
    return compare_runs.compare(runs, mlflow_store.current_tracking_uri(), options)


def push(
    run_id: str,
    *,
    azureml: Any = "auto",
    upload_timeout: float = 300.0,
    visualization_points: int | None = None,
) -> list[str]:
    """Finish uploads to Azure ML that failed or never ran, without computing again.

    The explanations of the MLflow run are uploaded unless Azure ML has them, so a second call does
    nothing. Any machine that can read the run can do this.

    Args:
        run_id: The MLflow run.
        azureml: The destination: ``"auto"`` if the MLflow run is an Azure ML run, or a run or a
            workspace as for `autolog`.
        upload_timeout: Seconds for each of the run's explanations.
        visualization_points: As for `autolog`. Default: the value for which the run was logged.

    Returns:
        The ids under which Azure ML has the run's explanations, oldest first.

    Raises:
        OptionError: An argument is not allowed.
        AzureMLError: An upload failed; the message gives the reason. Another call continues where
            this one ended.
        RunNotFoundError: There is no such run in the tracking store.
        ExplanationNotFoundError: The run holds no explanation.
    """
    from mlflow_interpret.api import push as push_runs

    options = Options(
        azureml=azureml, upload_timeout=upload_timeout, visualization_points=visualization_points
    )
    return push_runs.push(run_id, mlflow_store.current_tracking_uri(), options)


def flush(timeout: float | None = None) -> bool:
    """Wait for background work: explanations in the background, and uploads.

    Args:
        timeout: The most seconds to wait. Default: until all work has ended; each upload ends after
            its ``upload_timeout``.

    Returns:
        Whether all work has ended.
    """
    from mlflow_interpret.autologging import background
    from mlflow_interpret.stores import delivery

    deadline = None if timeout is None else time.monotonic() + timeout
    explained = background.flush(timeout)
    remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
    return delivery.flush(remaining) and explained
