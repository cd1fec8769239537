"""Explainers of interpret-community, compared with exact values and shap."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
)
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from explaining.agreement import assert_agrees, explain, rows_of
from explaining.any_model import AnyModel
from explaining.exact import shapley
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.explainers import tabular_explainer
from mlflow_interpret.explaining.row_scheduler import run

TREES_WITH_PROBABILITIES = (DecisionTreeClassifier, RandomForestClassifier)


def by_kernel(request, source):
    explainer = tabular_explainer.KernelExplainer(request)
    return run(explainer, source, request.plan, request.budget)


pytestmark = pytest.mark.interpret

by_tabular = partial(explain, engine="tabular")
kernel = partial(explain, by=by_kernel)


class TestKernelExplainer(AnyModel):
    """With few features all coalitions are evaluated, with few rows all are background rows."""

    method = "shap_kernel"
    explain = of_the_whole = staticmethod(kernel)

    def test_small_background_is_used_completely(self, diabetes):
        rows, y = diabetes
        found = kernel(SVR(kernel="poly").fit(rows, y), rows, max_rows=2)
        assert found.background_rows == len(rows)
        assert not any("k-means" in str(note) for note in found.notes)

    def test_notes_mention_a_summarized_background(self):
        rows, y = rows_of(load_diabetes, 120, [2, 3, 8])
        found = kernel(SVR(kernel="poly").fit(rows, y), rows, max_rows=2)
        assert found.background_rows == 120
        assert any("k-means" in str(note) for note in found.notes)

    def test_values_add_up_with_a_summarized_background(self):
        rows, y = rows_of(load_diabetes, 120, [2, 3, 8])
        model = SVR(kernel="poly").fit(rows, y)
        found = kernel(model, rows, max_rows=5)
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
            kernel(Nan(kernel="poly").fit(rows, y), rows, max_rows=2)

    def test_seed_chooses_the_sampled_coalitions(self):
        rows, y = rows_of(load_breast_cancer, 30, list(range(13)))
        model = SVR(kernel="poly").fit(rows, y)
        found = []
        for seed in (3, 3, 4):
            np.random.seed(len(found))
            found.append(kernel(model, rows.head(1), rows, seed=seed).local_values)
        assert found[0].tobytes() == found[1].tobytes() != found[2].tobytes()


class TestLinear:
    """Compared with exact values over the same background, without assuming independence."""

    @pytest.mark.parametrize(
        "model", [LinearRegression(), Ridge()], ids=lambda model: type(model).__name__
    )
    def test_regression_is_exact(self, model, diabetes):
        rows, y = diabetes
        found = by_tabular(model.fit(rows, y), rows, max_rows=5)
        assert found.method == "shap_linear"
        assert_agrees(found, model.predict, rows)

    def test_labels_in_a_column_equal_a_list_of_labels(self, diabetes):
        rows, y = diabetes
        plain = by_tabular(LinearRegression().fit(rows, y), rows)
        column = by_tabular(LinearRegression().fit(rows, y.to_frame()), rows)
        assert column.method == "shap_linear"
        np.testing.assert_allclose(column.local_values, plain.local_values)
        np.testing.assert_allclose(column.expected_values, plain.expected_values)

    @pytest.mark.parametrize(
        "model", [LogisticRegression(), RidgeClassifier()], ids=lambda model: type(model).__name__
    )
    def test_a_binary_model_is_exact_on_its_decision_function(self, model, cancer):
        rows, y = cancer
        model.fit(rows, np.where(y == 1, "benign", "malignant"))
        found = by_tabular(model, rows, max_rows=3)
        assert found.method == "shap_linear"
        logistic = isinstance(model, LogisticRegression)
        assert found.scale == ("log-odds" if logistic else "decision function")

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
        found = by_tabular(model.fit(rows, y), rows, max_rows=3)
        assert found.method == "shap_linear"
        assert_agrees(found, model.decision_function, rows)

    def test_link_function_is_not_explained_as_linear(self, diabetes):
        rows, y = diabetes
        model = PoissonRegressor(alpha=0).fit(rows, y)
        found = explain(model, rows, max_rows=3)
        assert found.method == "shap_permutation"
        assert "is linear in its columns" in str(found.notes[0])
        assert_agrees(found, model.predict, rows)

    @pytest.mark.parametrize("factor", [1e-3, 1e3])
    def test_link_function_is_detected_at_any_size_of_the_labels(self, factor, diabetes):
        rows, y = diabetes
        model = PoissonRegressor(alpha=0, max_iter=1000).fit(rows, y * factor)
        found = explain(model, rows, max_rows=2)
        assert_agrees(found, model.predict, rows, tolerance=1e-4)

    def test_background_is_used_completely(self):
        rows, y = rows_of(load_diabetes, 300, [2, 3, 8])
        rows["rare"] = np.arange(300) == 7
        model = LinearRegression().fit(rows, y + 100 * rows["rare"])
        found = by_tabular(model, rows)
        assert found.background_rows == 300
        exact = model.coef_ * (rows.to_numpy(float) - rows.to_numpy(float).mean(axis=0))
        np.testing.assert_allclose(found.local_values, exact, atol=1e-9)
        np.testing.assert_allclose(found.expected_values, model.predict(rows).mean(), rtol=1e-9)


def tree_outputs(model, rows):
    """``(n_classes, n_rows)`` or ``(n_rows,)`` outputs that tree SHAP explains."""
    if isinstance(model, TREES_WITH_PROBABILITIES):
        return model.predict_proba(rows).T
    if hasattr(model, "decision_function"):
        scores = model.decision_function(rows)
        return np.stack([-scores, scores]) if scores.ndim == 1 else scores.T
    return model.predict(rows)


class TestTrees:
    """Values add up to the output of the model and equal those of shap."""

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
    def test_regression_is_additive_and_equals_shap(self, model):
        import shap

        rows, y = rows_of(load_diabetes, 200, [2, 3, 8, 9, 0])
        model.fit(rows.to_numpy(), y)
        found = by_tabular(model, rows.to_numpy())
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
        found = by_tabular(model, rows.to_numpy())
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
        found = by_tabular(model, rows.to_numpy(), max_rows=20)
        outputs = tree_outputs(model, rows.to_numpy()[found.rows])
        if found.method == "shap_kernel":  # shap has no tree explainer for some
            outputs = model.predict_proba(rows.to_numpy()[found.rows]).T
        sums = found.local_values.sum(axis=-1) + found.expected_values[:, None]
        np.testing.assert_allclose(sums, outputs, atol=1e-6)

    def test_dataframe_equals_array(self):
        rows, y = rows_of(load_diabetes, 100, [2, 3, 8])
        model = RandomForestRegressor(5, random_state=0)
        frame = by_tabular(model.fit(rows, y), rows)
        array = by_tabular(model.fit(rows.to_numpy(), y), rows.to_numpy())
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
        self.assert_right(found, model, rows.iloc[:30])
        assert found.notes

    def test_categorical_dtypes_are_never_silently_wrong(self):
        rows, y = self.one_of_six()
        rows["kind"] = rows["kind"].map(dict(enumerate("abcdef"))).astype("category")
        model = HistGradientBoostingRegressor(
            max_iter=30, categorical_features="from_dtype", min_samples_leaf=2
        ).fit(rows, y)
        found = explain(model, rows.iloc[:30], max_rows=4)
        self.assert_right(found, model, rows.iloc[:30])

    def assert_right(self, found, model, rows):
        """The exact values, or path-dependent ones, which are those of the trees' own rows."""
        if found.method != "shap_tree":
            assert_agrees(found, model.predict, rows)
            return
        values, _ = shapley(model.predict, rows.iloc[found.rows], rows)
        difference = found.local_values - values
        spread = np.abs(values).max()
        # the 30 rows have another mean than the 200 training rows
        assert np.abs(difference - difference.mean(axis=0)).max() < 0.05 * spread

    def one_of_six(self):
        """A category with an effect that is not monotone in its code."""
        draw = np.random.default_rng(3)
        kind = draw.integers(0, 6, 200)
        number = draw.normal(size=200)
        effect = np.array([3.0, -2.0, 4.0, -5.0, 1.0, 0.0])[kind]
        return pd.DataFrame({"kind": kind, "number": number}), effect + number


def test_without_interpret_community_the_message_names_the_package_to_install(
    monkeypatch, diabetes
):
    def missing(name):
        raise ImportError(f"{name} is not installed", name=name)

    monkeypatch.setattr(tabular_explainer, "import_optional", missing)
    rows, y = diabetes
    for model, engine in (
        (SVR(kernel="poly"), "kernel"),
        (SVR(kernel="poly"), "tabular"),
        (Ridge(), "tabular"),
    ):
        with pytest.raises(
            CannotExplainError, match=r'pip install "mlflow-interpret\[interpret\]"'
        ):
            explain(model.fit(rows, y), rows, max_rows=2, engine=engine)
    assert explain(Ridge().fit(rows, y), rows, max_rows=2).method == "shap_linear"
    assert explain(SVR(kernel="poly").fit(rows, y), rows, max_rows=2).method == "shap_permutation"
