"""Tests of all explainers that need only the outputs of a model."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from mlflow_interpret.core.errors import CannotExplainError

from .agreement import assert_agrees, rows_of


class AnyModel:
    """Values are compared with exact ones, within the reported standard errors.

    Attributes:
        method: The method of the explainer.
        explain: As `agreement.explain`.
        of_the_whole: The same for pipelines that would otherwise be split.
    """

    method: str

    @staticmethod
    def explain(*arguments, **options):
        raise NotImplementedError

    of_the_whole = explain

    @pytest.mark.parametrize(
        "model",
        [SVR(kernel="poly"), KNeighborsRegressor(3)],
        ids=lambda model: type(model).__name__,
    )
    def test_regression_is_exact(self, model, diabetes):
        rows, y = diabetes
        found = self.explain(model.fit(rows, y), rows, max_rows=4)
        assert found.method == self.method
        assert found.scale == "prediction"
        assert_agrees(found, model.predict, rows)

    @pytest.mark.parametrize("load", ["iris", "cancer"])
    @pytest.mark.parametrize(
        "model", [KNeighborsClassifier(5), KNeighborsClassifier(9, weights="distance")], ids=str
    )
    def test_probabilities_are_exact(self, model, load, request):
        rows, y = request.getfixturevalue(load)
        found = self.explain(model.fit(rows, y), rows, max_rows=3)
        assert found.method == self.method
        assert found.scale == "probability"
        assert_agrees(found, model.predict_proba, rows)

    def test_evaluation_rows_outside_of_the_background_are_exact(self, diabetes):
        rows, y = diabetes
        model = SVR(kernel="poly").fit(rows, y)
        others = rows.iloc[::-1].reset_index(drop=True) + 0.5
        found = self.explain(model, others, rows, max_rows=3)
        assert_agrees(found, model.predict, others, rows)

    def test_integer_rows_do_not_round_the_background(self):
        rows, y = rows_of(load_iris, 30, [0, 1, 2], scaled=False)
        model = KNeighborsRegressor(4).fit(rows, y)
        whole = rows.round().astype(int)
        found = self.explain(model, whole, rows, max_rows=3)
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
        found = self.of_the_whole(model, rows, max_rows=4)
        assert found.method == self.method
        assert_agrees(found, model.predict, rows)
        assert (np.abs(found.local_values).max(axis=0) > 0).all()

    def test_a_pipeline_with_classes_of_strings_is_exact(self, shop):
        rows, _ = shop
        rows = rows[["colour", "size", "used"]]
        y = np.where(rows["colour"] == "red", "warm", np.where(rows["size"] > 1, "big", "other"))
        model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(rows, y)
        found = self.of_the_whole(model, rows, max_rows=3)
        assert_agrees(found, model.predict_proba, rows)

    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("strings", [False, True], ids=["numbers", "strings"])
    def test_an_svc_without_probabilities_is_exact(self, n_classes, strings, iris):
        rows, y = iris
        rows, y = rows[y < n_classes].reset_index(drop=True), y[y < n_classes]
        labels = y.map({0: "setosa", 1: "versicolor", 2: "virginica"}) if strings else y
        model = SVC(kernel="poly").fit(rows, labels)

        def scores(table):
            found = model.decision_function(table)
            return np.column_stack([-found, found]) if found.ndim == 1 else found

        found = self.explain(model, rows, max_rows=3)
        assert found.scale == "decision function"
        assert_agrees(found, scores, rows)

    def test_model_without_scores_is_exact_on_its_votes(self, iris):
        rows, y = iris
        labels = y.map({0: "a", 1: "b", 2: "c"})
        members = [("nb", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=2))]
        model = VotingClassifier(members, voting="hard").fit(rows, labels)
        found = self.explain(model, rows, max_rows=3)
        assert found.scale == "predicted label"
        assert any("no scores" in str(note) for note in found.notes)
        votes = lambda table: model.predict(table)[:, None] == model.classes_[None, :]  # noqa: E731
        assert_agrees(found, votes, rows)

    def test_soft_voting_is_exact_on_its_probabilities(self, iris):
        rows, y = iris
        members = [("nb", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=2))]
        model = VotingClassifier(members, voting="soft").fit(rows, y)
        found = self.explain(model, rows, max_rows=3)
        assert found.scale == "probability"
        assert_agrees(found, model.predict_proba, rows)

    def test_one_feature_gets_the_whole_difference(self, diabetes):
        rows, y = diabetes
        model = SVR(kernel="poly").fit(rows[["bmi"]], y)
        found = self.explain(model, rows[["bmi"]], max_rows=4)
        assert_agrees(found, model.predict, rows[["bmi"]])

    def test_model_that_cannot_predict_its_rows_is_refused(self, diabetes):
        class Broken(SVR):
            def predict(self, X):
                raise RuntimeError("out of order")

        rows, y = diabetes
        with pytest.raises(CannotExplainError, match=r"Broken cannot predict .*: out of order"):
            self.explain(Broken(kernel="poly").fit(rows, y), rows, max_rows=2)
