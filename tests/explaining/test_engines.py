"""Engines against exact Shapley values, and the properties that any engine has to keep."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlflow_interpret.errors import CannotExplainError
from mlflow_interpret.explaining import engines
from mlflow_interpret.explaining.engines import contributions
from mlflow_interpret.explaining.models import predictor
from mlflow_interpret.explaining.tables import feature_names, table
from mlflow_interpret.quiet import quiet

from .exact import shapley

TREES_WITH_PROBABILITIES = (DecisionTreeClassifier, RandomForestClassifier)


def explain(model, rows, background=None, *, seed=0, max_rows=None):
    """The contributions for ``rows``, as the package's explain() asks for them."""
    background = rows if background is None else background
    names = feature_names(rows, None)
    with quiet():
        return contributions(
            predictor(model),
            table(rows, names, rows),
            table(background, names, rows),
            max_rows,
            seed,
        )


def rows_of(load, n_rows, columns, *, scaled=True):
    """Some rows of a bundled set, of all classes, and their labels."""
    X, y = load(return_X_y=True, as_frame=True)
    picked = np.random.default_rng(1).permutation(len(X))[:n_rows]
    X = X.iloc[picked, columns].reset_index(drop=True)
    X = pd.DataFrame(StandardScaler().fit_transform(X), columns=X.columns) if scaled else X
    return X, y.iloc[picked].reset_index(drop=True)


@pytest.fixture(scope="module")
def iris():
    return rows_of(load_iris, 30, [0, 1, 2, 3])


@pytest.fixture(scope="module")
def cancer():
    return rows_of(load_breast_cancer, 30, [0, 1, 4, 21, 27])


@pytest.fixture(scope="module")
def diabetes():
    return rows_of(load_diabetes, 30, [2, 3, 8, 9])


@pytest.fixture(scope="module")
def shop():
    """Strings, numbers with gaps and a yes/no column, with a price that depends on their mix."""
    draw = np.random.default_rng(2)
    n = 30
    rows = pd.DataFrame(
        {
            "colour": draw.choice(["red", "green", "blue"], n),
            "size": draw.choice([1, 2, 5], n),
            "used": draw.choice([True, False], n),
            "weight": np.where(draw.random(n) < 0.2, np.nan, draw.normal(size=n)),
        }
    )
    weight = rows["weight"].fillna(0)
    price = rows["size"] * (2 + (rows["colour"] == "red")) - rows["used"] * rows["size"] + weight
    return rows, price


def explain_whole(model, rows, max_rows):
    """A pipeline as a black box, as it is explained where it cannot be taken apart."""
    names = feature_names(rows, None)
    both = table(rows, names, rows)
    with quiet():
        return engines._kernel(predictor(model), both, both, max_rows, 0, "asked for")


def assert_agrees(found, output, rows, background=None, *, tolerance=1e-6):
    """The values are the exact ones; ``found`` may have explained some of the rows only."""
    picked = rows.iloc[found.rows].reset_index(drop=True)
    values, expected = shapley(output, picked, rows if background is None else background)
    assert found.local_values.shape == values.shape
    size = np.abs(values).max()
    assert size > 0
    np.testing.assert_allclose(found.local_values, values, rtol=0, atol=tolerance * size)
    np.testing.assert_allclose(found.expected_values, expected, rtol=tolerance, atol=tolerance)


class TestKernel:
    """With few features all coalitions are tried, with few rows all are the background."""

    @pytest.mark.parametrize(
        "model", [SVR(), KNeighborsRegressor(3)], ids=lambda model: type(model).__name__
    )
    def test_regression_is_exact(self, model, diabetes):
        rows, y = diabetes
        found = explain(model.fit(rows, y), rows, max_rows=4)
        assert found.method == "shap_kernel"
        assert found.scale == "prediction"
        assert_agrees(found, model.predict, rows)

    @pytest.mark.parametrize("load", ["iris", "cancer"])
    @pytest.mark.parametrize(
        "model", [KNeighborsClassifier(5), GaussianNB()], ids=lambda model: type(model).__name__
    )
    def test_probabilities_are_exact(self, model, load, request):
        rows, y = request.getfixturevalue(load)
        found = explain(model.fit(rows, y), rows, max_rows=3)
        assert found.method == "shap_kernel"
        assert found.scale == "probability"
        assert_agrees(found, model.predict_proba, rows)

    def test_evaluation_rows_that_are_not_the_background_are_exact(self, diabetes):
        rows, y = diabetes
        model = SVR().fit(rows, y)
        others = rows.iloc[::-1].reset_index(drop=True) + 0.5
        found = explain(model, others, rows, max_rows=3)
        assert_agrees(found, model.predict, others, rows)

    def test_whole_numbers_to_explain_do_not_round_the_background(self):
        rows, y = rows_of(load_iris, 30, [0, 1, 2], scaled=False)
        model = KNeighborsRegressor(4).fit(rows, y)
        whole = rows.round().astype(int)
        found = explain(model, whole, rows, max_rows=3)
        assert_agrees(found, model.predict, whole, rows)

    def test_a_pipeline_of_strings_gaps_and_booleans_is_exact(self, shop):
        rows, y = shop
        model = make_pipeline(
            make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore"), ["colour", "used"]),
                remainder="passthrough",
            ),
            HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=2),
        ).fit(rows, y)
        found = explain_whole(model, rows, 4)
        assert found.method == "shap_kernel"
        assert_agrees(found, model.predict, rows)
        assert (np.abs(found.local_values).max(axis=0) > 0).all()

    def test_a_pipeline_with_classes_of_strings_is_exact(self, shop):
        rows, _ = shop
        rows = rows[["colour", "size", "used"]]
        y = np.where(rows["colour"] == "red", "warm", np.where(rows["size"] > 1, "big", "other"))
        model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(rows, y)
        found = explain_whole(model, rows, 3)
        assert_agrees(found, model.predict_proba, rows)

    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("strings", [False, True], ids=["numbers", "strings"])
    def test_an_svc_without_probabilities_is_exact(self, n_classes, strings, iris):
        rows, y = iris
        rows, y = rows[y < n_classes].reset_index(drop=True), y[y < n_classes]
        labels = y.map({0: "setosa", 1: "versicolor", 2: "virginica"}) if strings else y
        model = SVC().fit(rows, labels)

        def scores(table):
            found = model.decision_function(table)
            return np.column_stack([-found, found]) if found.ndim == 1 else found

        found = explain(model, rows, max_rows=3)
        assert found.scale == "decision function"
        assert_agrees(found, scores, rows)

    def test_a_model_of_labels_only_is_exact_on_its_votes(self, iris):
        rows, y = iris
        labels = y.map({0: "a", 1: "b", 2: "c"})
        members = [("nb", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=2))]
        model = VotingClassifier(members, voting="hard").fit(rows, labels)
        found = explain(model, rows, max_rows=3)
        assert found.scale == "predicted label"
        assert any("no scores" in note for note in found.notes)
        votes = lambda table: model.predict(table)[:, None] == model.classes_[None, :]  # noqa: E731
        assert_agrees(found, votes, rows)

    def test_soft_voting_is_exact_on_its_probabilities(self, iris):
        rows, y = iris
        members = [("nb", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=2))]
        model = VotingClassifier(members, voting="soft").fit(rows, y)
        found = explain(model, rows, max_rows=3)
        assert found.scale == "probability"
        assert_agrees(found, model.predict_proba, rows)

    def test_one_feature_gets_the_whole_difference(self, diabetes):
        rows, y = diabetes
        model = SVR().fit(rows[["bmi"]], y)
        found = explain(model, rows[["bmi"]], max_rows=4)
        assert_agrees(found, model.predict, rows[["bmi"]])

    def test_notes_say_why_and_how(self, diabetes):
        rows, y = diabetes
        found = explain(SVR().fit(rows, y), rows, max_rows=2)
        assert "no fast engine for SVR" in found.notes[0]
        assert found.background_rows == len(rows)
        assert not any("k-means" in note for note in found.notes)

    def test_a_large_background_is_said_to_be_summarized(self):
        rows, y = rows_of(load_diabetes, 120, [2, 3, 8])
        found = explain(SVR().fit(rows, y), rows, max_rows=2)
        assert found.background_rows == 120
        assert any("k-means" in note for note in found.notes)

    def test_values_add_up_with_a_summarized_background(self):
        rows, y = rows_of(load_diabetes, 120, [2, 3, 8])
        model = SVR().fit(rows, y)
        found = explain(model, rows, max_rows=5)
        sums = found.local_values.sum(axis=-1) + found.expected_values
        np.testing.assert_allclose(sums, model.predict(rows.iloc[found.rows]), rtol=1e-8)
        assert found.additivity_error < 1e-6

    def test_a_model_that_predicts_nan_cannot_be_explained(self, diabetes):
        class Nan(SVR):
            def predict(self, X):
                return np.full(len(X), np.nan)

        rows, y = diabetes
        with pytest.raises(
            CannotExplainError, match=r"not finite for Nan; does the model predict NaN"
        ):
            explain(Nan().fit(rows, y), rows, max_rows=2)

    def test_a_model_that_cannot_predict_its_own_rows_says_so(self, diabetes):
        class Broken(SVR):
            def predict(self, X):
                raise RuntimeError("out of order")

        rows, y = diabetes
        with pytest.raises(CannotExplainError, match=r"Broken cannot predict .*: out of order"):
            explain(Broken().fit(rows, y), rows, max_rows=2)


class TestLinear:
    """Against exact values over the same background, with no assumption on independence."""

    @pytest.mark.parametrize(
        "model", [LinearRegression(), Ridge()], ids=lambda model: type(model).__name__
    )
    def test_regression_is_exact(self, model, diabetes):
        rows, y = diabetes
        found = explain(model.fit(rows, y), rows, max_rows=5)
        assert found.method == "shap_linear"
        assert_agrees(found, model.predict, rows)

    def test_labels_in_a_column_give_the_same_as_a_list_of_them(self, diabetes):
        rows, y = diabetes
        plain = explain(LinearRegression().fit(rows, y), rows)
        column = explain(LinearRegression().fit(rows, y.to_frame()), rows)
        assert column.method == "shap_linear"
        np.testing.assert_allclose(column.local_values, plain.local_values)
        np.testing.assert_allclose(column.expected_values, plain.expected_values)

    @pytest.mark.parametrize(
        "model", [LogisticRegression(), RidgeClassifier()], ids=lambda model: type(model).__name__
    )
    def test_a_binary_model_is_exact_on_its_decision_function(self, model, cancer):
        rows, y = cancer
        model.fit(rows, np.where(y == 1, "benign", "malignant"))
        found = explain(model, rows, max_rows=3)
        assert found.method == "shap_linear"
        assert found.scale == "decision function"

        def scores(table):
            return np.column_stack(
                [-model.decision_function(table), model.decision_function(table)]
            )

        assert_agrees(found, scores, rows)

    @pytest.mark.parametrize(
        "model", [LogisticRegression(), RidgeClassifier()], ids=lambda model: type(model).__name__
    )
    def test_three_classes_are_exact_on_the_decision_function(self, model, iris):
        rows, y = iris
        found = explain(model.fit(rows, y), rows, max_rows=3)
        assert found.method == "shap_linear"
        assert_agrees(found, model.decision_function, rows)

    def test_a_link_function_is_not_taken_for_the_identity(self, diabetes):
        rows, y = diabetes
        model = PoissonRegressor(alpha=0).fit(rows, y)
        found = explain(model, rows, max_rows=3)
        assert found.method == "shap_kernel"
        assert "add up to no output" in found.notes[0]
        assert_agrees(found, model.predict, rows)

    @pytest.mark.parametrize("factor", [1e-3, 1e3])
    def test_a_link_function_is_noticed_at_any_size_of_the_labels(self, factor, diabetes):
        rows, y = diabetes
        model = PoissonRegressor(alpha=0, max_iter=1000).fit(rows, y * factor)
        found = explain(model, rows, max_rows=2)
        assert_agrees(found, model.predict, rows, tolerance=1e-4)

    def test_the_stated_background_is_the_one_that_was_used(self):
        rows, y = rows_of(load_diabetes, 300, [2, 3, 8])
        model = LinearRegression().fit(rows, y)
        found = explain(model, rows)
        picked = np.sort(np.random.default_rng(0).choice(300, found.background_rows, replace=False))
        np.testing.assert_allclose(
            found.expected_values, model.predict(rows.iloc[picked]).mean(), rtol=1e-9
        )


def tree_outputs(model, rows):
    """``(n_classes, n_rows)`` or ``(n_rows,)``: what tree SHAP's values add up to."""
    if isinstance(model, TREES_WITH_PROBABILITIES):
        return model.predict_proba(rows).T
    if hasattr(model, "decision_function"):
        scores = model.decision_function(rows)
        return np.stack([-scores, scores]) if scores.ndim == 1 else scores.T
    return model.predict(rows)


class TestTrees:
    """Values add up to the model's output and are shap's own."""

    REGRESSORS = (
        DecisionTreeRegressor(max_depth=4),
        RandomForestRegressor(10, max_depth=4, random_state=0),
        ExtraTreesRegressor(10, max_depth=4, random_state=0),
        GradientBoostingRegressor(n_estimators=10),
        HistGradientBoostingRegressor(max_iter=10),
    )
    CLASSIFIERS = (
        DecisionTreeClassifier(max_depth=3),
        RandomForestClassifier(10, max_depth=4, random_state=0),
        GradientBoostingClassifier(n_estimators=10),
        HistGradientBoostingClassifier(max_iter=10),
    )

    @pytest.mark.parametrize("model", REGRESSORS, ids=lambda model: type(model).__name__)
    def test_regression_is_additive_and_shap_s_own(self, model):
        import shap

        rows, y = rows_of(load_diabetes, 200, [2, 3, 8, 9, 0])
        model.fit(rows.to_numpy(), y)
        found = explain(model, rows.to_numpy())
        assert found.method == "shap_tree"
        assert found.background_rows is None
        sums = found.local_values.sum(axis=-1) + found.expected_values
        np.testing.assert_allclose(sums, model.predict(rows.to_numpy()), rtol=1e-5)
        own = shap.TreeExplainer(model).shap_values(rows.to_numpy())
        np.testing.assert_allclose(found.local_values, own, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: type(model).__name__)
    @pytest.mark.parametrize("labels", [(0, 1), (10, 20), (False, True), ("no", "yes")], ids=str)
    def test_a_binary_model_is_additive_with_any_labels(self, model, labels):
        rows, y = rows_of(load_breast_cancer, 150, [0, 1, 4, 21])
        model.fit(rows.to_numpy(), np.array(labels)[y])
        found = explain(model, rows.to_numpy())
        assert found.method == "shap_tree"
        assert found.local_values.shape == (2, *rows.shape)
        sums = found.local_values.sum(axis=-1) + found.expected_values[:, None]
        np.testing.assert_allclose(sums, tree_outputs(model, rows.to_numpy()), atol=1e-6)
        np.testing.assert_allclose(found.local_values[0], -found.local_values[1], atol=1e-9)
        assert np.abs(found.local_values).max() > 0

    @pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: type(model).__name__)
    def test_three_classes_are_additive(self, model):
        rows, y = rows_of(load_iris, 120, [0, 1, 2, 3])
        model.fit(rows.to_numpy(), y)
        found = explain(model, rows.to_numpy(), max_rows=20)
        outputs = tree_outputs(model, rows.to_numpy()[found.rows])
        if found.method == "shap_kernel":  # shap has no tree explainer for some
            outputs = model.predict_proba(rows.to_numpy()[found.rows]).T
        sums = found.local_values.sum(axis=-1) + found.expected_values[:, None]
        np.testing.assert_allclose(sums, outputs, atol=1e-6)

    def test_a_dataframe_gives_the_same_as_its_numbers(self):
        rows, y = rows_of(load_diabetes, 100, [2, 3, 8])
        model = RandomForestRegressor(5, random_state=0)
        frame = explain(model.fit(rows, y), rows)
        array = explain(model.fit(rows.to_numpy(), y), rows.to_numpy())
        assert np.array_equal(frame.local_values, array.local_values)

    @pytest.mark.parametrize("factor", [1e-6, 1, 1e6])
    def test_categorical_splits_are_never_silently_wrong(self, factor):
        rows, y = self.one_of_six()
        model = HistGradientBoostingRegressor(
            max_iter=30, categorical_features=[0], min_samples_leaf=2
        ).fit(rows, y * factor)
        found = explain(model, rows.iloc[:30], max_rows=4)
        sums = found.local_values.sum(axis=-1) + found.expected_values
        np.testing.assert_allclose(sums, model.predict(rows.iloc[found.rows]), rtol=1e-3)
        assert_agrees(found, model.predict, rows.iloc[:30])
        assert found.notes

    def test_categorical_dtypes_are_exact(self):
        rows, y = self.one_of_six()
        rows["kind"] = rows["kind"].map(dict(enumerate("abcdef"))).astype("category")
        model = HistGradientBoostingRegressor(
            max_iter=30, categorical_features="from_dtype", min_samples_leaf=2
        ).fit(rows, y)
        found = explain(model, rows.iloc[:30], max_rows=4)
        assert_agrees(found, model.predict, rows.iloc[:30])

    def one_of_six(self):
        """A category with an effect that is not monotone in its code."""
        draw = np.random.default_rng(3)
        kind = draw.integers(0, 6, 200)
        number = draw.normal(size=200)
        effect = np.array([3.0, -2.0, 4.0, -5.0, 1.0, 0.0])[kind]
        return pd.DataFrame({"kind": kind, "number": number}), effect + number

    def test_the_cap_falls_with_the_size_of_the_trees_and_the_user_may_lift_it(self):
        rows, y = rows_of(load_diabetes, 300, [2, 3, 8, 9])
        small = RandomForestRegressor(2, max_depth=2, random_state=0).fit(rows, y)
        assert engines._tree_rows(small) == engines.TREE_ROWS
        deep = RandomForestRegressor(60, random_state=0).fit(rows, y)
        assert engines.KERNEL_ROWS <= engines._tree_rows(deep) <= engines.TREE_ROWS
        monster = type("Monster", (), {"n_features_in_": 40})()
        monster.tree_ = type("Tree", (), {"n_leaves": 10**9, "max_depth": 100})()
        assert engines._tree_rows(monster) == engines.KERNEL_ROWS
        assert len(explain(small, rows, max_rows=7).rows) == 7


MODELS = {
    "tree": lambda: RandomForestRegressor(5, max_depth=3, random_state=0),
    "linear": LinearRegression,
    "kernel": SVR,
}


@pytest.mark.parametrize("kind", MODELS)
class TestProperties:
    """What holds for any engine."""

    def test_a_column_that_is_never_used_gets_exactly_nothing(self, kind, diabetes):
        rows, y = diabetes
        rows = rows.assign(constant=1.0)
        found = explain(MODELS[kind]().fit(rows, y), rows, max_rows=5)
        assert np.abs(found.local_values[:, -1]).max() == pytest.approx(0, abs=1e-9)
        assert np.abs(found.local_values[:, :-1]).max() > 0.1

    def test_a_column_that_the_model_ignores_gets_nothing(self, kind, diabetes):
        rows, y = diabetes
        model = make_pipeline(
            make_column_transformer(("passthrough", ["bmi", "s5"])), MODELS[kind]()
        ).fit(rows, y)
        found = explain(model, rows, max_rows=4)
        ignored = [list(rows).index(name) for name in rows if name not in {"bmi", "s5"}]
        size = np.abs(found.local_values).max()
        assert size > 0.1
        assert np.abs(found.local_values[:, ignored]).max() < 1e-7 * size

    def test_swapping_columns_swaps_values(self, kind, diabetes):
        rows, y = diabetes
        order = [2, 0, 3, 1]
        # Trees break ties between columns by their order, so the fitted trees are kept.
        model = make_pipeline(Reorder(list(rows)), MODELS[kind]()).fit(rows, y)
        plain = explain(model, rows, max_rows=4)
        swapped = explain(model, rows.iloc[:, order], max_rows=4)
        np.testing.assert_allclose(
            swapped.local_values, plain.local_values[:, order], rtol=1e-6, atol=1e-8
        )

    def test_renaming_columns_changes_no_value(self, kind, diabetes):
        rows, y = diabetes
        renamed = rows.set_axis(["a b", "ä/ö", "<b>", ""], axis=1)
        before = explain(MODELS[kind]().fit(rows, y), rows, max_rows=4)
        after = explain(MODELS[kind]().fit(renamed, y), renamed, max_rows=4)
        assert np.array_equal(before.local_values, after.local_values)
        assert np.array_equal(before.expected_values, after.expected_values)

    def test_one_seed_gives_one_result_to_the_last_bit(self, kind):
        rows, y = rows_of(load_diabetes, 150, [2, 3, 8, 9])
        model = MODELS[kind]().fit(rows, y)
        first = explain(model, rows, seed=7, max_rows=6)
        np.random.seed(99)
        np.random.random(5)
        second = explain(model, rows, seed=7, max_rows=6)
        assert np.array_equal(first.rows, second.rows)
        assert first.local_values.tobytes() == second.local_values.tobytes()
        assert first.expected_values.tobytes() == second.expected_values.tobytes()
        assert not np.array_equal(first.rows, explain(model, rows, seed=8, max_rows=6).rows)

    def test_nothing_of_the_process_is_changed(self, kind, diabetes):
        rows, y = diabetes
        model = MODELS[kind]().fit(rows, y)
        explain(model, rows, max_rows=2)  # imports may set filters once; see test_quiet
        before, kept, untouched = rows.copy(), np.random.get_state(), random.getstate()
        filters = list(warnings.filters)
        explain(model, rows, max_rows=2)
        assert str(np.random.get_state()) == str(kept)
        assert random.getstate() == untouched
        assert warnings.filters == filters
        pd.testing.assert_frame_equal(rows, before)

    def test_the_random_state_is_untouched_when_explaining_fails(self, kind, diabetes):
        rows, y = diabetes
        model = MODELS[kind]().fit(rows, y)
        model.predict = lambda X: 1 / 0
        state = str(np.random.get_state())
        with pytest.raises(CannotExplainError):
            explain(model, rows, max_rows=2)
        assert str(np.random.get_state()) == state

    def test_no_more_rows_than_asked_for(self, kind, diabetes):
        rows, y = diabetes
        found = explain(MODELS[kind]().fit(rows, y), rows, max_rows=3)
        assert len(found.rows) == found.local_values.shape[-2] == 3
        assert sorted(set(found.rows)) == list(found.rows)


class Reorder(BaseEstimator):
    """A step that gives the model its columns in the order it was fitted with."""

    def __init__(self, names):
        self.names = names

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X[self.names]

    def fit_transform(self, X, y=None):
        return self.transform(X)


def test_the_seed_decides_which_coalitions_are_tried_where_there_are_too_many_for_all():
    rows, y = rows_of(load_breast_cancer, 30, list(range(13)))
    model = SVR().fit(rows, y)
    found = []
    for seed in (3, 3, 4):
        np.random.seed(len(found))
        found.append(explain(model, rows.head(1), rows, seed=seed).local_values)
    assert found[0].tobytes() == found[1].tobytes() != found[2].tobytes()


def test_a_binary_model_s_classes_mirror_each_other(cancer):
    rows, y = cancer
    for model in (LogisticRegression(), SVC(), AdaBoostClassifier(n_estimators=3)):
        found = explain(model.fit(rows, y), rows, max_rows=2)
        np.testing.assert_allclose(found.local_values[0], -found.local_values[1], atol=1e-7)


def test_an_ordinal_encoded_pipeline_with_a_new_category_explains_it_as_unknown(shop):
    rows, y = shop
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    model = make_pipeline(
        make_column_transformer((encoder, ["colour"]), remainder="drop"), SVR()
    ).fit(rows, y)
    new = rows.iloc[:3].assign(colour="violet").reset_index(drop=True)
    found = explain(model, new, rows)
    assert_agrees(found, model.predict, new, rows)
