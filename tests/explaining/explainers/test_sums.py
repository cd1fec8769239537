"""Weighted sums of models, compared with enumeration and with the sums of their members' values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from explaining import exact, path_dependent
from explaining.agreement import assert_agrees, explain, rows_of
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining import explain as explaining
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explainers.base import ExplainRequest
from mlflow_interpret.explaining.explainers.sums import SumExplainer
from mlflow_interpret.explaining.model_adapter import adapt_model

X, progress = rows_of(load_diabetes, 80, [2, 3, 8, 9])
WINE, cultivar = rows_of(load_wine, 100, [0, 6, 9, 12])
CANCER, malignant = rows_of(load_breast_cancer, 100, [0, 1, 4, 21])
tree = DecisionTreeClassifier(max_depth=3, random_state=0)
number_tree = DecisionTreeRegressor(max_depth=4, random_state=0)
forest = RandomForestClassifier(3, max_depth=3, random_state=0)
logistic = LogisticRegression(max_iter=500)


def enumerated(member, rows):
    """``(n_outputs, n_rows, n_columns)`` values of a tree or a forest by enumeration."""
    trees = [t.tree_ for t in getattr(member, "estimators_", [member])]
    n_outputs = trees[0].value.shape[2]
    scaled = [
        [path_dependent.scikit_learn_tree(t, 0, k, 1 / len(trees)) for t in trees]
        for k in range(n_outputs)
    ]
    return np.array([path_dependent.shapley(own, rows) for own in scaled])


def assert_close(found, expected):
    size = np.abs(expected).max()
    assert size > 0
    np.testing.assert_allclose(found.local_values, expected, atol=1e-9 * size)
    assert found.additivity_error < 1e-9 * size


def values_of(model, rows):
    """``(n_outputs, n_rows, n_columns)`` values of the model's own explainer."""
    local = explain(model, rows).local_values
    return local if local.ndim == 3 else local[None]


class TestVoting:
    @pytest.mark.parametrize("weights", [None, [3.0, 1.0]], ids=["equal", "weighted"])
    def test_probabilities_of_trees(self, weights):
        model = VotingClassifier([("a", tree), ("b", forest)], voting="soft", weights=weights)
        model.fit(WINE, cultivar.map({0: "x", 1: "y", 2: "z"}))
        found = explain(model, WINE, max_rows=5)
        assert (found.method, found.scale) == ("shap_tree", "probability")
        rows = WINE.to_numpy()[found.rows]
        shares = np.array(weights or [1.0, 1.0]) / sum(weights or [1.0, 1.0])
        members = [enumerated(member, rows) for member in model.estimators_]
        assert_close(found, np.tensordot(shares, members, axes=1))

    def test_a_dropped_member_has_no_weight(self):
        members = [("a", number_tree), ("b", "drop"), ("c", RandomForestRegressor(3, max_depth=2))]
        model = VotingRegressor(members, weights=[1.0, 5.0, 3.0]).fit(X, progress)
        found = explain(model, X, max_rows=5)
        rows = X.to_numpy()[found.rows]
        first, last = (enumerated(member, rows)[0] for member in model.estimators_)
        assert_close(found, 0.25 * first + 0.75 * last)

    def test_linear_models_are_exact(self):
        model = VotingRegressor([("a", Ridge(5)), ("b", LinearRegression())]).fit(X, progress)
        found = explain(model, X, max_rows=5)
        assert found.method == "shap_linear"
        assert_agrees(found, model.predict, X)

    def test_members_of_several_kinds(self):
        model = VotingRegressor([("a", Ridge()), ("b", number_tree)]).fit(X, progress)
        found = explain(model, X)
        assert (found.method, found.scale) == ("shap_sum", "prediction")
        assert_close(found, sum(values_of(member, X) for member in model.estimators_)[0] / 2)
        assert any("path-dependent" in str(note) for note in found.notes)
        assert found.background_rows == len(X)

    def test_pipelines_by_raw_column(self):
        rows = X.assign(kind=np.where(X["bmi"] > 0, "a", np.where(X["bp"] > 0, "b", "c")))
        front = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
        members = [("a", make_pipeline(front, Ridge())), ("b", make_pipeline(front, number_tree))]
        model = VotingRegressor(members).fit(rows, progress)
        found = explain(model, rows)
        assert found.method == "shap_sum"
        assert_close(found, sum(values_of(member, rows) for member in model.estimators_)[0] / 2)

    def test_boosters_are_checked_as_a_whole(self):
        xgboost = pytest.importorskip("xgboost")
        members = [("a", xgboost.XGBRegressor(n_estimators=5)), ("b", number_tree)]
        model = VotingRegressor(members).fit(X, progress)
        found = explain(model, X)
        assert (found.method, found.scale) == ("shap_tree", "prediction")
        total = sum(values_of(member, X) for member in model.estimators_)[0]
        np.testing.assert_allclose(found.local_values, total / 2, atol=1e-4)
        assert found.attribution_check.outcome == "passed"


class TestBagging:
    @pytest.mark.parametrize(
        "options",
        [{}, {"max_features": 2}, {"max_samples": 3}, {"max_samples": 1, "max_features": 2}],
        ids=["all", "columns", "few rows", "single rows"],
    )
    def test_trees_of_classes(self, options):
        model = BaggingClassifier(tree, 6, random_state=1, **options)
        model.fit(WINE, cultivar.map({0: "x", 1: "y", 2: "z"}))
        found = explain(model, WINE, max_rows=5)
        if options.get("max_samples") == 1:
            assert not found.local_values.any()
            return
        assert (found.method, found.scale) == ("shap_tree", "probability")
        rows = WINE.to_numpy()[found.rows]
        expected = np.zeros((3, *rows.shape))
        for member, columns in zip(model.estimators_, model.estimators_features_):
            local = enumerated(member, rows[:, columns]) / 6
            for k, label in enumerate(member.classes_):
                expected[label][:, columns] += local[k]
        assert_close(found, expected)

    def test_linear_models_of_repeated_columns_are_exact(self):
        model = BaggingRegressor(Ridge(), 5, bootstrap_features=True, random_state=0)
        found = explain(model.fit(X, progress), X, max_rows=5)
        assert any(len(set(own)) < len(own) for own in model.estimators_features_)
        assert found.method == "shap_linear"
        assert_agrees(found, model.predict, X)
        assert any("several times" in str(note) for note in found.notes)

    def test_large_trees_share_the_limit_of_rows(self):
        table, target = load_diabetes(return_X_y=True)
        model = BaggingRegressor(RandomForestRegressor(30, random_state=0), 10, random_state=0)
        rows = as_batch(table, feature_names(table, None), table)
        explainer = SumExplainer(ExplainRequest(adapt_model(model.fit(table, target)), rows))
        member = SumExplainer(
            ExplainRequest(
                adapt_model(BaggingRegressor(model.estimators_[0], 1).fit(table, target)), rows
            )
        )
        assert explainer.info.capacity < member.info.capacity / 8
        assert explainer.info.rows_in_full < explainer.info.max_rows < 2_000


class TestStacking:
    @pytest.mark.parametrize("passthrough", [False, True])
    @pytest.mark.parametrize(
        "last", [Ridge(), make_pipeline(StandardScaler(), LinearRegression())], ids=["one", "steps"]
    )
    def test_linear_models_are_exact(self, passthrough, last):
        members = [("a", Ridge(30)), ("b", make_pipeline(StandardScaler(), LinearRegression()))]
        model = StackingRegressor(members, last, cv=3, passthrough=passthrough).fit(X, progress)
        found = explain(model, X, max_rows=5)
        assert found.method == "shap_linear"
        assert_agrees(found, model.predict, X)

    @pytest.mark.parametrize("passthrough", [False, True])
    def test_log_odds_of_three_classes(self, passthrough):
        members = [("a", tree), ("b", forest)]
        model = StackingClassifier(members, logistic, cv=3, passthrough=passthrough)
        found = explain(model.fit(WINE, cultivar), WINE, max_rows=5)
        assert found.scale == "log-odds"
        rows = WINE.to_numpy()[found.rows]
        coefficients = model.final_estimator_.coef_
        outputs = np.concatenate([enumerated(member, rows) for member in model.estimators_])
        expected = np.tensordot(coefficients[:, :6], outputs, axes=1)
        if passthrough:
            expected += coefficients[:, None, 6:] * (rows - WINE.to_numpy().mean(axis=0))
        assert found.method == ("shap_sum" if passthrough else "shap_tree")
        assert_close(found, expected)

    def test_log_odds_of_two_classes(self):
        model = StackingClassifier([("a", tree), ("b", forest)], logistic, cv=3)
        found = explain(model.fit(CANCER, malignant), CANCER, max_rows=5)
        rows = CANCER.to_numpy()[found.rows]
        (first, second), members = model.final_estimator_.coef_[0], model.estimators_
        expected = (
            first * enumerated(members[0], rows)[1] + second * enumerated(members[1], rows)[1]
        )
        assert_close(found, np.array([-expected, expected]))

    def test_decision_functions_of_the_members(self):
        members = [("a", logistic), ("b", GradientBoostingClassifier(n_estimators=3))]
        model = StackingClassifier(members, logistic, cv=3, stack_method="decision_function")
        found = explain(model.fit(CANCER, malignant), CANCER)
        assert (found.method, found.scale) == ("shap_sum", "log-odds")
        weights = model.final_estimator_.coef_[0]
        first, second = (values_of(member, CANCER) for member in model.estimators_)
        assert_close(found, weights[0] * first + weights[1] * second)


class TestOthers:
    def test_a_scaled_target(self):
        model = TransformedTargetRegressor(number_tree, transformer=StandardScaler())
        found = explain(model.fit(X, progress), X, max_rows=5)
        rows = X.to_numpy()[found.rows]
        assert_close(found, enumerated(model.regressor_, rows)[0] * model.transformer_.scale_)

    def test_several_targets(self):
        targets = np.column_stack([progress, progress**2])
        model = TransformedTargetRegressor(Ridge(), transformer=StandardScaler()).fit(X, targets)
        found = explain(model, X, max_rows=5)
        assert found.method == "shap_linear"
        assert_agrees(found, model.predict, X)

    @pytest.mark.parametrize("kind", ["two", "three"])
    def test_one_classifier_for_each_class(self, kind):
        rows, labels = (CANCER, malignant) if kind == "two" else (WINE, cultivar)
        model = OneVsRestClassifier(LinearSVC()).fit(rows, labels)
        found = explain(model, rows, max_rows=5)
        assert (found.method, found.scale) == ("shap_linear", "decision function")

        def scores(table):
            decision = model.decision_function(table)
            return np.column_stack([-decision, decision]) if decision.ndim == 1 else decision

        assert_agrees(found, scores, rows)

    @pytest.mark.parametrize("kind", ["two", "three"])
    def test_votes_of_boosted_trees(self, kind):
        pytest.importorskip("shapiq", reason="shapiq needs Python 3.12")
        rows, labels = (CANCER, malignant) if kind == "two" else (WINE, cultivar)
        model = AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=4)
        model.fit(rows, labels.map({0: "x", 1: "y", 2: "z"}))
        found = explain(model, rows, max_rows=5)
        assert found.method == "shap_tree"
        assert found.scale == ("log-odds" if kind == "two" else "decision function")
        n = len(model.classes_)
        expected = np.zeros((n, len(found.rows), rows.shape[1]))
        shares = model.estimator_weights_ / model.estimator_weights_.sum()
        for member, share in zip(model.estimators_, shares):
            votes = member.tree_.value[:, 0].argmax(axis=1)
            for k in range(n):
                leaves = np.where(votes == k, share, -share / (n - 1))
                node = _with_leaves(path_dependent.scikit_learn_tree(member.tree_), member, leaves)
                expected[k] += path_dependent.shapley([node], rows.to_numpy()[found.rows])
        assert_close(found, expected if n > 2 else 2 * expected)


def _with_leaves(node, member, leaves, i=0):
    """The nodes of a tree with other values of its leaves."""
    if node.feature is None:
        return replace(node, value=leaves[i])
    left, right = member.tree_.children_left[i], member.tree_.children_right[i]
    return replace(
        node,
        left=_with_leaves(node.left, member, leaves, left),
        right=_with_leaves(node.right, member, leaves, right),
    )


@pytest.mark.parametrize(
    ("model", "target", "reason"),
    [
        (
            VotingClassifier([("a", tree), ("b", logistic)], voting="soft"),
            cultivar,
            "its member LogisticRegression add up to its log-odds, and .* scale probability",
        ),
        (VotingClassifier([("a", tree), ("b", logistic)]), cultivar, "votes are no sum"),
        (BaggingClassifier(LinearSVC(), 2), cultivar, "votes are no sum"),
        (
            StackingRegressor([("a", Ridge())], RandomForestRegressor(2), cv=2),
            cultivar,
            "RandomForestRegressor is not linear",
        ),
        (
            StackingClassifier([("a", tree)], logistic, cv=2, stack_method="predict"),
            cultivar,
            "class labels are no sum",
        ),
        (
            TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
            cultivar,
            "transformer is not linear",
        ),
        (AdaBoostClassifier(logistic, n_estimators=2), cultivar, "models that are no trees"),
        (AdaBoostRegressor(n_estimators=3), cultivar, "no exact method is known"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else "",
)
@pytest.mark.filterwarnings("ignore")
def test_other_sums_are_sampled_and_the_record_says_why(model, target, reason):
    if isinstance(model, AdaBoostClassifier):
        pytest.importorskip("shapiq", reason="shapiq needs Python 3.12")
    found = explain(model.fit(WINE, target), WINE, max_rows=2)
    assert found.method == "shap_permutation"
    assert pd.Series(str(found.notes[0])).str.contains(reason).all(), found.notes[0]


class TestGivenBackground:
    """The members are explained against ``initialization_examples``."""

    def test_values_are_interventional(self):
        model = VotingRegressor([("a", Ridge()), ("b", number_tree)]).fit(X, progress)
        context = TrainingContext(model, X, initialization_examples=X[:20])
        found = explaining.explain(context, Plan(5))
        assert found.method == "shap_sum"
        expected, _ = exact.shapley(model.predict, found.evaluation_rows, X[:20])
        np.testing.assert_allclose(found.local_values, expected, atol=1e-6)

    @pytest.mark.parametrize("members", ["trees", "trees and linear"])
    def test_raw_columns_of_a_pipeline(self, members):
        rows = X[["bmi", "bp"]].assign(kind=np.where(X["bmi"] > 0, "a", "b"))
        front = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
        other = Ridge() if "linear" in members else RandomForestRegressor(2, max_depth=3)
        voting = VotingRegressor([("a", number_tree), ("b", other)])
        model = make_pipeline(front, voting).fit(rows, progress)
        context = TrainingContext(model, rows, initialization_examples=rows[:20])
        found = explaining.explain(context, Plan(5))
        assert found.method == ("shap_tree" if members == "trees" else "shap_permutation")
        if members == "trees":
            expected, _ = exact.shapley(model.predict, found.evaluation_rows, rows[:20])
            np.testing.assert_allclose(found.local_values, expected, atol=1e-6)
