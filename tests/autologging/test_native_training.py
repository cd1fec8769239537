"""Native training functions and rankers are explained into the right run."""

from __future__ import annotations

import sys
from types import ModuleType

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS

import mlflow_interpret
from mlflow_interpret import ExplanationNotFoundError
from mlflow_interpret.stores import mlflow as mlflow_store

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(120, 3)), columns=["a", "b", "c"])
y = 2 * X.a + X.b
ranks = np.digitize(y, [-1, 1])
QUIET = {"iterations": 3, "verbose": False, "allow_writing_files": False}
PACKAGES = ["xgboost", "lightgbm", "catboost"]


def all_runs():
    return mlflow.search_runs(output_format="list", search_all_experiments=True)


@pytest.fixture(params=PACKAGES)
def package(request):
    yield pytest.importorskip(request.param)
    for flavor in ("xgboost", "lightgbm"):
        if flavor in sys.modules:
            getattr(mlflow, flavor).autolog(disable=True)
        AUTOLOGGING_INTEGRATIONS.get(flavor, {}).clear()


def train(package, data=None, **options):
    if package.__name__ == "xgboost":
        return package.train({}, data or package.DMatrix(X, y), 3, **options)
    if package.__name__ == "lightgbm":
        return package.train({"verbose": -1}, data or package.Dataset(X, y), 3, **options)
    return package.train(data or package.Pool(X, y), QUIET, **options)


def test_training_is_explained_in_a_run(store, package):
    mlflow_interpret.autolog(log_figures=False)
    model = train(package)
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    values = explanation.get_feature_importance_dict()
    expected = mlflow_interpret.explain(model, X).get_feature_importance_dict()
    assert set(values) == set(X)
    assert values == pytest.approx(expected, rel=1e-5)
    assert values["a"] > values["b"] > values["c"]
    mlflow_interpret.autolog(disable=True)
    train(package)
    assert len(all_runs()) == 1


def test_continued_training_is_explained_as_a_whole(store, package):
    first = train(package)
    mlflow_interpret.autolog(log_figures=False)
    option = "xgb_model" if package.__name__ == "xgboost" else "init_model"
    model = train(package, **{option: first})
    (run,) = all_runs()
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    local = np.asarray(explanation.local_importance_values)
    rows = np.asarray(explanation.eval_data, dtype=float)
    data = package.DMatrix(rows, feature_names=list(X)) if package.__name__ == "xgboost" else rows
    sums = local.sum(axis=1) + np.ravel(explanation.expected_values)
    np.testing.assert_allclose(sums, model.predict(data), rtol=1e-4, atol=1e-5)


def test_continued_training_forgets_an_earlier_best_iteration(store):
    """`xgboost.train` hands the best iteration of the model that it continues on."""
    xgboost = pytest.importorskip("xgboost")
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(200, 2)), columns=["a", "b"])
    rows = xgboost.DMatrix(X, 3 * X["a"] + X["b"])
    noise = xgboost.DMatrix(X, generator.normal(size=200))
    early = {"evals": [(noise, "noise")], "early_stopping_rounds": 2, "verbose_eval": False}
    first = xgboost.train({"max_depth": 2}, rows, 100, **early)
    mlflow_interpret.autolog(log_figures=False, log_report=False)
    booster = xgboost.train({"max_depth": 2}, rows, 10, xgb_model=first)
    (run,) = all_runs()
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    explained = pd.DataFrame(np.asarray(explanation.eval_data), columns=["a", "b"])
    outputs = booster.predict(xgboost.DMatrix(explained))
    sums = np.sum(explanation.local_importance_values, axis=1) + explanation.expected_values[0]
    np.testing.assert_allclose(sums, outputs, atol=1e-4)


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("calls", [("ours", "flavor"), ("flavor", "ours"), ("ours", "all")])
@pytest.mark.filterwarnings("ignore")
def test_mlflows_autologging_logs_into_the_same_run(store, name, calls):
    package, flavor = pytest.importorskip(name), getattr(mlflow, name)
    switch = {
        "ours": lambda: mlflow_interpret.autolog(log_figures=False),
        "flavor": lambda: flavor.autolog(log_models=False),
        "all": lambda: mlflow.autolog(log_models=False, silent=True),
    }
    try:
        for call in calls:
            switch[call]()
        train(package)
        (run,) = all_runs()
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.autologging"] == name
        assert run.data.tags["mlflow_interpret.status"] == "complete"
        flavor.autolog(disable=True)
        train(package)
        assert all_runs()[0].data.tags["mlflow_interpret.status"] == "complete"
    finally:
        for flavor_name in ("xgboost", "lightgbm"):
            if flavor_name in sys.modules:
                getattr(mlflow, flavor_name).autolog(disable=True)
            AUTOLOGGING_INTEGRATIONS.get(flavor_name, {}).clear()


@pytest.mark.filterwarnings("ignore")
def test_a_function_imported_by_name_under_mlflows_patch_is_explained(store, monkeypatch):
    xgboost = pytest.importorskip("xgboost")
    mlflow.xgboost.autolog(log_models=False)
    user = ModuleType("module_of_the_user")
    user.fit_trees = patched = xgboost.train
    monkeypatch.setitem(sys.modules, "module_of_the_user", user)
    try:
        mlflow_interpret.autolog(log_figures=False)
        user.fit_trees({}, xgboost.DMatrix(X, y), 2)
        (run,) = all_runs()
        assert run.data.tags["mlflow.autologging"] == "xgboost"
        assert run.data.tags["mlflow_interpret.status"] == "complete"
        mlflow_interpret.autolog(disable=True)
        assert user.fit_trees is patched
    finally:
        mlflow.xgboost.autolog(disable=True)
        AUTOLOGGING_INTEGRATIONS.get("xgboost", {}).clear()


def test_rows_that_were_freed_are_a_reason_or_come_from_the_options(store):
    lightgbm = pytest.importorskip("lightgbm")
    mlflow_interpret.autolog(log_figures=False)
    train(lightgbm, lightgbm.Dataset(X, y).construct())
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "skipped"
    with pytest.raises(ExplanationNotFoundError, match="free_raw_data=False"):
        mlflow_interpret.load_explanation(run.info.run_id)
    for option in ("evaluation_examples", "initialization_examples"):
        mlflow_interpret.autolog(log_figures=False, **{option: X[:20]})
        train(lightgbm, lightgbm.Dataset(X, y).construct())
        status = mlflow_store.status_of(all_runs()[0].info.run_id, store)
        assert status["status"] == "complete"
        assert status["rows"]["source"] == option
        is_noted = any("evaluation_examples are the background" in n for n in status["notes"])
        assert is_noted is (option == "evaluation_examples")


def test_native_containers_are_evaluation_examples(store, package):
    data = {
        "xgboost": lambda: package.DMatrix(X[:30], y[:30]),
        "lightgbm": lambda: package.Dataset(X[:30], y[:30]),
        "catboost": lambda: package.Pool(X[:30], y[:30]),
    }[package.__name__]()
    mlflow_interpret.autolog(log_figures=False, evaluation_examples=data)
    model = train(package)
    (run,) = all_runs()
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    assert len(explanation.eval_data) == 30
    assert len(mlflow_interpret.explain(model, X, data).eval_data) == 30


@pytest.mark.parametrize("name", PACKAGES)
def test_rankers_are_explained(store, name):
    package = pytest.importorskip(name)
    groups = np.repeat(np.arange(12), 10)
    mlflow_interpret.autolog(log_figures=False)
    if name == "xgboost":
        package.XGBRanker(n_estimators=3).fit(X, ranks, qid=groups)
    elif name == "lightgbm":
        package.LGBMRanker(n_estimators=3, verbose=-1).fit(X, ranks, group=[10] * 12)
    else:
        package.CatBoostRanker(**QUIET).fit(X, ranks, group_id=groups)
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    assert run.data.metrics


def test_a_dataset_is_explained_in_the_background(store):
    lightgbm = pytest.importorskip("lightgbm")
    mlflow_interpret.autolog(log_figures=False, background=True)
    train(lightgbm)
    assert mlflow_interpret.flush()
    (run,) = all_runs()
    assert run.data.tags["mlflow_interpret.status"] == "complete"


class TestCrossValidation:
    def cv(self, package):
        if package.__name__ == "xgboost":
            return package.cv({}, package.DMatrix(X, y), 2, nfold=2)
        if package.__name__ == "lightgbm":
            data = package.Dataset(X, y)
            return package.cv({"verbose": -1}, data, 2, nfold=2, stratified=False)
        return package.cv(package.Pool(X, y), {**QUIET, "loss_function": "RMSE"}, fold_count=2)

    def test_says_in_the_active_run_that_there_is_no_model(self, store, package):
        mlflow_interpret.autolog(log_figures=False)
        with mlflow.start_run():
            scores = self.cv(package)
        assert len(scores)
        (run,) = all_runs()
        assert run.data.tags["mlflow_interpret.status"] == "skipped"
        reason = run.data.tags["mlflow_interpret.reason"]
        assert "keeps no model" in reason
        assert f"{package.__name__}.train" in reason

    def test_makes_no_run(self, store, package):
        mlflow_interpret.autolog(log_figures=False)
        self.cv(package)
        assert all_runs() == []


class TestMargins:
    """Predictions are for rows without a base margin, initial score or baseline."""

    margins = 5.0 * X.a.to_numpy()

    def data(self, package):
        if package.__name__ == "xgboost":
            return package.DMatrix(X, y, base_margin=self.margins)
        if package.__name__ == "lightgbm":
            return package.Dataset(X, y, init_score=self.margins)
        return package.Pool(X, y, baseline=self.margins)

    def model(self, package):
        if package.__name__ == "xgboost":
            return package.XGBRegressor(n_estimators=3), {"base_margin": self.margins}
        if package.__name__ == "lightgbm":
            return package.LGBMRegressor(n_estimators=3, verbose=-1), {"init_score": self.margins}
        return package.CatBoostRegressor(**QUIET), {"baseline": self.margins}

    def check(self, model, rows, store):
        (run,) = all_runs()
        explanation = mlflow_store.load(run.info.run_id, None, store)
        sums = explanation.local_values.sum(axis=1) + explanation.expected_values
        np.testing.assert_allclose(sums, model.predict(rows), rtol=1e-4, atol=1e-5)
        notes = [note.text for note in explanation.details.notes]
        assert any("base margin" in note for note in notes)
        assert explanation.details.output_scale == "prediction"

    def test_of_training_functions_are_noted(self, store, package):
        mlflow_interpret.autolog(log_figures=False)
        model = train(package, self.data(package))
        self.check(model, package.DMatrix(X) if package.__name__ == "xgboost" else X, store)

    def test_of_fit_are_noted(self, store, package):
        mlflow_interpret.autolog(log_figures=False)
        model, arguments = self.model(package)
        self.check(model.fit(X, y, **arguments), X, store)


def squared(predicted, data):
    return predicted - data.get_label(), np.ones(len(predicted))


class Squared:
    """The same objective for CatBoost."""

    def calc_ders_range(self, predicted, labels, weights):
        return [(label - value, -1.0) for value, label in zip(predicted, labels)]


@pytest.mark.filterwarnings("ignore")
def test_custom_objectives_are_noted(store, package):
    mlflow_interpret.autolog(log_figures=False)
    if package.__name__ == "xgboost":
        model, rows = train(package, obj=squared), package.DMatrix(X)
    elif package.__name__ == "lightgbm":
        settings = {"verbose": -1, "objective": squared}
        model, rows = package.train(settings, package.Dataset(X, y), 3), X
    else:
        settings = {**QUIET, "loss_function": Squared(), "eval_metric": "RMSE"}
        model, rows = package.train(package.Pool(X, y), settings), X
    (run,) = all_runs()
    explanation = mlflow_store.load(run.info.run_id, None, store)
    sums = explanation.local_values.sum(axis=1) + explanation.expected_values
    np.testing.assert_allclose(sums, model.predict(rows), rtol=1e-4, atol=1e-5)
    assert any("custom objective" in note.text for note in explanation.details.notes)
