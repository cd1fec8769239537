"""Models of survival times: scikit-survival's, and a stand-in with the same fitted attributes."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.tree import DecisionTreeClassifier
from tests.explaining import exact, path_dependent

from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(150, 4)), columns=["age", "dose", "size", "noise"])
time = np.exp(1.0 - 0.5 * X.age + 0.3 * X.dose * (X["size"] > 0) + 0.3 * rng.normal(size=150))
is_event = rng.random(150) < 0.7
ROWS = X.iloc[:12]
by_trees = pytest.mark.skipif(find_spec("shapiq") is None, reason="shapiq needs Python 3.12")


class SurvivalTree(BaseEstimator):
    """A tree whose leaves hold cumulative hazards at four times, three of them with events."""

    def fit(self, X, y):
        is_dead = np.column_stack([y < limit for limit in (1, 2, 3, 4)])
        self.tree_ = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, is_dead).tree_
        self.is_event_time_ = np.array([True, False, True, True])
        return self

    def predict(self, X):
        hazards = self.tree_.predict(np.asarray(X, dtype=np.float32))[..., 0]
        return hazards[:, self.is_event_time_].sum(axis=1)


class SurvivalForest(BaseEstimator):
    def fit(self, X, y):
        self.estimators_ = [SurvivalTree().fit(X[i::3], y[i::3]) for i in range(3)]
        self.is_event_time_ = self.estimators_[0].is_event_time_
        return self

    def predict(self, X):
        return np.mean([tree.predict(X) for tree in self.estimators_], axis=0)


def explained(model, **context):
    return explain(TrainingContext(model, X, evaluation_examples=ROWS, **context), Plan())


def by_enumeration(members, times):
    """``(n_rows, n_features)`` values of the risk score, a sum over the times of events."""
    trees = [
        path_dependent.scikit_learn_tree(member.tree_, target=target, scale=1 / len(members))
        for member in members
        for target in np.flatnonzero(times)
    ]
    return path_dependent.shapley(trees, ROWS.to_numpy())


@by_trees
@pytest.mark.parametrize("cls", [SurvivalTree, SurvivalForest])
def test_risk_scores_of_trees_equal_enumeration(cls):
    model = cls().fit(X, time)
    explanation = explained(model)
    members = getattr(model, "estimators_", [model])
    np.testing.assert_allclose(
        explanation.local_values, by_enumeration(members, model.is_event_time_), atol=1e-9
    )
    assert explanation.method == "shap_tree"
    assert explanation.details.output_scale == "prediction"


def survival():
    linear = pytest.importorskip("sksurv.linear_model")
    from sksurv import ensemble, tree
    from sksurv.util import Surv

    return linear, ensemble, tree, Surv.from_arrays(is_event, time)


def test_cox_has_the_closed_form_on_the_log_hazard():
    linear, _, _, y = survival()
    model = linear.CoxPHSurvivalAnalysis(alpha=0.1).fit(X, y)
    explanation = explained(model)
    expected = model.coef_ * (ROWS - X.mean())
    np.testing.assert_allclose(explanation.local_values, expected, atol=1e-12)
    assert explanation.method == "shap_linear"


@by_trees
@pytest.mark.parametrize("name", ["RandomSurvivalForest", "ExtraSurvivalTrees", "SurvivalTree"])
@pytest.mark.parametrize("low_memory", [False, True])
def test_forests_of_scikit_survival_equal_enumeration(name, low_memory):
    _, ensemble, tree, y = survival()
    cls = getattr(ensemble, name, None) or getattr(tree, name)
    size = {} if name == "SurvivalTree" else {"n_estimators": 3}
    model = cls(max_depth=3, random_state=0, low_memory=low_memory, **size).fit(X, y)
    members = getattr(model, "estimators_", [model])
    times = [True] if low_memory else model.is_event_time_
    explanation = explained(model)
    np.testing.assert_allclose(
        explanation.local_values, by_enumeration(members, times), rtol=1e-9, atol=1e-9
    )
    assert explanation.method == "shap_tree"


@by_trees
@pytest.mark.parametrize(
    ("settings", "method"),
    [({}, "shap_tree"), ({"loss": "squared"}, "shap_permutation"),
     ({"dropout_rate": 0.3}, "shap_permutation")],
)  # fmt: skip
def test_boosting_is_explained_by_its_trees_or_sampled(settings, method):
    _, ensemble, _, y = survival()
    boosting = ensemble.GradientBoostingSurvivalAnalysis(
        n_estimators=6, max_depth=2, random_state=0, **settings
    )
    model = boosting.fit(X, y)
    explanation = explained(model)
    assert explanation.method == method
    sums = explanation.local_values.sum(axis=1) + explanation.expected_values
    np.testing.assert_allclose(sums, model.predict(ROWS), rtol=1e-6)
    if method == "shap_permutation":
        expected, _ = exact.shapley(model.predict, ROWS, X)
        assert np.abs(explanation.local_values - expected).max() < 0.1 * np.abs(expected).max()
