"""A split pipeline has the attributions of its last step on columns encoded by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from palmerpenguins import load_penguins
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain

from .exact import shapley

penguins = load_penguins().drop(columns="year")
X = penguins.drop(columns="species")
species, mass = penguins["species"], penguins["body_mass_g"].fillna(4000)
TEXT = make_column_selector(dtype_exclude="number")
NUMBERS = make_column_selector(dtype_include="number")


def encoder():
    return make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(drop="first")),
            TEXT,
        ),
        (SimpleImputer(add_indicator=True), NUMBERS),
    )


def explained(model, rows=X, **options):
    return explain(TrainingContext(model, rows, **options), Plan(60))


MODELS = {
    "forest": (RandomForestClassifier(10, max_depth=4, random_state=0), species),
    "regression": (RandomForestRegressor(10, max_depth=4, random_state=0), mass),
    "logistic": (make_pipeline(StandardScaler(), LogisticRegression()), species),
    "search": (GridSearchCV(RandomForestClassifier(5), {"max_depth": [2, 3]}, cv=2), species),
}


@pytest.mark.parametrize("kind", MODELS)
def test_raw_importances_equal_those_of_hand_encoded_columns(kind):
    model, target = MODELS[kind]
    front = encoder().fit(X, target)
    pipeline = make_pipeline(front, model).fit(X, target)
    found = explained(pipeline)
    assert found.features == tuple(X)
    assert "pipeline was split" in " ".join(found.details.to_json()["notes"])
    names = list(front.get_feature_names_out())
    engineered = pd.DataFrame(pipeline[:-1].transform(X), columns=names)
    last = getattr(pipeline[-1], "best_estimator_", pipeline[-1])
    if isinstance(last, Pipeline):
        engineered, last = pd.DataFrame(last[:-1].transform(engineered.to_numpy())), last[-1]
    twin = explained(last, engineered.to_numpy())
    owner = [
        next(i for i, column in enumerate(X) if name.partition("__")[2].rpartition(column)[1])
        for name in names
    ]
    summed = np.zeros((*twin.local_values.shape[:-1], X.shape[1]))
    for column, raw in enumerate(owner):
        summed[..., raw] += twin.local_values[..., column]
    np.testing.assert_allclose(found.local_values, summed, atol=1e-12)
    np.testing.assert_allclose(found.expected_values, twin.expected_values)
    assert found.method == twin.method != "shap_permutation"


def test_a_linear_pipeline_on_columns_of_text_is_exact():
    rows = X.dropna().reset_index(drop=True)[:40]
    target = mass[X.notna().all(axis=1)].reset_index(drop=True)[:40]
    front = make_column_transformer(
        (OneHotEncoder(), TEXT), (StandardScaler(), NUMBERS), verbose_feature_names_out=False
    )
    pipeline = make_pipeline(front, LinearRegression()).fit(rows, target)
    found = explained(pipeline, rows)
    exact, expected = shapley(pipeline.predict, rows[:5], rows)
    np.testing.assert_allclose(found.local_values[:5], exact, atol=1e-6)
    np.testing.assert_allclose(found.expected_values, expected)


def test_dropped_columns_get_zero():
    front = make_column_transformer((SimpleImputer(), ["bill_length_mm", "bill_depth_mm"]))
    model = make_pipeline(front, SelectKBest(f_classif, k=1), RandomForestClassifier(5))
    found = explained(model.fit(X, species))
    assert np.count_nonzero(found.global_values) == 1


def test_passthrough_step_changes_nothing():
    forest = RandomForestClassifier(5, random_state=0)
    plain = Pipeline([("front", encoder()), ("model", forest)]).fit(X, species)
    longer = Pipeline([("front", encoder()), ("no", "passthrough"), ("model", forest)])
    np.testing.assert_array_equal(
        explained(plain).local_values, explained(longer.fit(X, species)).local_values
    )


def test_pipelines_with_mixed_columns_are_explained_as_a_whole():
    rows = X.dropna()
    front = make_column_transformer((OrdinalEncoder(), TEXT), remainder=PCA(2))
    pipeline = make_pipeline(front, RandomForestClassifier(5, random_state=0))
    found = explain(TrainingContext(pipeline.fit(rows, species[rows.index]), rows), Plan(3))
    assert found.method == "shap_permutation"
    assert found.features == tuple(X)
    assert (
        "2 of 4 engineered columns have several raw columns as sources"
        in found.details.to_json()["notes"][0]
    )


def test_the_words_of_a_text_column_are_summed_up():
    texts = species + " " + X["island"] + " island"
    rows = pd.DataFrame({"text": texts, "mass": mass})
    front = make_column_transformer((TfidfVectorizer(), "text"), remainder="passthrough")
    pipeline = make_pipeline(front, LogisticRegression(max_iter=5000)).fit(rows, species)
    found = explained(pipeline, rows)
    assert found.features == ("text", "mass")
    assert found.method == "shap_linear"
    assert found.global_values[0] > 0


class Resampler(BaseEstimator):
    """A step that changes the rows of ``fit`` and does nothing in ``predict``."""

    def fit_resample(self, X, y):
        return X, y


class ResamplingPipeline(Pipeline):
    """A fitted pipeline that predicts without its samplers, as that of imbalanced-learn."""

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        return self.steps[-1][1].predict(self._transformed(X))

    @property
    def predict_proba(self):
        scores = self.steps[-1][1].predict_proba
        return lambda X: scores(self._transformed(X))

    @property
    def decision_function(self):
        scores = self.steps[-1][1].decision_function
        return lambda X: scores(self._transformed(X))

    def _transformed(self, X):
        for _, step in self.steps[:-1]:
            X = X if isinstance(step, Resampler) else step.transform(X)
        return X


class FlippingPipeline(Pipeline):
    """A pipeline with probabilities of its own."""

    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


class CutPipeline(Pipeline):
    """A pipeline whose predictions differ from those of its last step."""

    def predict(self, X):
        return np.minimum(super().predict(X), 4000)


class TestOtherPipelines:
    """Pipelines of other packages."""

    @pytest.mark.parametrize("kind", MODELS)
    def test_samplers_change_nothing(self, kind):
        model, target = MODELS[kind]
        plain = make_pipeline(encoder(), model).fit(X, target)
        steps = [
            ("first", Resampler()),
            plain.steps[0],
            ("second", Resampler()),
            ("last", ResamplingPipeline([("third", Resampler()), plain.steps[1]])),
        ]
        found, twin = explained(ResamplingPipeline(steps)), explained(plain)
        assert found.method == twin.method != "shap_permutation"
        assert found.details.output_scale == twin.details.output_scale
        np.testing.assert_array_equal(found.local_values, twin.local_values)
        assert found.engineered.features == twin.engineered.features

    @pytest.mark.parametrize("model", [LogisticRegression(), RandomForestClassifier(5)])
    def test_imbalanced_learn(self, model):
        sampling = pytest.importorskip("imblearn")
        steps = [
            ("encoder", encoder()),
            ("over", sampling.over_sampling.RandomOverSampler(random_state=0)),
            ("scaler", StandardScaler()),
            ("under", sampling.under_sampling.RandomUnderSampler(random_state=0)),
            ("model", model),
        ]
        pipeline = sampling.pipeline.Pipeline(steps).fit(X, species)
        parts = [step for step in pipeline.steps if step[0] not in ("over", "under")]
        found, twin = explained(pipeline), explained(Pipeline(parts))
        assert found.method == twin.method != "shap_permutation"
        np.testing.assert_array_equal(found.local_values, twin.local_values)

    @pytest.mark.parametrize(
        ("kind", "model", "target"),
        [
            (FlippingPipeline, DecisionTreeClassifier(max_depth=3), X["island"] == "Dream"),
            (CutPipeline, DecisionTreeRegressor(max_depth=3), mass),
        ],
        ids=["classifier", "regressor"],
    )
    def test_outputs_of_its_own_are_explained_as_a_whole(self, kind, model, target):
        pipeline = kind([("encoder", encoder()), ("model", model)]).fit(X, target)
        found = explain(TrainingContext(pipeline, X), Plan(3))
        assert found.method == "shap_permutation"
        assert "has other outputs than its last step" in found.details.to_json()["notes"][0]

    def test_a_class_that_is_no_pipeline_of_scikit_learn(self):
        class Steps(ClassifierMixin, BaseEstimator):
            def __init__(self, pipeline):
                self.steps, self.classes_ = pipeline.steps, pipeline.classes_
                self.predict = pipeline.predict
                self.predict_proba = pipeline.predict_proba

        plain = make_pipeline(encoder(), DecisionTreeClassifier(max_depth=3)).fit(X, species)
        found, twin = explained(Steps(plain)), explained(plain)
        assert found.method == twin.method == "shap_tree"
        np.testing.assert_array_equal(found.local_values, twin.local_values)

    def test_a_rare_value_of_two_columns_shows_in_the_sums(self):
        class Flags(TransformerMixin, BaseEstimator):
            def fit(self, X, y=None):
                return self

            def transform(self, X):
                rare = X["a"] + X["b"] > 1.9
                return np.column_stack([X["a"], X["b"], rare])

        generator = np.random.default_rng(0)
        rows = pd.DataFrame(generator.random((3000, 2)), columns=["a", "b"])
        target = rows["a"] + 9.0 * (rows["a"] + rows["b"] > 1.9)
        pipeline = make_pipeline(Flags(), LinearRegression()).fit(rows, target)
        found = explain(TrainingContext(pipeline, rows), Plan(50))
        assert found.method == "shap_permutation"
