"""What of a fitted estimator is explained, and on which of its outputs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor, VotingClassifier
from sklearn.feature_selection import RFE
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from mlflow_interpret.errors import CannotExplainError
from mlflow_interpret.explaining.models import per_class, predictor

X, y = load_iris(return_X_y=True)
NAMES = load_iris().target_names
DIABETES, PROGRESS = load_diabetes(return_X_y=True)


def scales(model):
    return [scale for scale, _ in predictor(model).outputs()]


class TestWhatIsExplained:
    def test_an_estimator_is_explained_itself(self):
        model = DecisionTreeClassifier().fit(X, y)
        found = predictor(model)
        assert found.model is model
        assert found.path == ""
        assert found.name == "DecisionTreeClassifier"

    def test_a_pipeline_is_explained_as_a_whole(self):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
        assert predictor(model).model is model

    @pytest.mark.parametrize(
        "search",
        [
            GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2),
            RandomizedSearchCV(
                DecisionTreeClassifier(), {"max_depth": [1, 2]}, n_iter=1, cv=2, random_state=0
            ),
        ],
        ids=lambda search: type(search).__name__,
    )
    def test_a_search_is_explained_by_its_best_estimator(self, search):
        search.fit(X, y)
        found = predictor(search)
        assert found.model is search.best_estimator_
        assert found.path == f"{type(search).__name__}.best_estimator_"

    def test_a_search_in_a_search_is_followed_to_its_end(self):
        inner = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2)
        outer = GridSearchCV(inner, {"cv": [2, 3]}, cv=2).fit(X, y)
        found = predictor(outer)
        assert isinstance(found.model, DecisionTreeClassifier)
        assert found.path == "GridSearchCV.best_estimator_.GridSearchCV.best_estimator_"

    def test_a_search_without_refit_has_nothing_to_explain(self):
        search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2, refit=False)
        with pytest.raises(CannotExplainError, match="refit=False .* use refit=True"):
            predictor(search.fit(X, y))

    @pytest.mark.parametrize(
        "model", [KMeans(2, n_init=1), PCA(2), StandardScaler()], ids=lambda m: type(m).__name__
    )
    def test_what_predicts_no_label_is_refused(self, model):
        name = type(model).__name__
        with pytest.raises(CannotExplainError, match=f"{name} is neither a classifier nor"):
            predictor(model.fit(X))

    def test_a_selector_around_a_classifier_is_a_classifier(self):
        model = RFE(LogisticRegression(max_iter=500), n_features_to_select=2).fit(X, y)
        assert predictor(model).task == "classification"

    @pytest.mark.parametrize("model", [RandomForestClassifier(2), DecisionTreeClassifier()])
    def test_several_label_columns_are_refused(self, model):
        model.fit(X, np.column_stack([y, y]))
        with pytest.raises(CannotExplainError, match="predicts 2 outputs"):
            predictor(model)

    @pytest.mark.parametrize(
        "model", [LinearRegression(), KNeighborsRegressor(), RandomForestRegressor(2)]
    )
    def test_several_numbers_are_refused_before_or_at_the_first_prediction(self, model):
        model.fit(DIABETES, np.column_stack([PROGRESS, PROGRESS]))
        with pytest.raises(CannotExplainError, match=f"{type(model).__name__} predicts 2 outputs"):
            predictor(model).predict(DIABETES[:2])

    def test_several_yes_or_no_labels_are_refused(self):
        model = MLPClassifier((2,), max_iter=2).fit(X, np.column_stack([y == 0, y == 1]))
        with pytest.raises(CannotExplainError, match="predicts 2 outputs"):
            predictor(model).predict(X[:2])

    def test_labels_in_a_column_are_one_output(self):
        model = LinearRegression().fit(DIABETES, PROGRESS[:, None])
        plain = LinearRegression().fit(DIABETES, PROGRESS)
        found = predictor(model)
        np.testing.assert_allclose(found.predict(DIABETES), plain.predict(DIABETES))
        ((_, output),) = found.outputs()
        assert output(DIABETES).shape == PROGRESS.shape


class TestClasses:
    @pytest.mark.parametrize("labels", [(10, 20, 30), ("a", "b", "c"), (0.0, 1.0, 2.0)], ids=str)
    def test_they_are_the_model_s_labels_as_plain_values(self, labels):
        found = predictor(DecisionTreeClassifier().fit(X, np.array(labels)[y]))
        assert found.classes == found.labels == labels
        assert all(type(one) is type(other) for one, other in zip(found.classes, labels))

    def test_booleans_stay_booleans(self):
        found = predictor(DecisionTreeClassifier().fit(X, y == 1))
        assert found.classes == (False, True)
        assert type(found.classes[0]) is bool

    def test_names_replace_labels_and_predictions_do_not_change(self):
        found = predictor(DecisionTreeClassifier().fit(X, y), list(NAMES))
        assert found.classes == tuple(NAMES)
        assert found.labels == (0, 1, 2)
        assert set(found.predict(X)) <= {0, 1, 2}

    def test_a_wrong_number_of_names_says_both_numbers(self):
        with pytest.raises(CannotExplainError, match="2 names and the model has 3 classes"):
            predictor(DecisionTreeClassifier().fit(X, y), ["a", "b"])

    def test_a_regression_has_none(self):
        found = predictor(LinearRegression().fit(DIABETES, PROGRESS))
        assert found.task == "regression"
        assert found.labels is found.classes is None
        assert found.probabilities(DIABETES) is None


class TestOutputs:
    def test_probabilities_come_before_decisions_and_labels(self):
        model = LogisticRegression(max_iter=500).fit(X, y)
        assert scales(model) == ["probability", "decision function", "predicted label"]
        assert scales(RidgeClassifier().fit(X, y)) == ["decision function", "predicted label"]
        hard = VotingClassifier([("nb", GaussianNB())], voting="hard").fit(X, y)
        assert scales(hard) == ["predicted label"]
        assert scales(LinearRegression().fit(DIABETES, PROGRESS)) == ["prediction"]

    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize(
        "model",
        [SVC(), RidgeClassifier(), LogisticRegression(max_iter=500), KNeighborsClassifier()],
        ids=lambda model: type(model).__name__,
    )
    def test_every_output_ranks_classes_as_the_model_predicts(self, model, n_classes):
        few = y < n_classes
        model.fit(X[few], NAMES[y[few]])
        found = predictor(model)
        for scale, output in found.outputs():
            scores = output(X[few])
            assert scores.shape == (few.sum(), n_classes), scale
            best = np.array(found.labels)[scores.argmax(axis=1)]
            assert (best == model.predict(X[few])).mean() > 0.98, scale

    def test_each_output_keeps_its_own_method(self):
        model = LogisticRegression(max_iter=500).fit(X, y)
        outputs = dict(predictor(model).outputs())
        assert np.array_equal(outputs["probability"](X), model.predict_proba(X))
        assert np.array_equal(outputs["decision function"](X), model.decision_function(X))

    def test_votes_are_one_for_the_predicted_label(self):
        model = DecisionTreeClassifier().fit(X, NAMES[y])
        votes = dict(predictor(model, ["x", "y", "z"]).outputs())["predicted label"](X)
        assert (votes.sum(axis=1) == 1).all()
        assert np.array_equal(NAMES[votes.argmax(axis=1)], model.predict(X))

    def test_one_column_becomes_two_that_mirror_each_other(self):
        scores = np.array([0.5, -2.0])
        expected = [[-0.5, 0.5], [2.0, -2.0]]
        assert per_class(scores, 2).tolist() == expected
        assert per_class(scores[:, None], 2).tolist() == expected

    @pytest.mark.parametrize(
        ("shape", "n_classes"), [((4,), 3), ((4, 2), 3), ((4, 3), 2), ((4, 2, 2), 2)]
    )
    def test_another_number_of_columns_is_refused(self, shape, n_classes):
        with pytest.raises(CannotExplainError, match=rf"for {n_classes} classes"):
            per_class(np.zeros(shape), n_classes)
