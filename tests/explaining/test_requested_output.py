"""The option ``output``: exact where an explainer has the scale, else sampled with its errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

import mlflow_interpret
from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.model_adapter import SMALLEST_PROBABILITY

from . import exact

RANDOM = np.random.default_rng(0)
X = pd.DataFrame(RANDOM.normal(size=(40, 3)), columns=["a", "b", "c"])
SCORE = X["a"] + X["a"] * X["b"] + 0.3 * RANDOM.normal(size=40)
TWO = (SCORE > 0).astype(int).to_numpy()
THREE = np.digitize(SCORE, [-0.5, 0.5])
ROWS = X[:6]


def explained(model, output, y=TWO, *, optional=False):
    context = TrainingContext(model=model.fit(X, y), X=X, evaluation_examples=ROWS)
    return explain(context, Plan(output=output, is_output_optional=optional))


def log_odds(probabilities):
    logs = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    others = logs[:, ::-1] if logs.shape[1] == 2 else logs.mean(axis=1, keepdims=True)
    return logs - others


def texts(explanation):
    return " ".join(map(str, explanation.details.notes))


BOOSTER = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=3)
FOREST = RandomForestClassifier(10, random_state=0)


@pytest.mark.parametrize("y", [TWO, THREE], ids=["binary", "multiclass"])
@pytest.mark.parametrize(
    ("model", "output", "function"),
    [
        (BOOSTER, "probability", lambda scores: scores),
        (LogisticRegression(), "probability", lambda scores: scores),
        (make_pipeline(StandardScaler(), LogisticRegression()), "probability", lambda s: s),
        (FOREST, "log-odds", log_odds),
        (KNeighborsClassifier(), "log-odds", log_odds),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sampled_contributions_agree_with_enumeration_within_their_errors(
    model, output, function, y
):
    explanation = explained(model, output, y)
    details = explanation.details
    assert (details.output_scale, explanation.method) == (output, "shap_permutation")
    expected, base = exact.shapley(lambda rows: function(model.predict_proba(rows)), ROWS, X)
    np.testing.assert_allclose(explanation.expected_values, base, atol=1e-12)
    size = np.abs(expected).sum(axis=-1).max()
    assert np.abs(explanation.local_values - expected).max() < 0.15 * size
    assert details.sampling_error < 0.2
    assert details.additivity_error < 1e-9
    sums = explanation.local_values.sum(axis=-1).T + explanation.expected_values
    np.testing.assert_allclose(sums, function(model.predict_proba(ROWS)), atol=1e-9)


@pytest.mark.parametrize(
    ("model", "output", "scale", "method"),
    [
        (FOREST, "probability", "probability", "shap_tree"),
        (BOOSTER, "log-odds", "log-odds", "shap_tree"),
        (BOOSTER, "raw", "log-odds", "shap_tree"),
        (LogisticRegression(), "log-odds", "log-odds", "shap_linear"),
        (MultiOutputClassifier(LogisticRegression()), "raw", "log-odds", "shap_linear"),
        (SVC(), "raw", "decision function", "shap_product_kernel"),
        (LinearSVC(), "raw", "decision function", "shap_linear"),
    ],
)
def test_an_exact_explainer_on_the_scale_is_used(model, output, scale, method):
    y = np.column_stack([TWO, 1 - TWO]) if isinstance(model, MultiOutputClassifier) else TWO
    explanation = explained(model, output, y)
    automatic = explained(model, "auto", y)
    assert (explanation.details.output_scale, explanation.method) == (scale, method)
    np.testing.assert_array_equal(explanation.local_values, automatic.local_values)
    assert explanation.details.sampling_error is None


def test_probabilities_of_0_have_finite_log_odds_and_a_note():
    explanation = explained(RandomForestClassifier(3, random_state=0), "log-odds")
    assert np.isfinite(explanation.local_values).all()
    largest = special.logit(1 - SMALLEST_PROBABILITY)
    outputs = explanation.local_values.sum(axis=-1).T + explanation.expected_values
    assert np.abs(outputs).max() == pytest.approx(largest, rel=1e-6)
    assert "less than 1e-06 counts as 1e-06" in texts(explanation)


def test_the_margin_is_preferred_to_clipped_probabilities():
    rows = X * 1e3  # probabilities of 0 and 1 in double precision
    model = make_pipeline(ReversedCells(), LogisticRegression()).fit(rows, TWO)
    context = TrainingContext(model=model, X=rows, evaluation_examples=rows[:5])
    explanation = explain(context, Plan(output="log-odds"))
    sums = explanation.local_values[1].sum(axis=1) + explanation.expected_values[1]
    np.testing.assert_allclose(sums, model.decision_function(rows[:5]))


class ReversedCells:
    """A step with unknown sources of its columns, so that the pipeline is explained as a whole."""

    def fit(self, rows, y=None):
        return self

    def transform(self, rows):
        return np.asarray(rows)[:, ::-1] * 1.0


def test_raw_scores_of_a_model_without_are_its_probabilities():
    explanation = explained(FOREST, "raw")
    assert explanation.details.output_scale == "probability"
    assert "RandomForestClassifier has no decision function" in texts(explanation)


@pytest.mark.parametrize("output", ["probability", "log-odds"])
@pytest.mark.parametrize(
    ("model", "problem"),
    [(Ridge(), "is no classifier"), (LinearSVC(), "gives no probabilities")],
)
def test_an_output_that_a_model_lacks(model, problem, output):
    model.fit(X, TWO)
    with pytest.raises(OptionError, match=f"^output must be .*, which {problem}, got '{output}'"):
        mlflow_interpret.explain(model, X, output=output, silent=True)
    explanation = explained(model, output, optional=True)  # as by autolog
    automatic = explained(model, "auto")
    np.testing.assert_array_equal(explanation.local_values, automatic.local_values)
    assert f"output='{output}' does not apply to {type(model).__name__}" in texts(explanation)
    assert "does not apply" not in texts(automatic)


@pytest.mark.parametrize("output", ["auto", "raw"])
def test_regressors_have_one_output(output):
    explanation = explained(Ridge(), output)
    assert explanation.details.output_scale == "prediction"
    assert "decision function" not in texts(explanation)


def test_the_drop_in_explainer_takes_the_option():
    model = LogisticRegression().fit(X, TWO)
    explainer = mlflow_interpret.TabularExplainer(model, X, output="probability")
    sums = np.sum(explainer.explain_local(ROWS).local_importance_values[1], axis=1)
    base = model.predict_proba(X)[:, 1].mean()
    np.testing.assert_allclose(sums + base, model.predict_proba(ROWS)[:, 1])
    with pytest.raises(OptionError, match="^output must be"):
        mlflow_interpret.TabularExplainer(model, X, output="odds")
