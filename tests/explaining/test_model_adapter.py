"""The explained part of an estimator, and its outputs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.ensemble._iforest import _average_path_length
from sklearn.feature_selection import RFE
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.model_adapter import adapt_model, per_class

X, y = load_iris(return_X_y=True)
NAMES = load_iris().target_names
DIABETES, PROGRESS = load_diabetes(return_X_y=True)


def scales(model):
    return [scale for scale, _ in adapt_model(model).outputs()]


class TestExplainedPart:
    def test_an_estimator_is_explained_itself(self):
        model = DecisionTreeClassifier().fit(X, y)
        found = adapt_model(model)
        assert found.model is model
        assert found.path == ""
        assert found.name == "DecisionTreeClassifier"

    def test_a_pipeline_is_explained_as_a_whole(self):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
        assert adapt_model(model).model is model

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
        found = adapt_model(search)
        assert found.model is search.best_estimator_
        assert found.path == f"{type(search).__name__}.best_estimator_"

    def test_nested_search_is_unwrapped(self):
        inner = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2)
        outer = GridSearchCV(inner, {"cv": [2, 3]}, cv=2).fit(X, y)
        found = adapt_model(outer)
        assert isinstance(found.model, DecisionTreeClassifier)
        assert found.path == "GridSearchCV.best_estimator_.GridSearchCV.best_estimator_"

    def test_search_without_refit_is_refused(self):
        search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2, refit=False)
        with pytest.raises(CannotExplainError, match="refit=False .* use refit=True"):
            adapt_model(search.fit(X, y))

    @pytest.mark.parametrize(
        "model", [GaussianMixture(2), PCA(2), StandardScaler()], ids=lambda m: type(m).__name__
    )
    def test_estimators_without_predictions_are_refused(self, model):
        name = type(model).__name__
        with pytest.raises(CannotExplainError, match=f"{name} is neither a classifier nor"):
            adapt_model(model.fit(X))

    def test_a_clusterer_is_refused_with_the_reason(self):
        with pytest.raises(
            CannotExplainError, match="KMeans is a clusterer; it predicts no target"
        ):
            adapt_model(KMeans(2, n_init=1).fit(X))

    def test_a_frozen_estimator_is_explained_itself(self):
        frozen = pytest.importorskip("sklearn.frozen")  # new in scikit-learn 1.6
        model = DecisionTreeClassifier().fit(X, y)
        found = adapt_model(frozen.FrozenEstimator(model))
        assert found.model is model
        assert found.path == "FrozenEstimator.estimator"

    def test_models_without_tags_of_scikit_learn_are_explained(self):
        class Elsewhere:
            def predict(self, X):
                return X[:, 0]

        class Halfway(RegressorMixin, Elsewhere):
            """A class without the tags of scikit-learn's base class."""

        assert adapt_model(Halfway()).task == "regression"

        class Labelling(Elsewhere):
            classes_ = np.array(["a", "b"])

        assert adapt_model(Elsewhere()).task == "regression"
        assert adapt_model(Labelling()).classes == ("a", "b")

    def test_a_learned_attribute_needs_no_underscore(self):
        class Mean(RegressorMixin, BaseEstimator):
            def __init__(self, shift=0.0):
                self.shift = shift

            def fit(self, X, y):
                self.mean = np.mean(y)
                return self

            def predict(self, X):
                return np.full(len(X), self.mean + self.shift)

        with pytest.raises(CannotExplainError, match="Mean is not fitted; call fit first"):
            adapt_model(Mean())
        assert adapt_model(Mean().fit(X, y)).task == "regression"

    def test_a_selector_around_a_classifier_is_a_classifier(self):
        model = RFE(LogisticRegression(max_iter=500), n_features_to_select=2).fit(X, y)
        assert adapt_model(model).task == "classification"

    def test_labels_in_a_column_are_one_output(self):
        model = LinearRegression().fit(DIABETES, PROGRESS[:, None])
        plain = LinearRegression().fit(DIABETES, PROGRESS)
        found = adapt_model(model)
        np.testing.assert_allclose(found.predict(DIABETES), plain.predict(DIABETES))
        ((_, output),) = found.outputs()
        assert output(DIABETES).shape == PROGRESS.shape


class TestClasses:
    @pytest.mark.parametrize("labels", [(10, 20, 30), ("a", "b", "c"), (0.0, 1.0, 2.0)], ids=str)
    def test_classes_are_the_labels_of_the_model(self, labels):
        found = adapt_model(DecisionTreeClassifier().fit(X, np.array(labels)[y]))
        assert found.classes == found.labels[0] == labels
        assert all(type(one) is type(other) for one, other in zip(found.classes, labels))

    def test_booleans_stay_booleans(self):
        found = adapt_model(DecisionTreeClassifier().fit(X, y == 1))
        assert found.classes == (False, True)
        assert type(found.classes[0]) is bool

    def test_names_replace_labels_and_predictions_do_not_change(self):
        found = adapt_model(DecisionTreeClassifier().fit(X, y), list(NAMES))
        assert found.classes == tuple(NAMES)
        assert found.labels == ((0, 1, 2),)
        assert set(found.predict(X)) <= {0, 1, 2}

    def test_names_for_a_regression_are_refused(self):
        with pytest.raises(CannotExplainError, match="classes has 2 names, but LinearRegression"):
            adapt_model(LinearRegression().fit(DIABETES, PROGRESS), ["a", "b"])

    def test_classifier_without_classes_is_refused(self):
        class Elsewhere:
            def predict_proba(self, X):
                return X

        with pytest.raises(
            CannotExplainError, match="no attribute classes_ after fit; a classifier needs"
        ):
            adapt_model(Elsewhere())

    def test_wrong_number_of_names_is_refused(self):
        with pytest.raises(CannotExplainError, match="2 names and the model has 3 classes"):
            adapt_model(DecisionTreeClassifier().fit(X, y), ["a", "b"])

    def test_regression_has_no_classes(self):
        found = adapt_model(LinearRegression().fit(DIABETES, PROGRESS))
        assert found.task == "regression"
        assert found.labels is found.classes is None
        assert found.probabilities(DIABETES) is None


TWO = np.column_stack([NAMES[y], np.where(y > 0, "yes", "no")])
BLOCKS = ("y0: setosa", "y0: versicolor", "y0: virginica", "y1: no", "y1: yes")


class TestSeveralTargets:
    @pytest.mark.parametrize(
        "model",
        [
            RandomForestClassifier(3, random_state=0),
            DecisionTreeClassifier(),
            KNeighborsClassifier(),
            MultiOutputClassifier(LogisticRegression(max_iter=500)),
            MultiOutputClassifier(RidgeClassifier()),
        ],
        ids=str,
    )
    def test_classifier_has_an_output_for_each_class_of_each_target(self, model):
        found = adapt_model(model.fit(X, TWO), row=X[:1])
        assert found.targets == ("y0", "y1")
        assert found.classes == found.output_names == BLOCKS
        assert np.array_equal(found.predict(X), model.predict(X))
        scale, output = next(iter(found.outputs()))
        scores = output(X)
        assert scores.shape == (len(X), 5)
        if scale == "probability":
            np.testing.assert_allclose(scores[:, :3].sum(axis=1), 1)
            np.testing.assert_allclose(scores[:, 3:].sum(axis=1), 1)
            assert np.array_equal(found.probabilities(X), scores)
        first, second = scores[:, :3].argmax(axis=1), scores[:, 3:].argmax(axis=1)
        assert np.array_equal(NAMES[first], found.predict(X)[:, 0])
        assert np.array_equal(np.array(["no", "yes"])[second], found.predict(X)[:, 1])

    @pytest.mark.parametrize(
        "model",
        [
            MLPClassifier(hidden_layer_sizes=(8,), max_iter=300, random_state=0),
            RidgeClassifier(),
            KNeighborsClassifier(),
            OneVsRestClassifier(LogisticRegression(max_iter=500)),
            ClassifierChain(LogisticRegression(max_iter=500)),
        ],
        ids=str,
    )
    def test_multilabel_targets_have_two_classes(self, model):
        labels = np.column_stack([y == 0, y > 0, y == 2]).astype(int)
        found = adapt_model(model.fit(X, labels), row=X[:1])
        assert len(found.output_names) == 6
        for _, output in found.outputs():
            scores = output(X).reshape(len(X), 3, 2)
            assert (scores.argmax(axis=2) == model.predict(X)).mean() > 0.99

    def test_labels_may_be_a_sparse_matrix(self):
        labels = sparse.csr_matrix(np.column_stack([y == 0, y > 1]).astype(int))
        model = OneVsRestClassifier(LogisticRegression(max_iter=500)).fit(X, labels)
        found = adapt_model(model, row=X[:1])
        assert len(found.output_names) == 4
        assert np.array_equal(found.predict(X), model.predict(X).toarray())

    @pytest.mark.parametrize(
        "model", [LinearRegression(), KNeighborsRegressor(), RandomForestRegressor(2)], ids=str
    )
    def test_regression_has_an_output_for_each_target(self, model):
        model.fit(DIABETES, np.column_stack([PROGRESS, -PROGRESS]))
        found = adapt_model(model, row=DIABETES[:1], targets=["up", "down"])
        assert found.classes is None
        assert found.output_names == found.targets == ("up", "down")
        ((scale, output),) = found.outputs()
        assert scale == "prediction"
        assert np.array_equal(output(DIABETES), model.predict(DIABETES))

    def test_names_of_another_number_are_ignored(self):
        model = LinearRegression().fit(DIABETES, np.column_stack([PROGRESS, -PROGRESS]))
        assert adapt_model(model, row=DIABETES[:1], targets=["a"]).targets == ("y0", "y1")
        same = adapt_model(model, row=DIABETES[:1], targets=["a", "a"]).targets
        assert len(set(same)) == 2

    def test_classes_of_all_targets_can_be_named(self):
        model = DecisionTreeClassifier().fit(X, TWO)
        assert adapt_model(model, list("abcde")).classes == tuple("abcde")
        with pytest.raises(CannotExplainError, match="3 names and the model has 5 classes"):
            adapt_model(model, list("abc"))


class TestOutlierDetectors:
    def test_the_score_is_explained(self):
        model = OneClassSVM().fit(X)
        found = adapt_model(model)
        assert found.task == "regression"
        ((scale, output),) = found.outputs()
        assert scale == "decision function"
        assert np.array_equal(output(X), model.decision_function(X))

    def test_average_path_length_is_the_sum_of_the_trees(self):
        model = IsolationForest(n_estimators=5, random_state=0).fit(X)
        outputs = dict(adapt_model(model).outputs())
        depth = outputs["average path length"](X)
        own = [
            _depth(tree, X[:, picked])
            for tree, picked in zip(model.estimators_, model.estimators_features_)
        ]
        np.testing.assert_allclose(depth, np.mean(own, axis=0), rtol=1e-9)

    def test_detector_of_training_rows_only_is_refused(self):
        with pytest.raises(CannotExplainError, match="scores its training rows only"):
            adapt_model(LocalOutlierFactor().fit(X))


def _depth(tree, rows):
    """The depth of each row's leaf, and the expected depth below it."""
    leaves = tree.apply(rows)
    depth = np.asarray(tree.decision_path(rows).sum(axis=1)).ravel() - 1
    return depth + _average_path_length(tree.tree_.n_node_samples[leaves])


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
        found = adapt_model(model)
        for scale, output in found.outputs():
            scores = output(X[few])
            assert scores.shape == (few.sum(), n_classes), scale
            best = np.array(found.labels[0])[scores.argmax(axis=1)]
            assert (best == model.predict(X[few])).mean() > 0.98, scale

    def test_each_output_keeps_its_own_method(self):
        model = LogisticRegression(max_iter=500).fit(X, y)
        outputs = dict(adapt_model(model).outputs())
        assert np.array_equal(outputs["probability"](X), model.predict_proba(X))
        assert np.array_equal(outputs["decision function"](X), model.decision_function(X))

    def test_decision_function_of_the_probabilities_is_named_log_odds(self):
        for few in (y < 2, y < 3):
            logistic = adapt_model(LogisticRegression(max_iter=500).fit(X[few], y[few]))
            output = dict(logistic.outputs())["decision function"]
            assert logistic.scale_of("decision function", output(X), X) == "log-odds"
            assert logistic.scale_of("probability", output(X), X) == "probability"
        machine = adapt_model(SVC().fit(X, y))
        scores = machine.model.decision_function(X)
        assert machine.scale_of("decision function", scores, X) == "decision function"

    def test_votes_are_one_for_the_predicted_label(self):
        model = DecisionTreeClassifier().fit(X, NAMES[y])
        votes = dict(adapt_model(model, ["x", "y", "z"]).outputs())["predicted label"](X)
        assert (votes.sum(axis=1) == 1).all()
        assert np.array_equal(NAMES[votes.argmax(axis=1)], model.predict(X))

    def test_single_column_becomes_two_opposite_columns(self):
        scores = np.array([0.5, -2.0])
        expected = [[-0.5, 0.5], [2.0, -2.0]]
        assert per_class(scores, [2]).tolist() == expected
        assert per_class(scores[:, None], [2]).tolist() == expected
        assert per_class([0.25, 1.0], [2], complement=True).tolist() == [[0.75, 0.25], [0.0, 1.0]]

    @pytest.mark.parametrize(
        ("shape", "n_classes"), [((4,), 3), ((4, 2), 3), ((4, 3), 2), ((4, 2, 2), 2)]
    )
    def test_another_number_of_columns_is_refused(self, shape, n_classes):
        with pytest.raises(CannotExplainError, match=rf"for {n_classes} classes"):
            per_class(np.zeros(shape), [n_classes])
