"""Native models of XGBoost, LightGBM and CatBoost, against enumeration of their trees."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from tests.explaining import path_dependent

from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.model_adapter import adapt_model
from mlflow_interpret.explaining.native_data import (
    as_evaluation_examples,
    as_initialization_examples,
)

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(300, 4)), columns=["a", "b", "c", "d"])
X.loc[::9, "b"] = np.nan
number = 2 * X.a + X.c * np.abs(X.d) + X.b.fillna(1)
three = np.digitize(number, [0, 2])
groups = np.repeat(np.arange(30), 10)
ROWS = X.iloc[:15]
CATBOOST = {"iterations": 8, "depth": 3, "verbose": False, "allow_writing_files": False}


def trained(package, objective, y, rows=X, **settings):
    module = pytest.importorskip(package)
    if package == "xgboost":
        data = module.DMatrix(rows, y)
        return module.train({"max_depth": 3, "objective": objective, **settings}, data, 8)
    if package == "lightgbm":
        data = module.Dataset(rows, y)
        return module.train({"objective": objective, "verbose": -1, **settings}, data, 8)
    pool = module.Pool(rows, y)
    return module.train(pool, {**CATBOOST, "loss_function": objective, **settings})


def trees_of(model, output, n_outputs, tmp_path):
    package = type(model).__module__.partition(".")[0]
    if package == "xgboost":
        return path_dependent.xgboost_trees(model, list(X.columns))[output::n_outputs]
    if package == "lightgbm":
        return path_dependent.lightgbm_trees(model)[output::n_outputs]
    path = tmp_path / "model.json"
    model.save_model(str(path), format="json")
    return path_dependent.catboost_trees(json.loads(path.read_text()), output, n_outputs)


def explained(model, rows=ROWS, **context):
    return explain(TrainingContext(model, X, evaluation_examples=rows, **context), Plan())


@pytest.mark.parametrize(
    ("package", "objective"),
    [("xgboost", "reg:squarederror"), ("lightgbm", "regression"), ("catboost", "RMSE")],
)
def test_regression_equals_enumeration(package, objective, tmp_path):
    model = trained(package, objective, number)
    explanation = explained(model)
    expected = path_dependent.shapley(trees_of(model, 0, 1, tmp_path), ROWS.to_numpy())
    np.testing.assert_allclose(explanation.local_values, expected, rtol=1e-4, atol=1e-5)
    assert explanation.task == "regression"
    assert explanation.method == "shap_tree"
    assert explanation.details.output_scale == "prediction"
    assert explanation.details.model.fitted == type(model).__name__
    assert explanation.model_class.startswith(f"{package}.")


@pytest.mark.parametrize(
    ("package", "objective", "settings"),
    [("xgboost", "multi:softprob", {"num_class": 3}), ("xgboost", "multi:softmax", {"num_class": 3}),
     ("lightgbm", "multiclass", {"num_class": 3}), ("catboost", "MultiClass", {})],
)  # fmt: skip
def test_classes_equal_enumeration(package, objective, settings, tmp_path):
    model = trained(package, objective, three, **settings)
    explanation = explained(model)
    assert explanation.classes == (0, 1, 2)
    assert explanation.details.output_scale == "log-odds"
    for k in range(3):
        expected = path_dependent.shapley(trees_of(model, k, 3, tmp_path), ROWS.to_numpy())
        np.testing.assert_allclose(explanation.local_values[k], expected, rtol=1e-4, atol=1e-5)
    share = (explanation.predicted == three[:15]).mean()
    assert share > 0.7


@pytest.mark.parametrize(
    ("package", "objective"),
    [("xgboost", "binary:logistic"), ("lightgbm", "binary"), ("catboost", "Logloss")],
)
def test_two_classes_have_opposite_values(package, objective, tmp_path):
    model = trained(package, objective, (three > 0).astype(int))
    explanation = explained(model, classes=["low", "high"])
    assert explanation.classes == ("low", "high")
    expected = path_dependent.shapley(trees_of(model, 0, 1, tmp_path), ROWS.to_numpy())
    np.testing.assert_allclose(explanation.local_values[1], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(explanation.local_values[0], -explanation.local_values[1])


def test_the_iterations_up_to_the_best_are_explained(tmp_path):
    xgboost = pytest.importorskip("xgboost")
    noisy = number + rng.normal(size=300) * 3
    late = xgboost.DMatrix(X[150:], noisy[150:])
    model = xgboost.train(
        {"learning_rate": 0.8}, xgboost.DMatrix(X[:150], noisy[:150]), 200,
        evals=[(late, "late")], early_stopping_rounds=3, verbose_eval=False,
    )  # fmt: skip
    best = model.best_iteration + 1
    assert best < model.num_boosted_rounds()
    explanation = explained(model)
    stopped = model.predict(xgboost.DMatrix(ROWS), iteration_range=(0, best))
    np.testing.assert_allclose(explanation.predicted, stopped)
    sums = explanation.local_values.sum(axis=1) + explanation.expected_values
    np.testing.assert_allclose(sums, stopped, rtol=1e-4)
    assert any("stopped early" in note.text for note in explanation.details.notes)


@pytest.mark.parametrize(("package", "prefix"), [("xgboost", "XGB"), ("lightgbm", "LGBM")])
def test_rankers_equal_their_boosters(package, prefix, tmp_path):
    module = pytest.importorskip(package)
    settings = {"n_estimators": 5} | ({"verbose": -1} if package == "lightgbm" else {})
    model = getattr(module, f"{prefix}Ranker")(**settings).fit(X, three, group=[10] * 30)
    booster = model.get_booster() if package == "xgboost" else model.booster_
    explanation = explained(model)
    expected = path_dependent.shapley(trees_of(booster, 0, 1, tmp_path), ROWS.to_numpy())
    np.testing.assert_allclose(explanation.local_values, expected, rtol=1e-4, atol=1e-5)
    assert explanation.task == "regression"


def test_ranker_of_catboost(tmp_path):
    catboost = pytest.importorskip("catboost")
    model = catboost.CatBoostRanker(**CATBOOST).fit(X, three, group_id=groups)
    explanation = explained(model)
    expected = path_dependent.shapley(trees_of(model, 0, 1, tmp_path), ROWS.to_numpy())
    np.testing.assert_allclose(explanation.local_values, expected, rtol=1e-4, atol=1e-5)
    assert explanation.method == "shap_tree"


@pytest.mark.parametrize("kind", ["DMatrix", "QuantileDMatrix"])
def test_a_dmatrix_gives_back_missing_cells_and_categories(kind):
    xgboost = pytest.importorskip("xgboost")
    rows = X.assign(zero=0.0, kind=pd.Categorical(rng.choice(["z", "y", None], 300)))
    data = getattr(xgboost, kind)(rows, number, enable_categorical=True)
    model = xgboost.train({"max_depth": 3}, data, 8)
    table, labels = as_evaluation_examples(data)
    pd.testing.assert_frame_equal(table.isna(), rows.isna())
    assert table["kind"].astype(object).equals(rows["kind"].astype(object))
    np.testing.assert_allclose(labels, number, rtol=1e-6)
    adapter = adapt_model(model)
    np.testing.assert_array_equal(adapter.predict(table), adapter.predict(rows))
    if kind == "DMatrix":
        np.testing.assert_allclose(table[list(X)], X, rtol=1e-6)


def test_arrays_have_no_names():
    xgboost = pytest.importorskip("xgboost")
    data = xgboost.DMatrix(X.to_numpy(), number)
    model = xgboost.train({}, data, 2)
    assert isinstance(as_initialization_examples(data), np.ndarray)
    named = adapt_model(trained("xgboost", "reg:squarederror", number))
    np.testing.assert_array_equal(named.predict(X), named.predict(X.to_numpy()))
    np.testing.assert_array_equal(
        adapt_model(model).predict(X), adapt_model(model).predict(X.to_numpy())
    )


def test_a_pool_with_categories_is_refused_with_a_remedy():
    catboost = pytest.importorskip("catboost")
    pool = catboost.Pool(X.assign(kind="u"), number, cat_features=["kind"])
    with pytest.raises(OptionError, match="initialization_examples must be a table.*categorical"):
        as_initialization_examples(pool)


def test_a_freed_dataset_is_refused_with_a_remedy():
    lightgbm = pytest.importorskip("lightgbm")
    freed = lightgbm.Dataset(X, number).construct()
    with pytest.raises(OptionError, match="free_raw_data=False"):
        as_evaluation_examples(freed)
    kept = lightgbm.Dataset(X, number, free_raw_data=False).construct()
    rows, labels = as_evaluation_examples(kept)
    pd.testing.assert_frame_equal(rows, X)
    np.testing.assert_allclose(labels, number, rtol=1e-6)


@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_an_adapted_booster_can_be_pickled(package):
    model = trained(package, "binary:logistic" if package == "xgboost" else "binary", three > 0)
    adapter = adapt_model(model)
    copied = pickle.loads(pickle.dumps(adapter))
    np.testing.assert_array_equal(copied.probabilities(X), adapter.probabilities(X))


def test_contributions_of_linear_boosters_are_not_used():
    model = trained("xgboost", "reg:squarederror", number, booster="gblinear")
    assert explained(model).method != "shap_tree"


def test_catboost_with_categories_beside_texts_is_sampled():
    catboost = pytest.importorskip("catboost")
    rows = X.assign(kind=rng.choice(["u", "v"], 300), text=rng.choice(["good one", "bad"], 300))
    model = catboost.CatBoost({**CATBOOST, "loss_function": "Logloss"})
    model.fit(rows, three > 0, cat_features=["kind"], text_features=["text"])
    context = TrainingContext(model, rows, evaluation_examples=rows[:10])
    assert explain(context, Plan()).method != "shap_tree"


class TestAdditivity:
    """Contributions and expected value are the raw prediction of the library itself."""

    weights = rng.random(300)
    table = X.assign(plan=pd.Categorical(rng.choice(["u", "v", "w"], 300)))
    noisy = number + 3 * rng.normal(size=300)

    def check(self, model, margins, rows=X):
        context = TrainingContext(model, rows, evaluation_examples=rows.iloc[:15])
        explanation = explain(context, Plan())
        local = explanation.local_values
        sums = local.sum(axis=-1).T + explanation.expected_values
        np.testing.assert_allclose(sums, np.asarray(margins)[:15], rtol=1e-4, atol=1e-5)
        assert explanation.method == "shap_tree"
        return explanation

    @pytest.mark.parametrize(
        "settings",
        [
            {"booster": "dart", "rate_drop": 0.3},
            {"num_parallel_tree": 3, "subsample": 0.5},
            {"objective": "count:poisson"},
            {"objective": "survival:cox"},
            {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]},
        ],
        ids=lambda settings: next(iter(settings.values())),
    )
    def test_xgboost(self, settings):
        xgboost = pytest.importorskip("xgboost")
        data = xgboost.DMatrix(self.table, abs(number) + 0.1, weight=self.weights,
                               enable_categorical=True)  # fmt: skip
        model = xgboost.train({"max_depth": 3, **settings}, data, 8)
        has_link = str(settings.get("objective")) in {"count:poisson", "survival:cox"}
        margins = model.predict(data, output_margin=True)
        explanation = self.check(model, margins, self.table)
        scale = "raw prediction" if has_link else "prediction"
        assert explanation.details.output_scale == scale

    @pytest.mark.parametrize(
        "settings",
        [
            {"boosting": "dart"},
            {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
            {"objective": "poisson"},
            {"objective": "quantile"},
        ],
        ids=lambda settings: next(iter(settings.values())),
    )
    def test_lightgbm(self, settings):
        lightgbm = pytest.importorskip("lightgbm")
        data = lightgbm.Dataset(self.table, abs(number), weight=self.weights)
        model = lightgbm.train({"verbose": -1, "min_data_per_group": 5, **settings}, data, 8)
        margins = model.predict(self.table, raw_score=True)
        margins = margins / 8 if settings.get("boosting") == "rf" else margins
        self.check(model, margins, self.table)

    @pytest.mark.parametrize("loss", ["RMSE", "Poisson", "MultiRMSE"])
    def test_catboost(self, loss):
        catboost = pytest.importorskip("catboost")
        rows = self.table.astype({"plan": str})
        labels = np.column_stack([number, -number]) if loss == "MultiRMSE" else abs(number)
        pool = catboost.Pool(rows, labels, weight=self.weights, cat_features=["plan"])
        model = catboost.train(pool, {**CATBOOST, "loss_function": loss})
        self.check(model, model.predict(rows, prediction_type="RawFormulaVal"), rows)

    def test_lightgbm_that_stops_early(self):
        lightgbm = pytest.importorskip("lightgbm")
        model = lightgbm.train(
            {"verbose": -1, "learning_rate": 0.8}, lightgbm.Dataset(X[:150], self.noisy[:150]), 200,
            valid_sets=[lightgbm.Dataset(X[150:], self.noisy[150:])],
            callbacks=[lightgbm.early_stopping(3, verbose=False)],
        )  # fmt: skip
        assert model.best_iteration < 200
        self.check(model, model.predict(X, num_iteration=model.best_iteration))

    def test_catboost_that_stops_early(self):
        catboost = pytest.importorskip("catboost")
        settings = {**CATBOOST, "iterations": 200, "learning_rate": 0.8}
        late = catboost.Pool(X[150:], self.noisy[150:])
        model = catboost.CatBoost({**settings, "early_stopping_rounds": 3})
        model.fit(X[:150], self.noisy[:150], eval_set=late)
        assert model.tree_count_ == model.best_iteration_ + 1 < 200
        self.check(model, model.predict(X))
