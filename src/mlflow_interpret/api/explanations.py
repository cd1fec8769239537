"""Public functions for explanations: compute, log and load them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

from mlflow_interpret import interpret_community
from mlflow_interpret.api import load
from mlflow_interpret.api.explain_model import explain_model
from mlflow_interpret.api.global_explanation import GlobalExplanation, public_explanation
from mlflow_interpret.autologging.run_context import ExplanationRun, RunContext, active_run
from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.group_views import with_groups
from mlflow_interpret.core.option_checks import option_error
from mlflow_interpret.core.options import FeatureGrouping, Options, check_views
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.runtime.messages import show_messages
from mlflow_interpret.stores import mlflow as mlflow_store

_logger = logging.getLogger("mlflow_interpret")


def explain(
    model: Any,
    initialization_examples: Any,
    evaluation_examples: Any = None,
    *,
    features: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    max_rows: int | None = None,
    engine: Literal["auto", "kernel", "tabular"] = "auto",
    random_state: int = 0,
    engineered: bool = False,
    n_jobs: int | None = None,
    time_budget: float | None = None,
    output: Literal["auto", "probability", "log-odds", "raw"] = "auto",
    interactions: bool | int = False,
    feature_groups: FeatureGrouping | None = None,
    silent: bool = False,
) -> GlobalExplanation:
    """Explain a fitted model as `autolog` does, without a run.

    Args:
        model: A fitted scikit-learn classifier, regressor, pipeline or search, or a model of
            XGBoost, LightGBM or CatBoost, also of their native interfaces.
        initialization_examples: The training rows, ``(n_rows, n_features)``; a Series, array or
            list of texts, whose words are then the features; or a Dask collection, DMatrix,
            LightGBM Dataset or Pool that holds the rows.
        evaluation_examples: Rows to explain, or ``(rows, labels)``. All rows of a Dask DataFrame, a
            Parquet dataset (`pyarrow.dataset.Dataset`) or its path are explained by partition,
            unless ``max_rows`` is given. Default: a seeded sample of ``initialization_examples``.
        features: Feature names, one for each column. Default: the column names.
        classes: Class names in the order of the model's classes. Default: the model's labels.
        max_rows: Maximum number of rows to explain. Fewer are explained once the ranking of the
            leading features is stable, unless this is the number of all rows. Default: a limit that
            depends on the explainer.
        engine: As for `autolog`.
        random_state: The seed of the sample of rows and of the explainer.
        engineered: Return the explanation by engineered columns, which pipelines have in addition
            to that by raw columns.
        n_jobs: As for `autolog`.
        time_budget: Seconds for the explanation, None for no limit; as for `autolog`.
        output: The output of a classifier that contributions add up to: ``"auto"``,
            ``"probability"``, ``"log-odds"`` or ``"raw"``, as for `autolog`.
        interactions: Compute the interactions of the ten leading features, or of another number,
            from 2 to 30, as for `autolog`. They are ``get_interactions()``.
        feature_groups: Groups of columns, as for `autolog`. Their importances are
            ``get_group_importance_dict()`` and ``to_frame(groups=True)``.
        silent: Show no progress.

    Returns:
        A global explanation: ``get_feature_importance_dict()``, ``local_importance_values``, ...
        It is interpret-community's type, as of ``TabularExplainer.explain_global``, if that
        package is installed, else a `GlobalExplanation` with the same interface.

    Raises:
        OptionError: An argument is not allowed, or the model has no such ``output``.
        CannotExplainError: The model or its rows cannot be explained.
        ExplanationNotFoundError: There is no explanation by engineered columns.

    Example:
        >>> explanation = mlflow_interpret.explain(model, X, silent=True)
        >>> explanation.get_ranked_global_names(top_k=2)
        ['bmi', 's5']
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
            output=output,
            interactions=interactions,
            feature_groups=feature_groups,
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
    output: Literal["auto", "probability", "log-odds", "raw"] = "auto",
    interactions: bool | int = False,
    feature_groups: FeatureGrouping | None = None,
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
    """Log an explanation to an MLflow run, or compute and log one.

    Logging the same explanation twice adds nothing to the run. If the first attempt failed
    half-way, the second one completes it.

    Args:
        explanation: A global explanation of this package or of interpret-community. Default:
            explain ``model``.
        run_id: The run. Default: the active run, or a new one, which is then ended.
        model: A fitted model to explain, as for `explain`.
        initialization_examples: As for `explain`.
        evaluation_examples: As for `explain`.
        max_rows: As for `explain`.
        random_state: As for `explain`.
        output: As for `explain`, of ``model``.
        interactions: As for `explain`, of ``model``.
        feature_groups: Groups of columns, as for `explain`. Those of a given ``explanation`` are
            computed from its contributions by row.
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
        CannotExplainError: ``explanation`` is no global explanation, or it has no contributions by
            row and ``feature_groups`` are given.
        RunNotFoundError: There is no such run.

    Example:
        >>> run_id = mlflow_interpret.log_explanation(explanation, comment="first try")
    """
    from mlflow_interpret.autologging.baseline import log_to_run

    options = Options(
        output=output,
        interactions=interactions,
        feature_groups=feature_groups,
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
    if model is None:
        _check_unset(output=(output, "auto"), interactions=(interactions, False))
    show_messages()
    if explanation is None:
        explanation = explain(
            model,
            initialization_examples,
            evaluation_examples,
            max_rows=max_rows,
            random_state=random_state,
            output=output,
            interactions=interactions,
            feature_groups=feature_groups,
            silent=silent,
        )
        feature_groups = None  # of all explained rows already
    record = interpret_community.to_record(explanation, true_ys)
    if feature_groups is not None:
        record = with_groups(record, feature_groups)
    tracking_uri = mlflow_store.current_tracking_uri()
    context = RunContext(tracking_uri, run_id or active_run()[0])
    with suppress_warnings(), ExplanationRun(context, record.id) as chosen:
        return log_to_run(record, chosen, tracking_uri, options).run_id


def _check_unset(**options: tuple[Any, Any]) -> None:
    """Check that options of a computation have their defaults where nothing is computed."""
    for name, (value, default) in options.items():
        if value != default:
            allowed = f"{default!r} for a given explanation; pass model to compute another one"
            raise option_error(name, allowed, value)


def load_explanation(
    run_id: str,
    *,
    explanation_id: str | None = None,
    comment: str | None = None,
    engineered: bool = False,
    raw: bool = False,
    workspace: Any = None,
) -> GlobalExplanation:
    """Load an explanation from an MLflow run, or from Azure ML; nothing is unpickled.

    The MLflow run is searched first. If it has no such explanation and the tracking URI is an
    ``azureml://`` one, the assets of the Azure ML run with the same id are searched, whether this
    package or ExplanationClient uploaded them.

    Args:
        run_id: The run, or a model (``"models:/name/1"``, ``"models:/name@alias"``,
            ``"models:/<model id>"``) for the run that it comes from.
        explanation_id: The id of one of the run's explanations. Default: the latest.
        comment: Only an explanation with this comment.
        engineered: Return the explanation by engineered columns, which pipelines have in addition
            to that by raw columns.
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
        InvalidExplanationError: The files of the explanation are damaged or were changed.
        AzureMLError: The workspace refuses or does not respond.
        TrackingUnavailableError: The tracking server does not respond.

    Example:
        >>> explanation = mlflow_interpret.load_explanation(run_id)
        >>> explanation.to_frame()["direction"].head(2).to_dict()
        {'bmi': 'higher values raise it', 's5': 'higher values raise it'}
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
