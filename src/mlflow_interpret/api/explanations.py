"""The functions that users call themselves; unlike the hook, they raise."""

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
from mlflow_interpret.core.options import Comparison, Options, check_views, check_workspace
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
        model: A fitted scikit-learn classifier, regressor, pipeline or search.
        initialization_examples: The training rows, ``(n_rows, n_features)``.
        evaluation_examples: Rows to explain, or ``(rows, labels)``; or a Dask DataFrame, a Parquet
            dataset (`pyarrow.dataset.Dataset`) or its path, whose rows are all explained where they
            lie, unless ``max_rows`` is given. Default: a seeded sample of
            ``initialization_examples``.
        features: Feature names, one for each column. Default: the columns' own.
        classes: Class names in the order of the model's classes. Default: the model's labels.
        max_rows: Explain at most so many rows; fewer where the ranking of the leading features is
            settled before, unless all rows are asked for. Default: a ceiling by engine.
        engine: As for `autolog`.
        random_state: Chooses the rows and seeds the engine.
        engineered: Give the view by engineered column, which a pipeline that was taken apart has
            beside that by raw column.
        n_jobs: As for `autolog`.
        time_budget: Seconds that explaining may take, None for no limit; as for `autolog`.
        silent: Show no progress.

    Returns:
        interpret-community's global explanation, as ``TabularExplainer.explain_global`` returns
        it: ``get_feature_importance_dict()``, ``local_importance_values``, ...

    Raises:
        OptionError: An argument is not allowed.
        CannotExplainError: The model or its rows cannot be explained.
        ExplanationNotFoundError: There is no engineered view.
    """
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
    baseline: str | None = None,
    log_figures: bool = True,
    log_report: bool = True,
    log_data: bool = True,
    azureml: Any = "auto",
    upload_timeout: float = 60.0,
    visualization_points: int | None = None,
    silent: bool = False,
) -> str:
    """Log an explanation: of `explain`, or of any explainer of interpret-community, or a new one.

    Args:
        explanation: A global explanation. None to compute one of ``model``.
        run_id: The run. Default: the active run, or a new one that is closed again.
        model: A fitted model to explain, as for `explain`.
        initialization_examples: As for `explain`.
        evaluation_examples: As for `explain`.
        max_rows: As for `explain`.
        random_state: As for `explain`.
        true_ys: True labels of the explained rows, ``(n_rows,)``.
        model_id: The `mlflow.entities.LoggedModel` that the metrics are about, as for
            `mlflow.log_metrics`.
        comment: Stands in the status record and beside the explanation in Azure ML studio.
        top_k: So many features become metrics, from 1 to 30.
        baseline: As for `autolog`.
        log_figures: Log the figures: importances, values by row, importances by class.
        log_report: Log the HTML report.
        log_data: As for `autolog`.
        azureml: As for `autolog`.
        upload_timeout: As for `autolog`.
        visualization_points: As for `autolog`.
        silent: Warn of nothing and show no progress.

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
        baseline=baseline,
        log_figures=log_figures,
        log_report=log_report,
        log_data=log_data,
        azureml=azureml,
        upload_timeout=upload_timeout,
        visualization_points=visualization_points,
        silent=silent,
    )
    if (explanation is None) == (model is None):
        raise OptionError(
            "explanation must be a global explanation, or None where model is given, got "
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
    """Read an explanation back from an MLflow run, or from Azure ML; nothing is unpickled.

    The MLflow run is looked at first. Where it has no such explanation and the tracking URI is an
    ``azureml://`` one, the explanations are looked at that were uploaded to the Azure ML run of the
    same id, by this package or with ExplanationClient.

    Args:
        run_id: The run, or a model (``"models:/name/1"``, ``"models:/name@alias"``,
            ``"models:/<model id>"``) for the run that it comes from.
        explanation_id: Which of the run's explanations. Default: the latest.
        comment: Only one with this comment.
        engineered: Give the view by engineered column, which a pipeline that was taken apart has
            beside that by raw column.
        raw: Only a view by raw column of a pipeline.
        workspace: Read from this Azure ML workspace alone, whose run ``run_id`` is: an
            ``azureml.core.Workspace``, an ``azure.ai.ml.MLClient``, an ``azureml://`` URI, a
            resource id or the path of a ``config.json``.

    Returns:
        interpret-community's global explanation, equal to the one that was logged: values to the
        last bit, names, classes (which are text in Azure ML), expected values. Of those in Azure
        ML, data and predictions are there where all explained rows were uploaded.

    Raises:
        OptionError: ``engineered`` and ``raw`` are both asked for, or ``workspace`` names none.
        RunNotFoundError: The tracking store, or the workspace, has no such run or model.
        ExplanationNotFoundError: The run holds no explanation, or not that one.
        AzureMLError: The workspace does not allow it, or does not answer.
        TrackingUnavailableError: No tracking server answers.
    """
    check_views(engineered=engineered, raw=raw)
    check_workspace(workspace)
    found = load.load(
        run_id,
        mlflow_store.current_tracking_uri(),
        explanation_id=explanation_id,
        comment=comment,
        engineered=engineered,
        raw=raw,
        workspace=workspace,
    )
    return public_explanation(found)


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
    """Put the explanations of several runs side by side.

    Of each run its latest explanation is read: one small file, many at once, no rows of data. The
    first run is the reference, of which `RunComparison.differences` and the marks are told.

    Args:
        runs: Run ids, `mlflow.entities.Run` objects, model versions (``"models:/name/1"``,
            ``"models:/name@alias"``), mixed at will and compared in this order, or a table of
            `mlflow.search_runs`. Default: what the search finds.
        experiment_names: Search in these experiments, beside ``runs``. Default: without ``runs``
            the active experiment.
        filter_string: Search for these, in the words of `mlflow.search_runs`. Runs without an
            explanation are not found.
        order_by: The order of the search; ``runs`` keep theirs. Default: the newest are found, and
            compared from the oldest on: the oldest of them is the reference.
        max_results: The search finds at most so many.
        top_k: So many features are drawn, and make the top of which `RunComparison.agreement`
            tells the overlap.
        label: Compare the importances for this class, or target, instead of those over all.
        engineered: Compare by engineered column, where pipelines were taken apart.
        silent: Warn of nothing and show no progress.

    Returns:
        The comparison: ``.table``, ``.runs``, ``.agreement``, ``.differences``, ``.plot()``,
        ``.to_html()``. Runs that hold no explanation are left out, with one warning, and stand in
        ``.skipped``.

    Raises:
        OptionError: An argument is not allowed.
        RunNotFoundError: A run or model version does not exist.
        ExplanationNotFoundError: Fewer than two different runs hold an explanation.
        TrackingUnavailableError: No tracking server answers.
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

    What the MLflow run holds is uploaded unless it is there already, so it does no harm to call it
    twice. It works from any machine that can read the run.

    Args:
        run_id: The MLflow run.
        azureml: Where to: ``"auto"`` for the Azure ML run that the MLflow run is, or what
            `autolog` takes for a run or a workspace.
        upload_timeout: Seconds that each of the run's explanations may take.
        visualization_points: As for `autolog`. Default: as it was when the run was logged.

    Returns:
        The ids under which Azure ML has the run's explanations, oldest first.

    Raises:
        OptionError: An argument is not allowed.
        AzureMLError: An explanation did not get there; the message says why. Another call goes on
            where this one ended.
        RunNotFoundError: There is no such run in the tracking store.
        ExplanationNotFoundError: The run holds no explanation.
    """
    from mlflow_interpret.stores.azureml import push

    options = Options(
        azureml=azureml, upload_timeout=upload_timeout, visualization_points=visualization_points
    )
    return push.push(run_id, mlflow_store.current_tracking_uri(), options)


def flush(timeout: float | None = None) -> bool:
    """Wait for what goes on beside the training: explanations in the background, and uploads.

    Args:
        timeout: Seconds to wait at most. Default: until all have ended; each upload is bounded by
            its ``upload_timeout``.

    Returns:
        Whether all have ended.
    """
    from mlflow_interpret.autologging import background
    from mlflow_interpret.stores import delivery

    deadline = None if timeout is None else time.monotonic() + timeout
    explained = background.flush(timeout)
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    return delivery.flush(left) and explained
