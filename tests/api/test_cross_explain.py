"""Explanations of the models of a cross-validation."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_validate
from sklearn.pipeline import make_pipeline

import mlflow_interpret
from mlflow_interpret import (
    CannotExplainError,
    OptionError,
    RunNotFoundError,
    TrackingUnavailableError,
)

X, y = load_iris(return_X_y=True, as_frame=True)
NO_DRAWINGS = {"log_figures": False, "log_report": False, "silent": True}


@pytest.fixture(scope="module")
def rows():
    return make_regression(60, 4, noise=20, random_state=0)


def test_each_model_is_explained_on_its_held_out_rows(store, rows):
    table, target = rows
    cv = KFold(3)
    result = mlflow_interpret.cross_explain(
        LinearRegression(), table, target, cv=cv, scoring="neg_mean_absolute_error", **NO_DRAWINGS
    )
    importances, expected = [], []
    for train, test in cv.split(table):
        model = LinearRegression().fit(table[train], target[train])
        # The exact contributions of a linear model.
        contributions = (table[test] - table[train].mean(axis=0)) * model.coef_
        importances.append(np.abs(contributions).mean(axis=0))
        expected.append(model.predict(table[train]).mean())
    own = np.array(list(result.explanation.get_feature_importance_dict().values()))
    np.testing.assert_allclose(np.sort(own), np.sort(np.mean(importances, axis=0)))
    by_fold = result.importances.sort_index()[["fold_1", "fold_2", "fold_3"]].to_numpy().T
    np.testing.assert_allclose(by_fold, importances, rtol=1e-3)
    np.testing.assert_allclose(result.explanation.expected_values, np.mean(expected))
    peer = cross_validate(
        LinearRegression(), table, target, cv=cv, scoring="neg_mean_absolute_error"
    )
    np.testing.assert_allclose(result.scores["test_score"], peer["test_score"])
    assert [len(e.local_importance_values) for e in result.explanations] == [20, 20, 20]


def test_one_run_holds_the_means_the_spread_and_the_scores(store):
    with mlflow.start_run() as run:
        result = mlflow_interpret.cross_explain(
            RandomForestClassifier(5, random_state=0), X, y, child_runs=True, cv=3, **NO_DRAWINGS
        )
    assert result.run_id == run.info.run_id
    metrics = mlflow.get_run(result.run_id).data.metrics
    scores = result.scores["test_score"]
    assert metrics["mean_test_score"] == pytest.approx(scores.mean())
    assert metrics["std_test_score"] == pytest.approx(scores.std(ddof=0))
    assert metrics["ranking_agreement"] == pytest.approx(result.ranking_agreement)
    history = MlflowClient().get_metric_history(result.run_id, "fold_test_score")
    assert {m.step: m.value for m in history} == pytest.approx(scores.to_dict())
    folder = Path(mlflow.artifacts.download_artifacts(run_id=result.run_id))
    table = json.loads((folder / "mlflow_interpret" / "fold_importances.json").read_text())
    assert [row[0] for row in table["data"]] == list(result.importances.index)
    status = json.loads((folder / "mlflow_interpret" / "status.json").read_text())
    assert status["rows"] == {"source": "held-out rows", "available": 150, "explained": 150}
    loaded = mlflow_interpret.load_explanation(result.run_id)
    assert loaded.get_feature_importance_dict() == result.explanation.get_feature_importance_dict()

    assert len(result.child_run_ids) == 3
    for number, child in enumerate(result.child_run_ids, start=1):
        child_run = mlflow.get_run(child)
        assert child_run.data.tags["mlflow.parentRunId"] == result.run_id
        assert child_run.info.status == "FINISHED"
        assert child_run.data.metrics["test_score"] == scores[number]
        importances = mlflow_interpret.load_explanation(child).get_feature_importance_dict()
        fold = result.explanations[number - 1]
        assert importances == fold.get_feature_importance_dict()
    comparison = mlflow_interpret.compare_runs([result.run_id, *result.child_run_ids])
    assert len(comparison.runs) == 4


def test_a_new_run_is_ended_and_nothing_else_is_logged(store):
    mlflow_interpret.autolog(**NO_DRAWINGS)
    result = mlflow_interpret.cross_explain(
        LogisticRegression(max_iter=500), X, y, cv=2, **NO_DRAWINGS
    )
    runs = mlflow.search_runs()
    assert runs["run_id"].tolist() == [result.run_id]
    assert runs["status"].tolist() == ["FINISHED"]


def test_a_search_is_explained_by_the_best_estimator_of_each_fold(store, rows):
    table, target = rows
    search = GridSearchCV(RandomForestClassifier(3, random_state=0), {"max_depth": [1, 2]}, cv=2)
    groups = np.repeat(np.arange(6), 10)
    result = mlflow_interpret.cross_explain(
        search, table, target > 0, groups=groups, cv=GroupKFold(3), **NO_DRAWINGS
    )
    assert [type(model).__name__ for model in result.estimators] == ["GridSearchCV"] * 3
    position = {value: i for i, value in enumerate(table[:, 0])}
    for fold in result.explanations:  # rows of a group are held out together
        held_out = [position[value] // 10 for value in np.asarray(fold.eval_data)[:, 0]]
        assert np.unique(held_out, return_counts=True)[1].tolist() == [10, 10]


def test_words_that_a_model_lacks_contribute_nothing(store):
    texts = ["red apple", "green apple", "red brick", "green brick", "red door", "green leaf"] * 2
    labels = np.array([1, 0, 1, 0, 1, 0] * 2)
    splits = [(np.arange(4), np.arange(4, 12)), (np.arange(4, 12), np.arange(4))]
    model = make_pipeline(CountVectorizer(), LogisticRegression())
    result = mlflow_interpret.cross_explain(model, texts, labels, cv=splits, **NO_DRAWINGS)
    assert result.importances.loc["leaf", "fold_1"] == 0  # of apples and bricks only
    assert result.importances.loc["leaf", "fold_2"] >= 0
    assert result.importances.index[:2].isin(["red", "green"]).all()


def test_models_with_different_classes_have_no_mean(store):
    splits = [(np.arange(100), np.arange(100, 150)), (np.arange(50, 150), np.arange(50))]
    with pytest.raises(CannotExplainError, match="classes .* in fold 1 .* StratifiedKFold"):
        mlflow_interpret.cross_explain(
            LogisticRegression(max_iter=500), X, y, cv=splits, **NO_DRAWINGS
        )
    assert mlflow.search_runs().empty


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": LogisticRegression}, "estimator must be .* got .*LogisticRegression"),
        ({"estimator": "tree"}, "estimator must be a scikit-learn estimator .* got 'tree'"),
        ({"cv": "five"}, "cv must be as for sklearn.model_selection.cross_validate"),
        ({"cv": 1}, "cv must be .* n_splits=2 or more"),
        ({"cv": [(np.arange(100), np.arange(100, 150))]}, "cv must be two folds or more, got 1"),
        ({"child_runs": "yes"}, "child_runs must be True or False, got 'yes'"),
        ({"max_rows": 0}, "max_rows must be"),
        ({"output": "odds"}, "output must be"),
        (
            {"estimator": LinearRegression(), "output": "probability"},
            "output must be 'auto' or 'raw' for LinearRegression, which is no classifier",
        ),
        ({"feature_groups": {"leaf": ["stem"]}}, "feature_groups must be .* 'stem'"),
    ],
)
def test_arguments_are_checked_before_the_first_fit(arguments, message, store):
    arguments = {"estimator": LogisticRegression(), "X": X, "y": y, **arguments}
    with pytest.raises(OptionError, match=message):
        mlflow_interpret.cross_explain(**arguments)
    assert mlflow.search_runs().empty


def test_the_run_is_checked_before_the_first_fit(store):
    model = Unfittable()
    with pytest.raises(RunNotFoundError):
        mlflow_interpret.cross_explain(model, X, y, run_id="0" * 32)
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.raises(TrackingUnavailableError):
        mlflow_interpret.cross_explain(model, X, y)


class Unfittable(LogisticRegression):
    def fit(self, X, y):
        raise AssertionError("fit was called")


def test_weights_of_rows_are_those_of_their_fold(store, rows):
    table, target = rows
    weights = np.random.default_rng(0).exponential(size=60)
    cv = KFold(2)
    result = mlflow_interpret.cross_explain(
        LinearRegression(), table, target, cv=cv, params={"sample_weight": weights}, **NO_DRAWINGS
    )
    bases = []
    for train, _ in cv.split(table):
        model = LinearRegression().fit(table[train], target[train], weights[train])
        bases.append(np.average(model.predict(table[train]), weights=weights[train]))
    np.testing.assert_allclose(result.explanation.expected_values, np.mean(bases))


def test_names_of_scorers_become_names_of_metrics(store, rows):
    table, target = rows
    result = mlflow_interpret.cross_explain(
        LinearRegression(), table, target, cv=2, scoring={"R\u00b2 (mean)": "r2"}, **NO_DRAWINGS
    )
    metrics = mlflow.get_run(result.run_id).data.metrics
    (name,) = (name for name in metrics if name.startswith("mean_test"))
    assert metrics[name] == pytest.approx(result.scores.iloc[:, -1].mean())


def test_a_result_that_cannot_be_logged_is_returned(store, tmp_path, rows, caplog):
    (tmp_path / "file").touch()
    broken = mlflow.create_experiment("broken", artifact_location=f"{tmp_path}/file/artifacts")
    mlflow.set_experiment(experiment_id=broken)
    options = {**NO_DRAWINGS, "silent": False}
    result = mlflow_interpret.cross_explain(LinearRegression(), *rows, cv=2, **options)
    assert result.run_id is None
    (warning,) = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    assert "mlflow_interpret.log_explanation(result.explanation)" in warning
    mlflow.set_experiment("sound")
    run_id = mlflow_interpret.log_explanation(result.explanation, **NO_DRAWINGS)
    folder = Path(mlflow.artifacts.download_artifacts(run_id=run_id))
    assert (folder / "mlflow_interpret" / "fold_importances.json").exists()
