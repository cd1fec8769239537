"""Methods beside `fit` that train, other kinds of methods, and functions imported by name."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import sys
import types

import mlflow
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClusterMixin, RegressorMixin, TransformerMixin
from sklearn.cluster import DBSCAN, KMeans
from sklearn.covariance import EmpiricalCovariance
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression
from sklearn.manifold import TSNE
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlflow_interpret.autologging import fit_hooks, wrappers
from mlflow_interpret.autologging.libraries import (
    Library,
    register_library,
    result_of,
    unregister_library,
)

X, y = load_iris(return_X_y=True, as_frame=True)


PREDICTING = [
    KMeans(2, n_init=1),
    DBSCAN(),
    IsolationForest(n_estimators=3),
    LocalOutlierFactor(),
    make_pipeline(StandardScaler(), KMeans(2, n_init=1)),
    make_pipeline(StandardScaler(), LocalOutlierFactor()),
]


@pytest.mark.parametrize("model", PREDICTING, ids=lambda model: type(model).__name__)
def test_fit_predict_is_one_event(events, model):
    labels = model.fit_predict(X)
    assert len(labels) == len(X)
    assert [event.model for event in events] == [model]
    assert events[0].X is X
    assert events[0].is_clusterer is ("KMeans" in repr(model) or "DBSCAN" in repr(model))
    fit_hooks.uninstall()
    np.testing.assert_array_equal(model.fit(X).fit_predict(X).shape, labels.shape)
    assert len(events) == 1


TRANSFORMING = [
    LinearDiscriminantAnalysis(),
    PLSRegression(2),
    make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()),
]


@pytest.mark.parametrize("model", TRANSFORMING, ids=lambda model: type(model).__name__)
def test_fit_transform_of_a_model_is_one_event(events, model):
    model.fit_transform(X, y)
    assert [event.model for event in events] == [model]
    assert events[0].X is X
    assert events[0].y is y


def test_callers_have_the_names_of_their_own_methods(events):
    names = []

    class Own(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            names.extend(frame.function for frame in inspect.stack())
            return self

        def transform(self, X):
            return X

    Own().fit_transform(X)
    methods = [name for name in names if name in {"fit", "fit_transform", "transform"}]
    assert methods == ["fit", "fit_transform"]


def test_fit_transform_of_transformers_is_no_event(events):
    for transformer in (
        StandardScaler(),
        PCA(2),
        SelectKBest(k=2),
        make_pipeline(StandardScaler(), PCA(2)),
    ):
        transformer.fit_transform(X, y)
    TSNE(2, max_iter=250, init="random", perplexity=3).fit_transform(X[:20].to_numpy())
    assert events == []


@pytest.mark.parametrize("order", ["ours first", "theirs first"])
def test_fit_predict_is_observed_by_both_autologgers(order, store):
    events = []
    calls = [
        lambda: fit_hooks.install(events.append),
        lambda: mlflow.sklearn.autolog(log_models=False),
    ]
    before = vars(type(make_pipeline(PCA())))["fit_predict"].fn
    try:
        for call in calls if order == "ours first" else calls[::-1]:
            call()
        model = KMeans(2, n_init=1)
        model.fit_predict(X)
        pipeline = make_pipeline(StandardScaler(), KMeans(2, n_init=1))
        pipeline.fit_predict(X)
        assert [event.model for event in events] == [model, pipeline]
        runs = mlflow.search_runs(output_format="list")
        assert [run.data.params.get("n_init") for run in runs][-1] == "1"
        assert len(runs) == 2
    finally:
        mlflow.sklearn.autolog(disable=True)
        fit_hooks.uninstall()
    assert vars(type(pipeline))["fit_predict"].fn is before


def test_methods_that_an_object_lacks_are_still_missing(events):
    pipeline = make_pipeline(StandardScaler(), LinearRegression())
    assert not hasattr(pipeline, "fit_predict")
    assert hasattr(make_pipeline(KMeans(2)), "fit_predict")
    assert inspect.signature(type(pipeline).fit_predict).parameters["X"]


def test_methods_of_a_mixin_are_observed_and_restored():
    class FitMixin:
        def fit(self, X, y):
            return self

        def predict(self, X):
            return X

    original = vars(FitMixin)["fit"]

    class Mixed(RegressorMixin, FitMixin, BaseEstimator):
        pass

    events = []
    try:
        fit_hooks.install(events.append)

        class Later(RegressorMixin, FitMixin, BaseEstimator):
            pass

        models = [Mixed().fit(X, y), Later().fit(X, y)]
        FitMixin().fit(X, y)
        assert [event.model for event in events] == models
    finally:
        fit_hooks.uninstall()
    assert vars(FitMixin)["fit"] is original


def test_a_method_that_is_no_plain_function_is_observed(events):
    class Counted:
        """A decorator that becomes a method, as compiled functions do."""

        def __init__(self, function):
            self.function, self.n_calls = function, 0

        def __call__(self, *args, **kwargs):
            self.n_calls += 1
            return self.function(*args, **kwargs)

        def __get__(self, instance, owner=None):
            return self if instance is None else types.MethodType(self, instance)

    class Own(RegressorMixin, BaseEstimator):
        @Counted
        def fit(self, X, y):
            return self

        def predict(self, X):
            return X

    model = Own().fit(X, y)
    assert [event.model for event in events] == [model]


class Coroutine(RegressorMixin, BaseEstimator):
    async def fit(self, X, y):
        await asyncio.sleep(0)
        return self

    def predict(self, X):
        return X


class Generator(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        yield 1
        return self

    def predict(self, X):
        return X


def test_a_coroutine_that_trains_is_an_event_without_rows(events):
    assert inspect.iscoroutinefunction(Coroutine.fit)
    model = Coroutine()
    assert asyncio.run(model.fit(X, y)) is model
    (event,) = events
    assert event.model is model
    assert event.X is None
    assert "explain_now" in event.unexplained


def test_a_generator_that_trains_is_an_event_without_rows(events):
    assert inspect.isgeneratorfunction(Generator.fit)
    model = Generator()
    steps = model.fit(X, y)
    assert events == []
    assert list(steps) == [1]
    assert [event.model for event in events] == [model]


class Both(BaseEstimator):
    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return X

    def transform(self, X):
        return X


class Only(BaseEstimator):
    def fit(self, X, y=None):
        return self


class Sampler(BaseEstimator):
    def fit(self, X, y):
        return self

    def fit_resample(self, X, y):
        return X, y


class Transformer(TransformerMixin, Both):
    pass


REASONS = [
    (Only(), "has no predict"),
    (NearestNeighbors(), "has no predict"),
    (EmpiricalCovariance(), "has no predict"),
    (KernelDensity(), "has no predict"),
    (GaussianMixture(), "estimates a density"),
]


@pytest.mark.parametrize(("estimator", "reason"), REASONS)
def test_an_estimator_that_is_no_model_is_an_event_with_a_reason(events, estimator, reason):
    estimator.fit(X)
    (event,) = events
    assert event.model is estimator
    assert event.name == type(estimator).__name__
    assert re.search(reason, event.unexplained)


def test_samplers_and_transformers_are_no_events(events):
    Sampler().fit(X, y)
    Transformer().fit(X)
    assert events == []


def test_a_class_with_predict_and_transform_is_a_model(events):
    model = Both().fit(X, y)
    assert [event.model for event in events] == [model]
    assert events[0].unexplained is None


def test_all_methods_are_restored():
    methods = ("fit", "fit_predict", "fit_transform", "partial_fit")

    def functions():
        classes = [*wrappers.subclasses(BaseEstimator), ClusterMixin, TransformerMixin]
        values = {
            (cls, method): vars(cls)[method]
            for cls in classes
            for method in methods
            if method in vars(cls)
        }
        return {key: getattr(value, "fn", value) for key, value in values.items()}

    fit_hooks.install(lambda event: None)  # imports all of scikit-learn's classes
    fit_hooks.uninstall()
    before = functions()
    fit_hooks.install(lambda event: None)
    during = functions()
    fit_hooks.uninstall()
    changed = {method for key, method in before if during[key, method] is not before[key, method]}
    assert changed == set(methods)
    assert functions() == before


class Clusters(ClusterMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.labels_ = np.zeros(len(X), dtype=int)
        return self


def test_fit_predict_of_a_mixin_is_one_event(events):
    model = Clusters()
    model.fit_predict(X)
    assert [event.model for event in events] == [model]
    assert events[0].is_clusterer


@pytest.fixture
def training(tmp_path, monkeypatch):
    """A library, and a module of the user that has imported its function by name."""
    (tmp_path / "named_library.py").write_text("def train(rows, label):\n    return [rows]\n")
    (tmp_path / "named_part.py").write_text("from named_library import train as fit_model\n")
    monkeypatch.syspath_prepend(tmp_path)
    user = importlib.import_module("named_part")
    library = register_library(
        Library(
            "named_library", functions=("train",), trained_model=result_of,
            training_data=lambda call: call.args,
        )
    )  # fmt: skip
    yield user
    unregister_library(library)
    for name in ("named_library", "named_part"):
        del sys.modules[name]


def test_a_function_that_was_imported_by_name_before_is_observed(training):
    original, events = training.fit_model, []
    try:
        fit_hooks.install(events.append)
        model = training.fit_model(X, y)
        assert [event.model for event in events] == [model]
        assert training.fit_model.__name__ == "train"
    finally:
        fit_hooks.uninstall()
    assert training.fit_model is original
