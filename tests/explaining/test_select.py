"""The choice of the explainer, and properties of all explainers."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import (
    AdaBoostClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
)
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, SVR

from mlflow_interpret.core.errors import CannotExplainError

from .agreement import assert_agrees, explain, rows_of

MODELS = {
    "tree": lambda: RandomForestRegressor(5, max_depth=3, random_state=0),
    "linear": LinearRegression,
    "black box": SVR,
}


@pytest.mark.parametrize("kind", MODELS)
class TestProperties:
    """Properties of all explainers."""

    def test_unused_column_gets_zero(self, kind, diabetes):
        rows, y = diabetes
        rows = rows.assign(constant=1.0)
        found = explain(MODELS[kind]().fit(rows, y), rows, max_rows=5)
        assert np.abs(found.local_values[:, -1]).max() == pytest.approx(0, abs=1e-9)
        assert np.abs(found.local_values[:, :-1]).max() > 0.1

    def test_ignored_column_gets_zero(self, kind, diabetes):
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

    def test_equal_seeds_give_identical_results(self, kind):
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

    def test_process_state_is_not_changed(self, kind, diabetes):
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

    def test_random_state_is_restored_after_a_failure(self, kind, diabetes):
        rows, y = diabetes
        model = MODELS[kind]().fit(rows, y)
        model.predict = lambda X: 1 / 0
        state = str(np.random.get_state())
        with pytest.raises(CannotExplainError):
            explain(model, rows, max_rows=2)
        assert str(np.random.get_state()) == state

    def test_max_rows_is_respected(self, kind, diabetes):
        rows, y = diabetes
        found = explain(MODELS[kind]().fit(rows, y), rows, max_rows=3)
        assert len(found.rows) == found.local_values.shape[-2] == 3
        assert sorted(set(found.rows)) == list(found.rows)


class Reorder(BaseEstimator):
    """A step that restores the order of the columns at fit."""

    def __init__(self, names):
        self.names = names

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X[self.names]

    def fit_transform(self, X, y=None):
        return self.transform(X)


def test_classes_of_a_binary_model_have_opposite_values(cancer):
    rows, y = cancer
    for model in (LogisticRegression(), SVC(kernel="poly"), AdaBoostClassifier(n_estimators=3)):
        found = explain(model.fit(rows, y), rows, max_rows=2)
        np.testing.assert_allclose(found.local_values[0], -found.local_values[1], atol=1e-7)


def test_new_category_of_an_ordinal_encoder_is_explained_as_unknown(shop):
    rows, y = shop
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    model = make_pipeline(
        make_column_transformer((encoder, ["colour"]), remainder="drop"), SVR(kernel="poly")
    ).fit(rows, y)
    new = rows.iloc[:3].assign(colour="violet").reset_index(drop=True)
    found = explain(model, new, rows)
    assert_agrees(found, model.predict, new, rows)


@pytest.mark.interpret
def test_engine_kernel_uses_the_kernel_explainer(diabetes):
    rows, y = diabetes
    model = LinearRegression().fit(rows, y)
    found = explain(model, rows, max_rows=2, engine="kernel")
    assert found.method == "shap_kernel"
    assert_agrees(found, model.predict, rows)


@pytest.mark.interpret
def test_engine_tabular_uses_tabular_explainer(diabetes):
    rows, y = diabetes
    model = make_pipeline(StandardScaler(), RandomForestRegressor(5, random_state=0)).fit(rows, y)
    found = explain(model, rows, max_rows=2, engine="tabular")
    assert found.engine == "TabularExplainer, TreeExplainer"
    model = SVR(kernel="poly").fit(rows, y)
    found = explain(model, rows, max_rows=2, engine="tabular")
    assert found.engine == "TabularExplainer, KernelExplainer"
    assert "no explainer for trees or linear models of SVR" in str(found.notes[0])
    assert_agrees(found, model.predict, rows)


def test_multi_output_wrapper_of_a_single_target_uses_the_explainer_of_its_model(diabetes):
    rows, y = diabetes
    plain = explain(Ridge().fit(rows, y), rows, max_rows=3)
    wrapped = explain(MultiOutputRegressor(Ridge()).fit(rows, y.to_frame()), rows, max_rows=3)
    assert wrapped.method == "shap_linear"
    np.testing.assert_allclose(wrapped.local_values, plain.local_values)
    labels = (y > y.median()).to_frame()
    model = MultiOutputClassifier(LogisticRegression()).fit(rows, labels)
    found = explain(model, rows, max_rows=3)
    assert found.scale == "log-odds"


def test_scores_of_pairs_of_classes_are_not_explained_as_classes(iris):
    rows, y = iris
    for kernel in ("rbf", "linear"):
        model = SVC(kernel=kernel, decision_function_shape="ovo").fit(rows, y)
        found = explain(model, rows, max_rows=10)
        assert found.scale == "predicted label"
        sums = found.local_values.sum(axis=-1) + found.expected_values[:, None]
        assert (sums.argmax(axis=0) == model.predict(rows)[found.rows]).all()
