"""Interactions: equal to enumeration and shap where they are exact, within their errors else."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import shap
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVR

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.batch import as_batch
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers import booster_interactions, interaction_matrices
from mlflow_interpret.explaining.explainers.base import ExplainRequest, exact_explainer
from mlflow_interpret.explaining.explainers.interaction_sampler import sample_interactions
from mlflow_interpret.explaining.explainers.shap_trees import ShapTreeExplainer
from mlflow_interpret.explaining.model_adapter import adapt_model

from . import exact, path_dependent

RANDOM = np.random.default_rng(0)
X = pd.DataFrame(RANDOM.normal(size=(150, 4)), columns=["a", "b", "c", "d"])
PRODUCT = (X["a"] * X["b"]).to_numpy()
NUMBER = PRODUCT + X["c"].to_numpy() + 0.1 * RANDOM.normal(size=150)
THREE = np.digitize(NUMBER, [-0.5, 0.5])
ROWS = X[:8]
ALL = np.arange(4)

needs_shapiq = pytest.mark.skipif(find_spec("shapiq") is None, reason="shapiq: Python 3.12")


def explained(model, rows=X, **plan):
    return explain(TrainingContext(model=model, X=rows), Plan(interactions=4, **plan))


def exact_interactions(model, rows=ROWS, background=X, columns=ALL):
    adapter = adapt_model(model, row=rows[:1])
    request = ExplainRequest(adapter, as_batch(background, list(background), background))
    explainer = exact_explainer(request)
    return explainer.interactions(as_batch(rows, list(rows), background), np.asarray(columns))


def off_diagonal(values):
    values = np.array(values, dtype=float)
    values[..., np.arange(values.shape[-1]), np.arange(values.shape[-1])] = 0.0
    return values


def notes(explanation):
    return " ".join(map(str, explanation.details.notes))


@needs_shapiq
@pytest.mark.parametrize(
    "model",
    [
        RandomForestRegressor(5, random_state=0),
        RandomForestClassifier(5, random_state=0),
        GradientBoostingRegressor(n_estimators=10),
        HistGradientBoostingRegressor(max_iter=10),
    ],
    ids=lambda model: type(model).__name__,
)
def test_interactions_of_trees_equal_those_of_shap(model):
    model.fit(X, THREE if hasattr(model, "predict_proba") else NUMBER)
    values = np.asarray(shap.TreeExplainer(model).shap_interaction_values(ROWS))
    expected = np.moveaxis(values, -1, 0) if values.ndim == 4 else values[None]
    size = np.abs(expected).max()
    np.testing.assert_allclose(
        exact_interactions(model), off_diagonal(expected), atol=1e-6 * size, rtol=1e-6
    )


@needs_shapiq
def test_categories_and_missing_cells_of_trees_equal_enumeration():
    rows = X.assign(kind=pd.Categorical(np.where(X["a"] > 0, "u", np.where(X["b"] > 0, "v", "w"))))
    rows.iloc[::9, 1] = np.nan
    model = HistGradientBoostingRegressor(max_iter=3, categorical_features="from_dtype")
    model.fit(rows, NUMBER)
    columns = [4, 1, 0]
    values = exact_interactions(model, rows[:12], rows, columns)
    trees = [_nodes(stage[0].nodes, stage[0].raw_left_cat_bitsets) for stage in model._predictors]
    cells = rows[:12].assign(kind=rows["kind"].cat.codes).to_numpy(dtype=float)
    order = [4, 0, 1, 2, 3]  # the model has categories in front
    expected = path_dependent.interactions(trees, cells[:, order])
    places = [order.index(column) for column in columns]
    np.testing.assert_allclose(values[0], expected[:, places][:, :, places], atol=1e-9)


def _nodes(nodes, bitsets):
    def node(position):
        line = nodes[position]
        if line["is_leaf"]:
            return path_dependent.Node(line["count"], value=line["value"])
        return path_dependent.Node(
            line["count"],
            feature=int(line["feature_idx"]),
            goes_left=lambda cell: _goes_left(line, bitsets, cell),
            left=node(line["left"]),
            right=node(line["right"]),
        )

    return node(0)


def _goes_left(line, bitsets, cell):
    if np.isnan(cell):
        return bool(line["missing_go_to_left"])
    if line["is_categorical"]:
        return bool(bitsets[line["bitset_idx"]][0] >> int(cell) & 1)
    return cell <= line["num_threshold"]


@pytest.mark.parametrize("package", ["xgboost", "lightgbm", "catboost"])
@pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
def test_interactions_of_boosters_equal_enumeration(package, kind, tmp_path):
    library = pytest.importorskip(package)
    if package == "lightgbm":
        pytest.importorskip("shapiq", reason="shapiq needs Python 3.12")
    prefix = {"xgboost": "XGB", "lightgbm": "LGBM", "catboost": "CatBoost"}[package]
    settings = {
        "xgboost": {"n_jobs": 1},
        "lightgbm": {"verbose": -1, "n_jobs": 1},
        "catboost": {"verbose": False, "allow_writing_files": False, "thread_count": 1},
    }[package]
    model = getattr(library, prefix + kind)(n_estimators=5, max_depth=3, **settings)
    rows = X.to_numpy()
    model.fit(rows, (NUMBER > 0).astype(int) if kind == "Classifier" else NUMBER)
    table = pd.DataFrame(rows)
    values = exact_interactions(model, table[:8], table)
    expected = path_dependent.interactions(_trees_of(model, tmp_path), rows[:8])
    np.testing.assert_allclose(values[-1], expected, rtol=1e-4, atol=1e-5)
    assert len(values) == (2 if kind == "Classifier" else 1)
    if kind == "Classifier":
        np.testing.assert_array_equal(values[0], -values[1])


def _trees_of(model, tmp_path):
    if hasattr(model, "get_booster"):
        return path_dependent.xgboost_trees(model.get_booster(), [f"f{i}" for i in range(4)])
    if hasattr(model, "booster_"):
        return path_dependent.lightgbm_trees(model.booster_)
    model.save_model(str(tmp_path / "model.json"), format="json")
    return path_dependent.catboost_trees(json.loads((tmp_path / "model.json").read_text()))


def test_a_pipeline_has_interactions_by_raw_column():
    rows = X.assign(kind=np.where(X["a"] > 0, "u", np.where(X["b"] > 0, "v", "w")))
    front = make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["a", "b"]))
    forest = RandomForestRegressor(5, random_state=0)
    model = make_pipeline(front, forest).fit(rows, NUMBER)
    values = exact_interactions(model, rows[:8], rows, [0, 4, 2])  # a, kind, c
    engineered = shap.TreeExplainer(forest).shap_interaction_values(front.transform(rows[:8]))
    expected = engineered[:, 3, :3].sum(axis=1)
    np.testing.assert_allclose(values[0][:, 0, 1], expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(values[0][:, 1, 0], expected, rtol=1e-6, atol=1e-8)
    assert not values[0][:, 2].any()  # the pipeline drops c


def test_a_weighted_sum_of_models_has_the_sum_of_their_interactions():
    forest = RandomForestRegressor(3, random_state=0)
    model = VotingRegressor([("forest", forest), ("linear", LinearRegression())]).fit(X, NUMBER)
    alone = exact_interactions(model.estimators_[0])
    np.testing.assert_allclose(exact_interactions(model), 0.5 * alone)
    targets = MultiOutputRegressor(forest).fit(X, np.column_stack([NUMBER, -NUMBER]))
    of_targets = exact_interactions(targets)
    assert of_targets.shape == (2, 8, 4, 4)
    np.testing.assert_allclose(of_targets[0], exact_interactions(targets.estimators_[0])[0])


def test_quadratic_functions_equal_enumeration():
    model = QuadraticDiscriminantAnalysis().fit(X, THREE)
    expected = exact.interactions(model.decision_function, ROWS[:3], X[:20])
    values = exact_interactions(model, ROWS[:3], X[:20])
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(), GaussianNB(), make_pipeline(StandardScaler(), LinearRegression())],
)
def test_additive_models_have_none_and_say_so(model):
    explanation = explained(model.fit(X, THREE))
    assert not explanation.interactions.values.any()
    assert not explanation.interactions.is_sampled
    assert "The interactions are 0" in notes(explanation)
    assert explanation.interactions.strongest_partner("a") is None


def test_sampled_interactions_agree_with_enumeration_within_their_errors():
    def output(cells):
        return np.column_stack([np.prod(cells[:, :2], axis=1), np.abs(cells).sum(axis=1) ** 2])

    expected = exact.interactions(lambda rows: output(rows.to_numpy()), ROWS, X[:20])
    values, errors = sample_interactions(
        output, ROWS.to_numpy(), X[:20].to_numpy(), ALL, 400, [(0, i) for i in range(8)]
    )
    difference = np.abs(values - expected)
    assert (difference <= 5 * errors + 1e-9).all()
    size = np.abs(expected).max()
    assert difference.max() < 0.1 * size
    assert errors.max() < 0.1 * size


@pytest.mark.parametrize(
    "model",
    [
        SVR(),
        make_pipeline(PolynomialFeatures(2), LinearRegression()),
        HistGradientBoostingClassifier(max_iter=20),
    ],
    ids=["exact values", "black box", "another output"],
)
def test_sampled_interactions_rank_a_product_first(model):
    y = PRODUCT > 0 if hasattr(model, "predict_proba") else NUMBER
    explanation = explained(model.fit(X, y), output="probability", is_output_optional=True)
    interactions = explanation.interactions
    first = interactions.ranked()[0]
    assert {first.feature_1, first.feature_2} == {"a", "b"}
    assert interactions.is_sampled
    assert interactions.n_rows == 50
    assert 0 < first.standard_error < 0.5 * first.interaction
    assert "estimated from" in notes(explanation)


def test_a_product_is_first_and_each_the_partner_of_the_other():
    model = RandomForestRegressor(20, random_state=0).fit(X, PRODUCT)
    interactions = explained(model).interactions
    first = interactions.ranked()[0]
    assert {first.feature_1, first.feature_2} == {"a", "b"}
    assert first.share > 0.5
    assert sum(pair.share for pair in interactions.ranked()) == pytest.approx(1)
    assert interactions.strongest_partner("a") == "b"
    assert interactions.strongest_partner("b") == "a"
    assert interactions.strongest_partner("unknown") is None


def test_the_mean_and_its_error_are_those_of_the_rows():
    model = RandomForestClassifier(5, random_state=0).fit(X, THREE)
    interactions = explained(model).interactions
    assert (interactions.n_rows, interactions.is_sampled) == (150, False)
    columns = [list(X).index(name) for name in interactions.features]
    sizes = np.abs(exact_interactions(model, X, X, columns)).mean(axis=0)
    np.testing.assert_allclose(interactions.values, sizes.mean(axis=0))
    errors = sizes.std(axis=0, ddof=1) / np.sqrt(150)
    np.testing.assert_allclose(interactions.errors, errors)


def test_none_are_computed_unless_requested():
    model = LinearRegression().fit(X, NUMBER)
    explanation = explain(TrainingContext(model=model, X=X))
    assert explanation.interactions is None
    assert "nteraction" not in notes(explanation)


class Fragile(RandomForestRegressor):
    """Predicts tables of the size of the training rows only, not those of many mixed rows."""

    def predict(self, rows):
        if len(rows) > len(X):
            raise ValueError("secret cells")
        return super().predict(rows)


def test_a_failure_is_a_note_without_values_of_rows():
    model = Fragile(3, random_state=0).fit(X, NUMBER)
    context = TrainingContext(model=model, X=X, initialization_examples=X[:20])
    explanation = explain(context, Plan(interactions=3))
    assert explanation.method == "shap_tree"
    assert explanation.interactions is None
    assert "Interactions were not computed, because Fragile cannot predict rows" in notes(
        explanation
    )
    assert "secret cells" in notes(explanation)
    assert "secret cells" not in notes(explanation.without_rows())


def test_a_spent_time_budget_leaves_some_rows_out():
    ticks = iter(range(10**6))  # each look at the clock takes a second
    model = QuadraticDiscriminantAnalysis().fit(X, THREE)
    explanation = explain(
        TrainingContext(model=model, X=X),
        Plan(interactions=4, time_budget=400.0),
        clock=lambda: float(next(ticks)),
    )
    assert 1 <= explanation.interactions.n_rows < len(X)


@pytest.mark.parametrize("rows", [X[["a"]], pd.Series(["red fox", "grey fox", "red dog"] * 10)])
def test_one_column_has_no_pairs(rows):
    if rows.ndim == 1:
        from sklearn.feature_extraction.text import CountVectorizer

        model = make_pipeline(CountVectorizer(), LogisticRegression())
        model.fit(rows, rows.str.contains("red"))
    else:
        model = LinearRegression().fit(rows, NUMBER)
    explanation = explained(model, rows)
    assert explanation.interactions is None
    assert "Interactions were not computed" in notes(explanation)


def test_refusals_complete_a_sentence():
    model = SVR().fit(X, NUMBER)
    with pytest.raises(CannotExplainError, match="has no exact interactions"):
        exact_interactions(model)


@pytest.mark.parametrize(
    "model", [RandomForestClassifier(3, random_state=0), RandomForestRegressor(3, random_state=0)]
)
def test_shap_computes_interactions_where_shapiq_is_not_installed(model):
    model.fit(X, THREE if hasattr(model, "predict_proba") else NUMBER)
    adapter = adapt_model(model, row=ROWS[:1])
    request = ExplainRequest(adapter, as_batch(X, list(X), X))
    values = ShapTreeExplainer(request).interactions(as_batch(ROWS, list(X), X), ALL)
    raw = shap.TreeExplainer(model).shap_interaction_values(ROWS)
    if isinstance(raw, np.ndarray):  # new versions of shap have the outputs last
        raw = np.moveaxis(raw, -1, 0) if raw.ndim == 4 else raw[None]
    np.testing.assert_allclose(values, off_diagonal(raw), atol=1e-9)


@pytest.mark.parametrize(
    ("package", "native"), [("xgboost", "get_booster"), ("lightgbm", "booster_")]
)
def test_native_boosters_have_the_interactions_of_their_wrappers(package, native):
    library = pytest.importorskip(package)
    if package == "lightgbm":
        pytest.importorskip("shapiq", reason="shapiq needs Python 3.12")
    kind = library.XGBRegressor if package == "xgboost" else library.LGBMRegressor
    model = kind(n_estimators=5, max_depth=3, n_jobs=1).fit(X, NUMBER)
    booster = getattr(model, native)
    values = exact_interactions(booster() if callable(booster) else booster)
    assert values.any()
    np.testing.assert_allclose(values, exact_interactions(model), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["xgboost", "shap"])
def test_the_matrices_of_a_call_have_a_limit(kind, monkeypatch):
    """Three classes and five columns with the bias: 75 cells a row, so two rows fit in 150."""
    if kind == "xgboost":
        model = pytest.importorskip("xgboost").XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1)
    else:
        model = RandomForestClassifier(3, random_state=0)
    model.fit(X, THREE)
    request = ExplainRequest(adapt_model(model, row=ROWS[:1]), as_batch(X, list(X), X))
    explainer = exact_explainer(request) if kind == "xgboost" else ShapTreeExplainer(request)
    rows = as_batch(ROWS[:5], list(X), X)
    expected = explainer.interactions(rows, ALL)
    calls = []
    monkeypatch.setattr(interaction_matrices, "_MAX_CELLS", 150)
    owner, name = (
        (booster_interactions, "_part")
        if kind == "xgboost"
        else (ShapTreeExplainer, "_interactions")
    )
    compute = getattr(owner, name)

    def counted(*arguments):
        calls.append(len(arguments[2 if kind == "xgboost" else 1]))
        return compute(*arguments)

    monkeypatch.setattr(owner, name, counted)
    np.testing.assert_allclose(explainer.interactions(rows, ALL), expected, atol=1e-6)
    assert calls == [2, 2, 1]
    monkeypatch.setattr(interaction_matrices, "_MAX_CELLS", 74)
    with pytest.raises(CannotExplainError, match="all 4 columns and 3 outputs, which are too many"):
        explainer.interactions(rows, ALL)


@pytest.mark.parametrize(("n_columns", "n_outputs"), [(20_000, 1), (3_000, 10)])
def test_rows_of_gigabytes_are_refused(n_columns, n_outputs):
    with pytest.raises(CannotExplainError, match="are too many"):
        interaction_matrices.n_rows_of_call(n_columns, n_outputs)


def test_interactions_of_too_many_columns_are_sampled(monkeypatch):
    model = pytest.importorskip("xgboost").XGBRegressor(n_estimators=5, max_depth=3, n_jobs=1)
    monkeypatch.setattr(interaction_matrices, "_MAX_CELLS", 24)
    explanation = explained(model.fit(X, NUMBER), X[:20])
    assert explanation.interactions.is_sampled
    assert "all 4 columns, which are too many" in notes(explanation)


@needs_shapiq
def test_lightgbm_needs_no_matrix_of_all_columns(monkeypatch):
    lightgbm = pytest.importorskip("lightgbm")
    from shapiq import InteractionValues

    model = lightgbm.LGBMRegressor(n_estimators=5, max_depth=3, verbose=-1, n_jobs=1)
    model.fit(X, NUMBER)
    whole = InteractionValues.get_n_order_values

    def of_single_columns(values, order):
        assert order == 1
        return whole(values, order)

    monkeypatch.setattr(InteractionValues, "get_n_order_values", of_single_columns)
    trees = path_dependent.lightgbm_trees(model.booster_)
    expected = path_dependent.interactions(trees, ROWS.to_numpy())[:, [3, 0]][:, :, [3, 0]]
    values = exact_interactions(model, columns=[3, 0])
    np.testing.assert_allclose(values[0], expected, rtol=1e-4, atol=1e-5)
