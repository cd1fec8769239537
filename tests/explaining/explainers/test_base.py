"""Explainers give the same values for any batches, also after pickling."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC

from explaining.agreement import rows_of
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.explaining.attributions import concatenate, reorder
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explainers.base import ExplainRequest, exact_explainer
from mlflow_interpret.explaining.explainers.permutation import PermutationExplainer
from mlflow_interpret.explaining.explainers.tabular_explainer import KernelExplainer
from mlflow_interpret.explaining.model_adapter import adapt_model
from mlflow_interpret.runtime.isolation import suppress_warnings


def exact(model, rows):
    return exact_explainer(ExplainRequest(adapt_model(model, row=rows.original[:1]), rows))


def tabular(model, rows):
    adapter = adapt_model(model, row=rows.original[:1])
    return exact_explainer(ExplainRequest(adapter, rows, Plan(engine="tabular")))


def permutations(model, rows):
    return PermutationExplainer(ExplainRequest(adapt_model(model), rows, Plan(max_rows=5)))


def kernel(model, rows):
    return KernelExplainer(ExplainRequest(adapt_model(model), rows))


def mixed():
    return make_pipeline(
        make_column_transformer((OneHotEncoder(), ["size"]), remainder="passthrough"),
        RandomForestRegressor(5, random_state=0),
    )


CASES = {
    "trees": (RandomForestClassifier(5, random_state=0), exact),
    "linear": (LogisticRegression(), exact),
    "TabularExplainer, trees": (RandomForestClassifier(5, random_state=0), tabular),
    "TabularExplainer, linear": (LogisticRegression(), tabular),
    "sampled": (SVC(kernel="poly"), permutations),
    "kernel": (GaussianNB(), kernel),
    "pipeline": (mixed(), exact),
    "targets": (MultiOutputRegressor(Ridge()), exact),
}


MARKED = [
    pytest.param(kind, marks=pytest.mark.interpret)
    if kind == "kernel" or kind.startswith("TabularExplainer")
    else kind
    for kind in CASES
]


def ready(kind):
    model, prepare = CASES[kind]
    # with 14 columns kernel SHAP draws coalitions
    X, y = rows_of(load_breast_cancer, 40, list(range(14)))
    X["size"] = (X.iloc[:, 0] > 0).astype(int)
    y = np.column_stack([X.iloc[:, 0], y]) if kind == "targets" else y
    model.fit(X, y)
    rows = as_batch(X, feature_names(X, None), X)
    with suppress_warnings():
        return prepare(model, rows), rows


def assert_equal(one, other):
    np.testing.assert_allclose(one.local_values, other.local_values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.expected_values, other.expected_values)
    np.testing.assert_allclose(one.outputs, other.outputs)
    assert one.scale == other.scale
    for views in ((one.sampling_error, other.sampling_error),
                  (one.engineered and one.engineered.local_values,
                   other.engineered and other.engineered.local_values)):  # fmt: skip
        assert (views[0] is None) == (views[1] is None)
        if views[0] is not None:
            np.testing.assert_allclose(*views, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", MARKED)
def test_batches_give_the_values_of_all_rows_at_once(kind):
    explainer, rows = ready(kind)
    chosen = np.array([7, 3, 30, 12, 21])
    with suppress_warnings():
        whole = explainer.explain(rows.subset(np.sort(chosen)))
        parts = [explainer.explain(rows.subset(chosen[some]), whole.scale)
                 for some in (slice(0, 1), slice(1, 4), slice(4, 5))]  # fmt: skip
    assert whole.additivity_error < 1e-6
    assert_equal(reorder(concatenate(parts), np.argsort(chosen)), whole)
    if whole.engineered is not None:
        again = reorder(concatenate(parts), np.argsort(chosen)).engineered.rows.frame
        assert np.array_equal(again, whole.engineered.rows.frame)


@pytest.mark.parametrize("kind", MARKED)
def test_pickled_explainer_gives_the_same_values(kind):
    explainer, rows = ready(kind)
    with suppress_warnings():
        sent = cloudpickle.loads(cloudpickle.dumps(explainer))
        some = rows.subset(np.array([4, 9]))
        assert_equal(sent.explain(some), explainer.explain(some))
    assert sent.info == explainer.info


@pytest.mark.interpret
def test_explainer_of_shap_is_rebuilt_after_pickling():
    explainer, _ = ready("TabularExplainer, trees")
    assert "_explainer" in vars(explainer)
    assert "_explainer" not in vars(cloudpickle.loads(cloudpickle.dumps(explainer)))
