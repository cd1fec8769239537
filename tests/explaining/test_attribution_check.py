"""Contributions that belong to other columns are found, and right ones of correlated columns pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining import attribution_check, booster_libraries
from mlflow_interpret.explaining.attribution_check import MisattributedError, check_attributions
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    exact_explainer,
    register,
    unregister,
)
from mlflow_interpret.explaining.model_adapter import adapt_model
from mlflow_interpret.explaining.single_columns import sample_columns
from mlflow_interpret.explaining.time_budget import Budget

from . import exact

N = 300


def request_for(model, rows, **settings):
    batch = as_batch(rows, feature_names(rows, None), rows)
    return ExplainRequest(adapt_model(model), batch, Plan(), **settings)


class Altered(Explainer):
    """Another explainer, whose contributions are exchanged between columns."""

    def __init__(self, explainer, alter, *, is_interventional=False):
        self._explainer, self._alter = explainer, alter
        self.info = explainer.info
        self.is_interventional = is_interventional

    @classmethod
    def supports(cls, adapter):
        return True

    def explain(self, batch, scale=None):
        attributions = self._explainer.explain(batch, scale)
        return replace(attributions, local_values=self._alter(attributions.local_values.copy()))


def swap(values):
    return values[..., [1, 0, *range(2, values.shape[-1])]]


def permute(values):
    return np.roll(values, 1, axis=-1)


def merge(values):
    values[..., 1] += values[..., 0]
    values[..., 0] = 0.0
    return values


def double(values):
    values[..., 1] -= values[..., 0]
    values[..., 0] *= 2.0
    return values


def flip(values):
    values[..., 1] += 2.0 * values[..., 0]
    values[..., 0] *= -1.0
    return values


ALTERATIONS = (swap, permute, merge, double, flip)


def table(n_columns=4, seed=0):
    cells = np.random.default_rng(seed).normal(size=(N, n_columns))
    return pd.DataFrame(cells, columns=[f"c{i}" for i in range(n_columns)])


def trees(rows, labels):
    model = GradientBoostingRegressor(n_estimators=20, random_state=0).fit(rows, labels)
    return model, exact_explainer(request_for(model, rows))


@pytest.mark.parametrize("alter", ALTERATIONS)
@pytest.mark.parametrize("n_columns", [4, 60])
def test_exchanged_contributions_are_declined(alter, n_columns):
    rows = table(n_columns)
    model, explainer = trees(rows, 3 * rows.c0 + np.sin(3 * rows.c1) + rows.c2)
    request = request_for(model, rows)
    assert (
        check_attributions(Altered(explainer, lambda values: values), request).outcome == "passed"
    )
    with pytest.raises(MisattributedError, match="do not belong to these columns") as caught:
        check_attributions(Altered(explainer, alter), request)
    assert caught.value.check.outcome == "declined"
    assert caught.value.check.columns == min(n_columns, 16)


def test_leading_column_that_gets_the_contributions_of_a_minor_one_is_declined():
    rows = table(60)
    model, explainer = trees(rows, 3 * rows.c0 + rows.c2)

    def exchange(values):
        values[..., [0, 59]] = values[..., [59, 0]]
        return values

    with pytest.raises(MisattributedError, match="c0|c59"):
        check_attributions(Altered(explainer, exchange), request_for(model, rows))


def correlated(kind):
    random = np.random.default_rng(1)
    a, b, c = random.normal(size=(3, N))
    if kind == "copies":
        return pd.DataFrame({"a": a, "b": a, "c": a, "d": c}), 3 * a + c
    if kind == "almost copies":
        return pd.DataFrame({"a": a, "b": a + 0.05 * b, "c": c}), 2 * a + c
    if kind == "difference":
        return pd.DataFrame({"a": a, "b": a + 0.1 * b, "c": c}), 10 * b + 0.3 * c
    if kind == "opposite effects":
        return pd.DataFrame({"a": a, "b": a + 0.3 * b, "c": c}), 10 * a - 9 * (a + 0.3 * b)
    if kind == "lags":
        walk = np.cumsum(random.normal(size=N + 4))
        return pd.DataFrame({f"lag{i}": walk[i : N + i] for i in range(4)}), walk[4:]
    if kind == "interaction":
        b = a + 0.1 * b
        return pd.DataFrame({"a": a, "b": b, "c": c}), 3.0 * ((a > 0) != (b > 0)) + 0.1 * c
    return pd.DataFrame({"a": a, "b": np.exp(a), "c": np.sign(a), "d": c}), np.sin(3 * a) + c


KINDS = ("copies", "almost copies", "difference", "opposite effects", "lags", "interaction", "same")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("package", ["xgboost", "lightgbm", "catboost", "scikit-learn"])
def test_path_dependent_values_of_correlated_columns_pass(kind, package):
    rows, labels = correlated(kind)
    if package == "scikit-learn":
        model = RandomForestRegressor(10, random_state=0)
    else:
        model = booster(package)
    model.fit(rows, labels)
    request = request_for(model, rows)
    explainer = Altered(exact_explainer(request), lambda values: values)
    assert check_attributions(explainer, request).outcome == "passed"


def booster(package):
    module = pytest.importorskip(package)
    if package == "xgboost":
        return module.XGBRegressor(n_estimators=30, n_jobs=1)
    if package == "lightgbm":
        return module.LGBMRegressor(n_estimators=30, verbose=-1, n_jobs=1)
    return module.CatBoostRegressor(
        iterations=40, verbose=False, allow_writing_files=False, thread_count=1
    )


def prices(n=600):
    """The price of a plan, and a review that hardly moves it."""
    random = np.random.default_rng(0)
    plan = random.choice(["a", "b", "c", "d"], n)
    words = np.array(["good", "bad", "slow", "fast", "fair", "poor"])
    review = [" ".join(random.choice(words, 3)) for _ in range(n)]
    age = random.uniform(20, 60, n)
    labels = pd.Series(plan).map({"a": 0.0, "b": 1.5, "c": 3.0, "d": 5.0}).to_numpy()
    labels = labels + 0.5 * np.array(["good" in text for text in review]) + 0.01 * age
    return pd.DataFrame({"plan": plan, "review": review, "age": age}), labels


def test_contributions_that_catboost_exchanges_are_declined(monkeypatch):
    catboost = pytest.importorskip("catboost")
    monkeypatch.setattr(booster_libraries, "_check_catboost", lambda model: None)
    library = replace(
        booster_libraries._LIBRARIES["catboost", "CatBoost"], check=lambda model: None
    )
    monkeypatch.setitem(booster_libraries._LIBRARIES, ("catboost", "CatBoost"), library)
    rows, labels = prices()
    model = catboost.CatBoostRegressor(
        iterations=60, cat_features=["plan"], text_features=["review"], verbose=False,
        allow_writing_files=False, thread_count=1,
    ).fit(rows, labels)  # fmt: skip
    result = explain(TrainingContext(model, rows, labels), Plan(max_rows=3))
    check = result.details.attribution_check
    assert result.method == "shap_permutation"
    assert (check.outcome, check.explainer) == ("declined", "catboost ShapValues")
    assert "'plan'" in check.reason
    assert any("do not belong to these columns" in note.text for note in result.details.notes)
    values, _ = exact.shapley(model.predict, result.evaluation_rows, rows)
    np.testing.assert_allclose(result.local_values, values, atol=0.05 * np.abs(values).max())


def test_check_of_a_booster_is_recorded():
    rows, labels = correlated("almost copies")
    model = booster("xgboost").fit(rows, labels)
    check = explain(TrainingContext(model, rows, labels)).details.attribution_check
    assert (check.outcome, check.explainer) == ("passed", "xgboost pred_contribs")
    assert (check.rows, check.columns, check.reason) == (10, 3, None)
    pipeline = make_pipeline(StandardScaler(), booster("xgboost")).fit(rows, labels)
    assert explain(TrainingContext(pipeline, rows)).details.attribution_check.outcome == "passed"
    targets = MultiOutputRegressor(booster("xgboost")).fit(rows, rows[["a", "c"]])
    assert explain(TrainingContext(targets, rows)).details.attribution_check.outcome == "passed"


def test_own_explainers_are_not_checked():
    rows, labels = correlated("almost copies")
    for model in (LinearRegression(), RandomForestRegressor(3)):
        result = explain(TrainingContext(model.fit(rows, labels), rows))
        if "mlflow-interpret" in result.details.engine or "Quadrature" in result.details.engine:
            assert result.details.attribution_check is None


class Product(RegressorMixin, BaseEstimator):
    """A model with interactions."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        cells = np.asarray(X, dtype=float)
        return cells[:, 0] * cells[:, 1] + 3 * cells[:, 0] + cells[:, 2]


class ProductExplainer(Explainer):
    """Its exact values, or those of other columns."""

    is_interventional = True
    alter = staticmethod(lambda values: values)

    @classmethod
    def supports(cls, adapter):
        return isinstance(adapter.model, Product)

    def __init__(self, request):
        self._model, self._background = request.adapter.model, request.background.frame
        self.info = ExplainerInfo("shap_product", "toy package", max_rows=500)

    def explain(self, batch, scale=None):
        cells, mean = batch.frame.to_numpy(), self._background.to_numpy().mean(axis=0)
        moment = (self._background.iloc[:, 0] * self._background.iloc[:, 1]).mean()
        values = cells - mean
        values[:, 0] *= 3
        a, b = cells[:, 0], cells[:, 1]
        known_a, known_b, both = a * mean[1], b * mean[0], a * b
        values[:, 0] += (known_a - moment + both - known_b) / 2
        values[:, 1] = (known_b - moment + both - known_a) / 2
        expected = np.atleast_1d(self._model.predict(self._background).mean())
        outputs = self._model.predict(batch.frame)
        return Attributions(type(self).alter(values), expected, outputs, "prediction")


@pytest.fixture
def plugin(monkeypatch):
    yield register(priority=55)(ProductExplainer)
    unregister(ProductExplainer)


def shift(values):
    """A constant that sums and changes of single cells do not show."""
    values[..., 0] += 3.0
    values[..., 1] -= 3.0
    return values


@pytest.mark.parametrize("alter", [None, *ALTERATIONS, shift])
def test_interventional_values_agree_with_sampled_ones(plugin, alter, monkeypatch):
    rows = table(3)
    context = TrainingContext(
        Product().fit(rows), rows, initialization_examples=table(3, seed=7).iloc[:50]
    )
    if alter is None:
        result = explain(context, Plan(max_rows=3))
        assert result.method == "shap_product"
        assert result.details.attribution_check.outcome == "passed"
        return
    monkeypatch.setattr(ProductExplainer, "alter", staticmethod(alter))
    result = explain(context, Plan(max_rows=3))
    assert result.method == "shap_permutation"
    assert result.details.attribution_check.outcome == "declined"


def test_next_exact_explainer_names_the_declined_one(plugin, monkeypatch):
    class Other(ProductExplainer):
        alter = staticmethod(lambda values: values)

    register(priority=54)(Other)
    monkeypatch.setattr(ProductExplainer, "alter", staticmethod(swap))
    rows = table(3)
    try:
        result = explain(TrainingContext(Product().fit(rows), rows), Plan(max_rows=3))
    finally:
        unregister(Other)
    assert result.method == "shap_product"
    assert result.details.attribution_check.outcome == "passed"
    assert any("were refused, because toy package" in note.text for note in result.details.notes)


class Clock:
    """A clock that goes on by a second with each look."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        self.time += 1.0
        return self.time


def test_check_is_skipped_where_the_budget_is_short():
    rows, labels = correlated("almost copies")
    model, explainer = trees(rows, labels)
    request = request_for(model, rows, budget=Budget(100.0, Clock()))
    check = check_attributions(Altered(explainer, swap), request)
    assert (check.outcome, check.reason) == ("skipped", "the time budget is too short")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [(table(3).iloc[:1], "fewer than two rows"), (table(1), "fewer than two rows or columns")],
)
def test_check_is_skipped_where_there_is_nothing_to_compare(rows, reason):
    model, explainer = trees(table(rows.shape[1]), table(1).c0)
    assert reason in check_attributions(Altered(explainer, swap), request_for(model, rows)).reason


def test_failing_explainer_is_left_to_the_rows_to_explain():
    def fail(values):
        raise ValueError("quotes 5")

    rows, labels = correlated("almost copies")
    model, explainer = trees(rows, labels)
    check = check_attributions(Altered(explainer, fail), request_for(model, rows))
    assert check.outcome == "skipped"
    assert check.reason == "the explainer failed on changed rows: ValueError"


def test_contributions_that_do_not_add_up_are_left_to_the_check_of_sums():
    rows, labels = correlated("almost copies")
    model, explainer = trees(rows, labels)
    altered = Altered(explainer, lambda values: 2.0 * values)
    check = check_attributions(altered, request_for(model, rows))
    assert check.outcome == "skipped"
    assert check.reason == "the contributions do not add up to an output of the model"


def test_wide_tables_are_skipped(monkeypatch):
    monkeypatch.setattr(attribution_check, "_MAX_WIDTH", 3)
    rows = table(4)
    model, explainer = trees(rows, rows.c0)
    check = check_attributions(Altered(explainer, swap), request_for(model, rows))
    assert check.reason == "there are more than 3 columns"


def test_sampled_contributions_agree_with_enumeration():
    rows = table(3).iloc[:40].assign(c3=lambda table: np.where(table.c0 > 0, "x", "y"))

    def output(frame):
        cells = frame[["c0", "c1", "c2"]].to_numpy(dtype=float)
        return np.column_stack(
            [cells[:, 0] * cells[:, 1] + 2 * (frame["c3"] == "x"), cells[:, 2] - cells[:, 0]]
        )

    batch = as_batch(rows, feature_names(rows, None), rows)
    picked, columns = np.arange(5), np.array([0, 2, 3])
    values, errors = sample_columns(
        lambda batch: output(batch.original), batch, picked, columns, 400, 0
    )
    expected, _ = exact.shapley(output, rows.iloc[:5], rows)
    expected = expected[..., columns]
    assert values.shape == errors.shape == expected.shape
    assert (np.abs(values - expected) <= 5 * errors + 1e-12).all()
    assert errors.max() < 0.15
