"""The plug-in for `mlflow.models.evaluate`."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.metadata import entry_points

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry as registry
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.tree import DecisionTreeClassifier
from tests.explaining import exact

import mlflow_interpret
from mlflow_interpret.integrations import evaluator
from mlflow_interpret.stores import mlflow as mlflow_store

X, y = load_iris(return_X_y=True, as_frame=True)
NAME = "mlflow_interpret"


@pytest.fixture(scope="module")
def tree():
    return DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)


def logged(model):
    return mlflow.sklearn.log_model(
        model, name="model", pip_requirements=[], serialization_format="cloudpickle"
    )


def evaluate(uri, config=None, evaluators=NAME):
    return mlflow.models.evaluate(
        uri, X.assign(y=y), targets="y", model_type="classifier", evaluators=evaluators,
        evaluator_config=config,
    )  # fmt: skip


def test_mlflow_finds_the_evaluator_by_its_name():
    (found,) = [
        point for point in entry_points(group="mlflow.model_evaluator") if point.name == NAME
    ]
    assert found.load() is evaluator.InterpretEvaluator
    assert registry.is_registered(NAME)


def test_an_evaluated_model_is_explained_beside_mlflows_own_measures(store, tree):
    info = logged(tree)
    with mlflow.start_run() as run:
        result = evaluate(info.model_uri, evaluators=["classifier", NAME])
    held = mlflow.get_run(run.info.run_id).data
    importances = {name: value for name, value in held.metrics.items() if "importance/" in name}
    assert len(importances) == 4
    assert importances.items() <= result.metrics.items()
    assert result.metrics["accuracy_score"] > 0.9
    assert held.tags["mlflow_interpret.status"] == "complete"
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    expected = mlflow_interpret.explain(tree, X, X).get_feature_importance_dict()
    assert explanation.get_feature_importance_dict() == expected
    notes = mlflow_store.status_of(run.info.run_id, store)["notes"]
    assert "The background rows are the evaluated rows." in notes
    of_model = mlflow.get_logged_model(info.model_id).metrics
    assert importances.items() <= {metric.key: metric.value for metric in of_model}.items()


def test_the_result_is_saved_and_loaded_with_the_table(store, tree, tmp_path):
    result = evaluate(logged(tree).model_uri)
    result.save(str(tmp_path / "result"))
    again = mlflow.models.EvaluationResult.load(str(tmp_path / "result"))
    assert again.metrics == result.metrics
    table = again.artifacts[evaluator.TABLE].content
    assert sorted(row[0] for row in table["data"]) == sorted(X.columns)
    assert table == mlflow.artifacts.load_dict(result.artifacts[evaluator.TABLE].uri)


def test_rows_are_logged_only_on_request(store, tree):
    uri = logged(tree).model_uri
    kept = []
    for config in (None, {"log_data": True}):
        run_id = evaluate(uri, config).run_id
        kept.append(mlflow_store.load(run_id, None, store))
    assert kept[0].evaluation_rows is None
    assert kept[0].local_values is None
    assert list(kept[1].true_labels) == list(y)
    assert len(kept[1].evaluation_rows) == len(X)


def test_options_are_those_of_explain_and_log_explanation(store):
    rows = load_diabetes(as_frame=True).frame
    forest = RandomForestRegressor(5, max_depth=3).fit(rows.drop(columns="target"), rows["target"])
    config = {
        "max_rows": 30, "comment": "evaluated", "top_k": 2, "log_figures": False,
        "initialization_examples": rows.drop(columns="target").head(40),
    }  # fmt: skip
    result = mlflow.models.evaluate(
        logged(forest).model_uri, rows, targets="target", model_type="regressor",
        evaluators=["regressor", NAME], evaluator_config={NAME: config},
    )  # fmt: skip
    status = mlflow_store.status_of(result.run_id, store)
    assert (status["rows"]["explained"], status["comment"]) == (30, "evaluated")
    assert status["rows"]["source"] == "evaluation_examples"
    assert "The background rows are the evaluated rows." not in status["notes"]
    assert sum(name.startswith("importance/") for name in result.metrics) == 2


@pytest.mark.parametrize("wrong", [{"max_row": 3}, {"max_rows": 0}, {"run_id": "x"}])
def test_a_wrong_option_raises(store, tree, wrong):
    with pytest.raises(mlflow_interpret.OptionError, match=next(iter(wrong))):
        evaluate(logged(tree).model_uri, wrong)


def test_mlflows_options_for_all_evaluators_are_accepted(store, tree):
    config = {"explainability_nsamples": 10, "metric_prefix": "test_", "log_explainer": False}
    assert "importance/petal length _cm_" in evaluate(logged(tree).model_uri, config).metrics


@pytest.mark.parametrize(
    ("is_on", "config", "explained"),
    [
        (False, None, False),
        (False, {"metric_prefix": "", "random_state": 3}, False),
        (False, {NAME: {}}, True),
        (True, None, True),
        (True, {"log_model_explainability": False}, False),
        (True, {"option_of_another_plugin": 1}, True),
    ],
)
def test_without_named_evaluators_it_explains_on_request(store, tree, is_on, config, explained):
    rows = X.assign(y=y, predicted=tree.predict(X))
    if is_on:
        mlflow_interpret.autolog(silent=True)
    with mlflow.start_run() as run:
        mlflow.models.evaluate(
            data=rows, targets="y", predictions="predicted", model_type="classifier",
            evaluator_config=config,
        )  # fmt: skip
    # Predictions alone are not explained, which the run says.
    data = mlflow.get_run(run.info.run_id).data
    assert ("mlflow_interpret.status" in data.tags) == explained
    assert data.metrics["accuracy_score"] > 0.9


@pytest.mark.parametrize("config", [None, {"max_rows": 10}])
def test_the_old_function_of_mlflow_runs_a_named_evaluator(store, tree, config):
    with pytest.warns(FutureWarning, match="deprecated"):
        result = mlflow.evaluate(
            logged(tree).model_uri, X.assign(y=y), targets="y", model_type="classifier",
            evaluators=NAME, evaluator_config=config,
        )  # fmt: skip
    assert any(name.startswith("importance/") for name in result.metrics)


def test_a_failed_explanation_is_one_warning_and_the_evaluation_continues(store, tree, caplog):
    known = {tuple(row): label for row, label in zip(X.to_numpy(), tree.predict(X))}

    def look_up(rows):
        return np.array([known[tuple(row)] for row in rows.to_numpy()])

    with caplog.at_level(logging.WARNING, "mlflow_interpret"):
        result = evaluate(look_up, evaluators=["classifier", NAME])
    assert result.metrics["accuracy_score"] > 0.9
    (warning,) = [record.getMessage() for record in caplog.records if record.name == NAME]
    assert result.run_id in warning
    caplog.clear()
    evaluate(look_up, {"classifier": {}, NAME: {"silent": True}}, evaluators=["classifier", NAME])
    assert [record for record in caplog.records if record.name == NAME] == []
    tags = mlflow.get_run(result.run_id).data.tags
    assert tags["mlflow_interpret.status"] == "skipped"
    assert tags["mlflow_interpret.reason"] in warning


class Wrapped(mlflow.pyfunc.PythonModel):
    """A custom model that applies a function to rows."""

    def __init__(self, function):
        self.function = function

    def predict(self, context, model_input, params=None):
        return self.function(model_input)


@pytest.mark.parametrize("kind", ["function", "custom model"])
@pytest.mark.parametrize(
    "container", [np.asarray, pd.Series, list, lambda values: pd.DataFrame({"p": values})],
    ids=["array", "series", "list", "frame"],
)  # fmt: skip
def test_functions_and_custom_models_are_black_boxes(store, kind, container):
    def predict(rows):
        cells = rows.to_numpy()
        return container(cells[:, 0] * cells[:, 1] + cells[:, 2])

    rows = X.head(40)
    model = predict if kind == "function" else _pyfunc(predict)
    result = mlflow.models.evaluate(
        model, rows.assign(y=predict(rows)), targets="y", model_type="regressor",
        evaluators=NAME, evaluator_config={"time_budget": None, "log_data": True},
    )  # fmt: skip
    explanation = mlflow_interpret.load_explanation(result.run_id)
    expected, _ = exact.shapley(lambda mixed: np.ravel(predict(mixed)), rows, rows)
    local = np.asarray(explanation.local_importance_values)
    assert np.abs(local - expected).max() < 0.05 * np.abs(expected).max()
    assert explanation.method == "shap_permutation"


@pytest.mark.parametrize(
    ("output", "scale", "classes"),
    [
        (lambda tree, rows: tree.predict(rows), "predicted label", [0, 1, 2]),
        (lambda tree, rows: tree.predict_proba(rows), "probability", [0, 1, 2]),
        (lambda tree, rows: np.array(["a", "b", "c"])[tree.predict(rows)], "predicted label",
         ["a", "b", "c"]),
        (lambda tree, rows: tree.predict_proba(rows)[:, 2], "probability", [0, 1]),
    ],
    ids=["labels", "probabilities", "texts", "probability of the second class"],
)  # fmt: skip
def test_classifying_functions_give_labels_or_probabilities(store, tree, output, scale, classes):
    labels = {3: y, 2: (y == 2).astype(int)}[len(classes)]
    labels = labels if classes[0] == 0 else labels.map(dict(enumerate(classes)))
    result = mlflow.models.evaluate(
        lambda rows: output(tree, rows), X.assign(y=labels), targets="y", model_type="classifier",
        evaluators=NAME, evaluator_config={"time_budget": None, "max_rows": 20},
    )  # fmt: skip
    explanation = mlflow_interpret.load_explanation(result.run_id)
    assert list(explanation.classes) == classes
    assert mlflow_store.status_of(result.run_id, store)["output_scale"] == scale


def test_functions_get_arrays_as_tables_as_from_mlflow(store):
    rows = X.to_numpy()
    result = mlflow.models.evaluate(
        lambda table: table["feature_1"] * 2.0, rows, targets=rows[:, 0] * 2.0,
        model_type="regressor", evaluators=NAME, evaluator_config={"top_k": 1},
    )  # fmt: skip
    expected = np.abs(2.0 * (rows[:, 0] - rows[:, 0].mean())).mean()
    assert result.metrics["importance/feature_1"] == pytest.approx(expected)


def _pyfunc(function):
    info = mlflow.pyfunc.log_model(
        name="model", python_model=Wrapped(function), pip_requirements=[]
    )
    mlflow.end_run()
    return info.model_uri


def test_other_evaluations_import_no_heavy_module():
    code = "import sys, mlflow.models.evaluation.evaluator_registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("mlflow_interpret")}
    assert "mlflow_interpret.integrations.evaluator" in ours
    heavy = ("interpret_community", "shap", "mlflow_interpret.explaining")
    assert not [name for name in done.stdout.split() if name.startswith(heavy)]


@pytest.mark.parametrize("silent", [False, True])
def test_silent_disables_warnings(store, tree, caplog, silent):
    uri = logged(tree).model_uri
    with caplog.at_level(logging.WARNING, NAME), mlflow.start_run():
        evaluate(uri, {"silent": silent, "baseline": "nowhere"})
    warned = [record for record in caplog.records if record.name == NAME]
    assert len(warned) == (0 if silent else 1)
