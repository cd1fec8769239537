"""`compare_runs` from runs to tables."""

from __future__ import annotations

import logging
from dataclasses import replace

import mlflow
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

import mlflow_interpret
from logged_explanations import explanation, log
from mlflow_interpret.core.errors import ExplanationNotFoundError, OptionError


@pytest.fixture
def explained(store):
    """Create runs with explanations; None creates a run without one."""

    def log_all(*records):
        ids = []
        for record in records:
            with mlflow.start_run() as run:
                if record is not None:
                    log(record, run.info.run_id, store)
            ids.append(run.info.run_id)
        return ids

    return log_all


def test_comparison_of_models_of_real_data(store):
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    mlflow_interpret.autolog(silent=True)
    ids = []
    for model in (
        RandomForestRegressor(20, random_state=0),
        RandomForestRegressor(20, random_state=1),
        Ridge(),
    ):
        with mlflow.start_run(run_name=f"model {len(ids)}") as run:
            model.fit(X, y)
            mlflow.log_metric("r2", model.score(X, y))
            mlflow.log_params({"kind": type(model).__name__, "rows": len(X)})
        ids.append(run.info.run_id)
    comparison = mlflow_interpret.compare_runs(ids)
    runs = comparison.runs
    assert runs["name"].tolist() == ["model 0", "model 1", "model 2"]
    assert runs["metrics.r2"].tolist() == [mlflow.get_run(i).data.metrics["r2"] for i in ids]
    assert runs["params.kind"].tolist() == ["RandomForestRegressor"] * 2 + ["Ridge"]
    assert not {"params.rows", "metrics.importance/bmi"} & set(runs)
    again = mlflow_interpret.load_explanation(ids[1]).get_feature_importance_dict()
    table = comparison.table.set_index(["run_id", "feature"])
    assert table.loc[ids[1]]["importance"].to_dict() == again
    assert list(table.loc[ids[1]].index[:2]) == list(again)[:2]
    assert comparison.runs["run_id"].tolist() == ids
    assert comparison.runs["model_class"].tolist() == ["RandomForestRegressor"] * 2 + ["Ridge"]
    assert comparison.runs["marks"].tolist() == ["", "", "other method: shap_linear"]
    agreement = comparison.agreement.set_index(["run_a", "run_b"])["spearman"]
    assert agreement[ids[0], ids[1]] > agreement[ids[0], ids[2]]
    differs = comparison.differences.set_index(["run_id", "feature"])["differs"]
    assert differs[ids[2], "bmi"]
    assert differs[ids[1]].sum() < differs[ids[2]].sum()


def test_skipped_runs_are_in_one_warning(explained, caplog):
    ids = explained(explanation(), None, explanation(), None)
    with caplog.at_level(logging.WARNING, "mlflow_interpret"):
        comparison = mlflow_interpret.compare_runs(ids)
    assert comparison.runs["run_id"].tolist() == [ids[0], ids[2]]
    assert comparison.skipped == dict.fromkeys([ids[1], ids[3]], "it holds no explanation")
    (record,) = caplog.records
    assert ids[1] in record.message
    assert ids[3] in record.message
    caplog.clear()
    mlflow_interpret.compare_runs(ids, silent=True)
    assert not caplog.records


def test_warning_about_many_skipped_runs_is_short(explained, caplog):
    ids = explained(explanation(), explanation(), *[None] * 7)
    mlflow_interpret.compare_runs(ids)
    (record,) = caplog.records
    assert "and 2 more, see .skipped" in record.message
    assert ids[-1] not in record.message


def test_repeated_runs_are_compared_once(explained):
    first, second = explained(explanation(), explanation())
    comparison = mlflow_interpret.compare_runs([second, first, second])
    assert comparison.runs["run_id"].tolist() == [second, first]


def test_fewer_than_two_explanations_are_an_error(explained, caplog):
    first, second = explained(explanation(), None)
    with pytest.raises(ExplanationNotFoundError) as error:
        mlflow_interpret.compare_runs([first, second])
    assert f"found 1 in 2 runs (run {second}: it holds no explanation)" in str(error.value)
    assert "mlflow_interpret.autolog() before fit" in str(error.value)
    with pytest.raises(ExplanationNotFoundError, match="found 1 in 1 different run[.]"):
        mlflow_interpret.compare_runs([first, first])
    with pytest.raises(ExplanationNotFoundError, match="found 0 in 0 runs"):
        mlflow_interpret.compare_runs([])
    assert not caplog.records


def test_search(explained):
    ids = explained(explanation(), None, explanation())
    comparison = mlflow_interpret.compare_runs(experiment_names=["test"])
    assert comparison.runs["run_id"].tolist() == [ids[0], ids[2]]
    assert comparison.skipped == {}


def test_oldest_found_run_is_the_reference(explained):
    ids = explained(explanation(), explanation(), explanation())
    assert mlflow_interpret.compare_runs().runs["run_id"].tolist() == ids
    assert mlflow_interpret.compare_runs(max_results=2).runs["run_id"].tolist() == ids[1:]
    ordered = mlflow_interpret.compare_runs(order_by=["attributes.start_time DESC"])
    assert ordered.runs["run_id"].tolist() == ids[::-1]
    assert mlflow_interpret.compare_runs(ids[::-1]).runs["run_id"].tolist() == ids[::-1]


def test_warning_about_runs_without_shared_features(explained, caplog):
    record = explanation()
    names = tuple(f"other {name}" for name in record.features)
    ids = explained(replace(record, features=names, evaluation_rows=None), record)
    with caplog.at_level(logging.WARNING, "mlflow_interpret"):
        comparison = mlflow_interpret.compare_runs(ids)
    (record,) = caplog.records
    assert f"Run {ids[0]}, the first, shares no feature with run {ids[1]}" in record.message
    assert comparison.runs["marks"][1].startswith("shares no feature with")


def test_single_run_is_an_error(explained):
    (run_id,) = explained(explanation())
    for run in (run_id, mlflow.get_run(run_id)):
        with pytest.raises(OptionError, match=f"two or more runs to compare, got one: .*{run_id}"):
            mlflow_interpret.compare_runs(run)


def test_comparison_of_one_class(explained):
    a, b = explanation(), explanation(n_classes=3)
    ids = explained(a, b)
    comparison = mlflow_interpret.compare_runs(ids, label="1")
    table = comparison.table
    values = table[table["run_id"] == ids[1]].set_index("feature")["importance"]
    np.testing.assert_array_equal(values[list(b.features)], b.per_class_values[1])
    assert comparison.differences["differs"].notna().all()
    with pytest.raises(ExplanationNotFoundError, match="no class or target '2'"):
        mlflow_interpret.compare_runs(ids, label="2")


@pytest.mark.parametrize(
    "options",
    [
        {"experiment_names": "test"},
        {"order_by": [1]},
        {"filter_string": None},
        {"max_results": 1},
        {"top_k": 0},
        {"label": 1},
        {"engineered": 1},
        {"silent": None},
    ],
)
def test_invalid_options_are_named(store, options):
    (name,) = options
    with pytest.raises(OptionError, match=f"^{name} must be .*, got "):
        mlflow_interpret.compare_runs(**options)
