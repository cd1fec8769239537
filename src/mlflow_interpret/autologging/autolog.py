"""The public function `autolog`: explain each model after its ``fit``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from mlflow_interpret.autologging import incremental, logged_models
from mlflow_interpret.autologging.explain_fit import after_fit
from mlflow_interpret.core.options import FeatureGrouping, Options
from mlflow_interpret.runtime.messages import show_messages
from mlflow_interpret.runtime.versions import unsupported_versions

_logger = logging.getLogger("mlflow_interpret")


def autolog(
    *,
    evaluation_examples: Any = None,
    time_budget: float | Literal["auto"] | None = "auto",
    log_data: bool = True,
    baseline: str | None = None,
    background: bool = False,
    max_rows: int | None = None,
    initialization_examples: Any = None,
    features: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    feature_groups: FeatureGrouping | None = None,
    engine: Literal["auto", "kernel", "tabular"] = "auto",
    output: Literal["auto", "probability", "log-odds", "raw"] = "auto",
    interactions: bool | int = False,
    n_jobs: int | None = None,
    random_state: int = 0,
    estimators: Sequence[type] | None = None,
    top_k: int = 20,
    metrics: str | Sequence[str] = ("importance", "share"),
    comment: str | None = None,
    log_figures: bool = True,
    log_report: bool = True,
    log_description: bool = True,
    azureml: Any = "auto",
    upload_timeout: float = 60.0,
    visualization_points: int | None = None,
    disable: bool = False,
    exclusive: bool = False,
    silent: bool = False,
    disable_for_unsupported_versions: bool = False,
    extra_tags: Mapping[str, str] | None = None,
) -> None:
    """Explain each model after its ``fit`` and log the explanation to the MLflow run.

    Call it once, before training:

    >>> import mlflow_interpret
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> mlflow_interpret.autolog(silent=True)
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = Ridge().fit(X, y)

    The active run, or a new one, then holds importances of all features as metrics and tables, a
    report, and the contributions of single rows. `load_explanation` and `compare_runs` read them.

    These options matter first:

    - ``evaluation_examples=(X_test, y_test)`` explains these rows instead of training rows.
    - ``time_budget=30`` lets explaining take up to 30 seconds.
    - ``log_data=False`` keeps the values of single rows out of the run.
    - ``baseline="latest"`` compares the ranking with that of the previous run.
    - ``background=True`` explains in another process while the training continues.

    ``fit`` returns the same value and raises the same exceptions as without `autolog`. If
    explaining fails, there is one warning, and the run has the reason. Only the outermost ``fit``
    is explained: not those inside a search, an ensemble or a cross-validation. Calling `autolog`
    again replaces all options.

    It explains classifiers, regressors, rankers, outlier detectors, pipelines and searches of
    scikit-learn, of CatBoost and of packages that follow scikit-learn's conventions, and the models
    of ``xgboost.train``, ``lightgbm.train`` and ``catboost.train``. ``fit_predict`` and
    ``fit_transform`` of a model count as its ``fit``. A model that ``partial_fit`` trains is
    explained when the active run ends, or by `explain_now`.

    The options below are in groups: the five above; the rows and the explainer (``max_rows`` to
    ``estimators``); the contents of the run (``top_k`` to ``log_description``); Azure ML
    (``azureml`` to ``visualization_points``); and the options of all autologgers of MLflow
    (``disable`` to ``extra_tags``).

    Args:
        evaluation_examples: Rows to explain, ``(n_rows, n_features)``, or ``(rows, labels)`` with
            their true labels, or a DMatrix, LightGBM Dataset or Pool; texts if ``fit`` takes a
            Series, an array or a list of texts. A Dask DataFrame, a Parquet dataset
            (`pyarrow.dataset.Dataset`) or its path are read in partitions, and all of their rows
            are explained. Default: a seeded sample of the training rows with their labels.
        time_budget: Maximum number of seconds for an explanation. When it is spent, the result so
            far is logged with its error bars and marked as partial. ``"auto"`` is 10 % of the
            duration of ``fit``, at least 2 and at most 60 seconds; repeated fits share a budget
            that grows by a tenth of the elapsed time. None is no limit.
        log_data: Log data of single rows: the explained rows, their predictions, labels and
            contributions, and the background rows. False keeps them out of MLflow, Azure ML and the
            spool.
        baseline: A run to compare the ranking of features with: a run id, a model version
            (``"models:/name/1"``, ``"models:/name@alias"``), or ``"latest"``, the latest finished
            run of the experiment with an explanation, preferably of the same class of model. If
            the baseline cannot be read, there is a warning.
        background: Explain the model in another process while the training continues. ``fit``
            returns at once; `flush` and the end of the process wait for the explanations.
        max_rows: Maximum number of rows to explain. Fewer are explained once the ranking of the
            leading features is stable. Default: a maximum that depends on the explainer.
        initialization_examples: Background data, ``(n_rows, n_features)``. Trees and boosters are
            explained against these rows, too. Default: the training rows; trees and boosters are
            then explained by path-dependent tree SHAP.
        features: Feature names, one for each column. Default: the column names.
        classes: Class names in the order of the model's classes. Default: the model's labels.
        feature_groups: Groups of columns, ``{"address": ["street", "city"]}``, or a function that
            returns the name of a column's group, None for no group. The contributions of a group
            are summed by row. Its importance is logged in addition to those of the columns. A model
            without these columns is explained without groups, with a warning.
        engine: The explainer. ``"auto"`` is the first one that has exact values for the model, else
            sampled permutations. ``"kernel"`` is TabularExplainer's kernel explainer. ``"tabular"``
            lets TabularExplainer choose.
        output: The output of classifiers that contributions add up to. ``"auto"`` is the output
            of the fastest exact explainer: probabilities of forests, log-odds of boosters and
            logistic regression. ``"probability"`` and ``"log-odds"`` are that output of every
            classifier; contributions are sampled, with their errors, where no explainer is exact on
            it.
            ``"raw"`` is the decision function or margin. Regressors, and classifiers without
            probabilities, are explained as by ``"auto"``, with a note.
        interactions: Compute the interactions of the ten leading features, or of another number,
            from 2 to 30: a table, a figure and a section of the report. They take up to 30 % of the
            time budget in addition.
        n_jobs: Number of batches of rows that joblib explains in parallel, as in scikit-learn.
            Default: all cores if the work is long enough, or the setting of
            ``joblib.parallel_config``.
        random_state: The seed for the choice of rows and for the explainer.
        estimators: Further classes with ``fit`` and ``predict`` to explain, with their subclasses,
            that are no scikit-learn estimators.
        top_k: Number of features that become metrics, from 1 to 30. The artifacts hold all.
        metrics: The kinds of metrics. ``"importance"`` is in the units of the model's output,
            ``"share"`` is the share of the total, from 0 to 1, which compares between models. Where
            a server limits the number of metrics, importances come first.
        comment: A text for the status record and for Azure ML studio.
        log_figures: Log figures: importances, contributions by row, importances by class. They and
            the report are drawn while the training continues; `flush` and the end of the process
            wait for them.
        log_report: Log the HTML report.
        log_description: Describe a run that has no description: a sentence, the leading features
            and a link to the report, in Markdown.
        azureml: Where to upload to. ``"auto"`` uploads in jobs of Azure ML and with an
            ``azureml://`` tracking URI. An ``azureml.core.Run`` is the run to upload to. An
            ``azureml.core.Workspace``, an ``azure.ai.ml.MLClient``, an ``azureml://`` URI, the
            resource id of a workspace or the path of its ``config.json`` is a workspace, in which
            each MLflow run gets a counterpart; a tag of each names the other. False uploads
            nothing.
        upload_timeout: Maximum number of seconds for an upload, while the training continues.
            `push` completes uploads that were cut off.
        visualization_points: Number of explained rows to upload to Azure ML with their
            contributions, from 0 to 20,000. Default: all contributions, and 5,000 rows, which is
            what studio shows. The MLflow run holds all of them.
        disable: Undo `autolog`.
        exclusive: Log nothing to runs that the user started.
        silent: Print neither information nor warnings.
        disable_for_unsupported_versions: Do nothing if a package is installed in a version that
            was not tested.
        extra_tags: Tags for new runs.

    Raises:
        OptionError: An argument is invalid; the message names it and the allowed values.
    """
    from mlflow_interpret.explaining.native_data import (
        as_evaluation_examples,
        as_initialization_examples,
    )

    options = Options(
        evaluation_examples=as_evaluation_examples(evaluation_examples),
        time_budget=time_budget,
        log_data=log_data,
        baseline=baseline,
        background=background,
        max_rows=max_rows,
        initialization_examples=as_initialization_examples(initialization_examples),
        features=features,
        classes=classes,
        feature_groups=feature_groups,
        engine=engine,
        output=output,
        interactions=interactions,
        n_jobs=n_jobs,
        random_state=random_state,
        estimators=estimators,
        top_k=top_k,
        metrics=metrics,
        comment=comment,
        log_figures=log_figures,
        log_report=log_report,
        log_description=log_description,
        azureml=azureml,
        upload_timeout=upload_timeout,
        visualization_points=visualization_points,
        disable=disable,
        exclusive=exclusive,
        silent=silent,
        disable_for_unsupported_versions=disable_for_unsupported_versions,
        extra_tags=extra_tags,
    )
    from mlflow_interpret.autologging import fit_hooks
    from mlflow_interpret.stores import delivery

    delivery.check_options(options)
    show_messages()
    if disable:
        _switch_off()
        return
    problems = unsupported_versions()
    if problems and not silent:
        _logger.warning("Not tested with these versions: %s.", ", ".join(problems))
    if problems and disable_for_unsupported_versions:
        _switch_off()
        return
    if background:
        _import_background()
    delivery.prepare(options)
    fit_hooks.install(partial(after_fit, options), tuple(estimators or ()))
    logged_models.install()
    _current.options = options


class _Current:
    """The options of `autolog`, None while it is off."""

    options: Options | None = None


_current = _Current()


def is_on() -> bool:
    """Whether `autolog` is on."""
    return _current.options is not None


def current_options() -> Options:
    """The options of the latest call of `autolog`, or the defaults while it is off."""
    return Options() if _current.options is None else _current.options


def _switch_off() -> None:
    from mlflow_interpret.autologging import background, begun_logs, fit_hooks
    from mlflow_interpret.stores import delivery, drawing

    fit_hooks.uninstall()
    logged_models.uninstall()
    _current.options = None
    incremental.clear()
    drawing.flush(drawing.EXIT_SECONDS)
    background.end_idle_worker()
    begun_logs.end_idle()
    delivery.end_idle_workers()


def _import_background() -> None:
    """Import modules that the first fit would wait for."""
    from mlflow_interpret.autologging import background  # noqa: F401
    from mlflow_interpret.explaining import explain  # noqa: F401
