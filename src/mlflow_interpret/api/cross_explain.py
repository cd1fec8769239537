"""Explain the models of a cross-validation on their held-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mlflow_interpret.api.explain_model import explain_model
from mlflow_interpret.api.global_explanation import public_explanation
from mlflow_interpret.api.log_folds import cross_validation_of, log_folds
from mlflow_interpret.autologging import fit_hooks
from mlflow_interpret.autologging.sample_weights import weights_in
from mlflow_interpret.core.cross_validation import CrossValidation
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.feature_groups import resolve_groups
from mlflow_interpret.core.importance_tables import fold_table, score_table
from mlflow_interpret.core.option_checks import option_error
from mlflow_interpret.core.options import FeatureGrouping, Options
from mlflow_interpret.core.text import truncate
from mlflow_interpret.runtime.messages import show_messages
from mlflow_interpret.stores import mlflow as mlflow_store

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

_SPLITTER_LENGTH = 200  # characters


@dataclass(frozen=True, eq=False)
class CrossExplanation:
    """Explanations of the models of a cross-validation.

    Attributes:
        explanation: The mean explanation, as of `explain`. Its contributions of single rows are
            those of the model that did not see the row.
        explanations: The explanation of each fold's model on its held-out rows.
        estimators: The fitted model of each fold.
        run_id: The run that holds the mean explanation; None if it could not be logged.
        child_run_ids: The run of each fold, empty without ``child_runs``.
        ranking_agreement: Kendall's coefficient of concordance of the folds' rankings, from 0 to
            1; None for a single feature.

    Example:
        >>> result = mlflow_interpret.cross_explain(Ridge(), X, y, cv=3, silent=True)
        >>> len(result.explanations), len(result.scores)
        (3, 3)
    """

    explanation: Any
    explanations: tuple[Any, ...]
    estimators: tuple[Any, ...]
    run_id: str | None
    child_run_ids: tuple[str, ...]
    ranking_agreement: float | None
    _folds: CrossValidation
    _features: tuple[str, ...]

    @property
    def importances(self) -> pd.DataFrame:
        """The features, ranked, with ``share``, ``mean``, ``standard_deviation`` and each fold."""
        return _frame(fold_table(self._folds, self._features)).set_index("feature")

    @property
    def scores(self) -> pd.DataFrame:
        """The folds with ``train_rows``, ``test_rows`` and the results of `cross_validate`."""
        return _frame(score_table(self._folds)).set_index("fold")


def cross_explain(
    estimator: BaseEstimator,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    params: Mapping[str, Any] | None = None,
    child_runs: bool = False,
    run_id: str | None = None,
    features: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    feature_groups: FeatureGrouping | None = None,
    output: Literal["auto", "probability", "log-odds", "raw"] = "auto",
    max_rows: int | None = None,
    engine: str = "auto",
    time_budget: float | None = None,
    random_state: int = 0,
    top_k: int = 20,
    metrics: str | Sequence[str] = ("importance", "share"),
    baseline: str | None = None,
    comment: str | None = None,
    log_figures: bool = True,
    log_report: bool = True,
    log_data: bool = True,
    log_description: bool = True,
    azureml: Any = "auto",
    silent: bool = False,
) -> CrossExplanation:
    """Cross-validate a model, and explain the model of each fold on its held-out rows.

    One run holds the mean importances, whose intervals show the spread over the folds, the scores
    and the agreement of the folds' rankings. `load_explanation`, the report, `compare_runs` and
    Azure ML treat it as any other explanation.

    Args:
        estimator: A scikit-learn estimator, as for `sklearn.model_selection.cross_validate`; a
            search is explained by the best estimator of each fold.
        X: ``(n_rows, n_features)`` rows, or texts.
        y: ``(n_rows,)`` labels.
        groups: ``(n_rows,)`` groups for the splitter, as for `cross_validate`.
        scoring: The scores, as for `cross_validate`.
        cv: The folds, as for `cross_validate`: a number, a splitter or an iterable of pairs of
            positions. Default: five folds, stratified for classifiers.
        n_jobs: The number of parallel fits, and of parallel explanations as for `autolog`.
        params: Parameters of ``fit``, the scorer and the splitter, as for `cross_validate`.
        child_runs: Log the explanation and the scores of each fold to a run of its own, too, below
            the run.
        run_id: The run. Default: the active run, or a new one, which is then ended.
        features: As for `explain`.
        classes: As for `explain`.
        feature_groups: As for `explain`.
        output: As for `explain`.
        max_rows: The most held-out rows to explain in each fold, as for `explain`.
        engine: As for `explain`.
        time_budget: Seconds for the explanation of each fold, None for no limit.
        random_state: The seed of the rows and of the explainer.
        top_k: As for `log_explanation`.
        metrics: As for `log_explanation`.
        baseline: As for `log_explanation`.
        comment: As for `log_explanation`.
        log_figures: As for `log_explanation`.
        log_report: As for `log_explanation`.
        log_data: As for `log_explanation`.
        log_description: As for `log_explanation`.
        azureml: As for `log_explanation`.
        silent: Show no progress and no warnings.

    Returns:
        The explanations, the fitted models and the scores. If they cannot be logged, ``run_id`` is
        None, and a warning gives the reason.

    Raises:
        OptionError: An argument is not allowed.
        CannotExplainError: The model of a fold cannot be explained, or the models have different
            classes.
        RunNotFoundError: There is no such run.
        TrackingUnavailableError: The tracking server does not respond.

    Example:
        >>> result = mlflow_interpret.cross_explain(Ridge(), X, y, cv=5, silent=True)
        >>> ranked = result.importances  # mean, standard deviation and each fold
        >>> r2 = result.scores["test_score"].mean()
        >>> again = mlflow_interpret.load_explanation(result.run_id)
    """
    if not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise option_error("estimator", "a scikit-learn estimator with fit and predict", estimator)
    if not isinstance(child_runs, bool):
        raise option_error("child_runs", "True or False", child_runs)
    options = Options(
        features=features,
        classes=classes,
        feature_groups=feature_groups,
        output=output,
        max_rows=max_rows,
        engine=engine,
        n_jobs=n_jobs,
        time_budget=time_budget,
        random_state=random_state,
        top_k=top_k,
        metrics=metrics,
        baseline=baseline,
        comment=comment,
        log_figures=log_figures,
        log_report=log_report,
        log_data=log_data,
        log_description=log_description,
        azureml=azureml,
        silent=silent,
    )
    show_messages()
    _check_before_fits(estimator, X, options, run_id)
    splits, splitter = _splits(estimator, X, y, groups, cv, params)
    with fit_hooks.unrecorded():
        scores = _cross_validate(estimator, X, y, splits, scoring, n_jobs, params)
    models = scores.pop("estimator")
    folds = tuple(
        _explain_fold(model, X, y, split, params or {}, options)
        for model, split in zip(models, splits, strict=True)
    )
    from mlflow_interpret.explaining.folds import mean_explanation

    record = mean_explanation(
        folds,
        splitter=splitter,
        train_rows=[len(train) for train, _ in splits],
        test_rows=[len(test) for _, test in splits],
        scores=scores,
    )
    run, children = log_folds(record, folds, run_id, options, child_runs=child_runs)
    return CrossExplanation(
        explanation=public_explanation(record),
        explanations=tuple(map(public_explanation, folds)),
        estimators=tuple(models),
        run_id=run,
        child_run_ids=children,
        ranking_agreement=cross_validation_of(record).ranking_agreement,
        _folds=cross_validation_of(record),
        _features=record.features,
    )


def _check_before_fits(estimator: Any, X: Any, options: Options, run_id: str | None) -> None:
    """Check the arguments whose problems would else be found after all fits."""
    from mlflow import MlflowClient
    from sklearn.base import is_classifier

    if options.output in {"probability", "log-odds"} and not is_classifier(estimator):
        allowed = f"'auto' or 'raw' for {type(estimator).__name__}, which is no classifier"
        raise option_error("output", allowed, options.output)
    names = options.features or (list(X.columns) if isinstance(X, pd.DataFrame) else None)
    if options.feature_groups is not None and names is not None:
        resolve_groups(options.feature_groups, [str(name) for name in names])
    uri = mlflow_store.current_tracking_uri()
    mlflow_store.check_reachable(uri)
    if run_id is not None:
        mlflow_store.get_run(MlflowClient(uri), run_id)


def _splits(
    estimator: Any, X: Any, y: Any, groups: Any, cv: Any, params: Mapping[str, Any] | None
) -> tuple[list[tuple[Any, Any]], str]:
    """The positions of the training and held-out rows of each fold, and the splitter as text."""
    from sklearn.base import is_classifier
    from sklearn.model_selection import check_cv

    # With metadata routing, cross_validate takes the groups from the parameters.
    groups = (params or {}).get("groups") if groups is None else groups
    try:
        splitter = check_cv(cv, y, classifier=is_classifier(estimator))
        splits = [(np.asarray(a), np.asarray(b)) for a, b in splitter.split(X, y, groups)]
    except (TypeError, ValueError) as error:
        allowed = f"as for sklearn.model_selection.cross_validate, which says: {error}"
        raise option_error("cv", allowed, cv) from error
    if len(splits) < 2:
        raise option_error("cv", "two folds or more", len(splits))
    return splits, truncate(" ".join(str(splitter).split()), _SPLITTER_LENGTH)


def _cross_validate(
    estimator: Any,
    X: Any,
    y: Any,
    splits: list[tuple[Any, Any]],
    scoring: Any,
    n_jobs: int | None,
    params: Mapping[str, Any] | None,
) -> dict[str, Any]:
    from sklearn.model_selection import cross_validate

    params = {name: value for name, value in (params or {}).items() if name != "groups"}
    return dict(
        cross_validate(
            estimator,
            X,
            y,
            cv=splits,
            scoring=scoring,
            n_jobs=n_jobs,
            params=params or None,
            return_estimator=True,
            error_score="raise",
        )
    )


def _explain_fold(
    model: Any,
    X: Any,
    y: Any,
    split: tuple[Any, Any],
    params: Mapping[str, Any],
    options: Options,
) -> Explanation:
    from mlflow_interpret.explaining.dataframes import as_rows, take
    from mlflow_interpret.explaining.folds import HELD_OUT

    table, weights = as_rows(X), weights_in(params, model)
    train, test = (take(table, positions) for positions in split)
    examples = test if y is None else (test, take(y, split[1]))
    record = explain_model(
        model,
        train,
        replace(options, evaluation_examples=examples),
        None if weights is None else take(weights, split[0]),
    )
    details = record.details
    if details.rows is not None:
        rows = replace(details.rows, source=HELD_OUT)
        record = replace(record, details=replace(details, rows=rows))
    return record


def _frame(table: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(table["data"], columns=table["columns"])
