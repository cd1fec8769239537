"""The outermost fit is one event, and fit itself behaves as before."""

from __future__ import annotations

import functools
import gc
import importlib.util
import inspect
import pickle
import subprocess
import sys
import threading
import time
import weakref

import joblib
import mlflow
import numpy as np
import pytest
from sklearn import model_selection
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from mlflow_interpret.autologging import fit_hooks, wrappers
from mlflow_interpret.autologging.libraries import (
    Library,
    register_library,
    registered_libraries,
    unregister_library,
)
from mlflow_interpret.runtime.isolation import suppress_warnings

X, y = load_iris(return_X_y=True, as_frame=True)


NESTED = {
    "search": GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2),
    "search in two processes": GridSearchCV(
        DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2, n_jobs=2
    ),
    "random search": RandomizedSearchCV(
        DecisionTreeClassifier(), {"max_depth": [1, 2]}, n_iter=2, cv=2
    ),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "search in a pipeline": make_pipeline(
        StandardScaler(), GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2)
    ),
    "voting": VotingClassifier([("a", DecisionTreeClassifier()), ("b", LogisticRegression())]),
    "stacking": StackingClassifier([("a", DecisionTreeClassifier())], LogisticRegression(), cv=2),
    "bagging in two jobs": BaggingClassifier(DecisionTreeClassifier(), 4, n_jobs=2),
    "forest in two threads": RandomForestClassifier(4, n_jobs=2),
    "one versus rest": OneVsRestClassifier(LogisticRegression(), n_jobs=2),
    "inherited fit": ExtraTreesClassifier(4),
}
IN_PROCESSES = {"search in two processes", "bagging in two jobs", "one versus rest"}


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, id=name, marks=[pytest.mark.subprocess] * (name in IN_PROCESSES))
        for name, model in NESTED.items()
    ],
)
def test_nested_fits_are_one_event(events, model):
    model = clone(model)
    assert model.fit(X, y) is model
    assert [event.model for event in events] == [model]
    assert events[0].X is X
    assert events[0].y is y


def test_nested_fits_in_joblib_threads_are_one_event(events):
    with joblib.parallel_config(backend="threading", n_jobs=2):
        model = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2).fit(X, y)
    assert [event.model for event in events] == [model]


@pytest.mark.subprocess
def test_cross_validation_is_an_event_without_a_model(events):
    for n_jobs in (None, 2):
        cross_val_score(DecisionTreeClassifier(), X, y, cv=2, n_jobs=n_jobs)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        model_selection.cross_validate(DecisionTreeClassifier(), X, y, cv=2)
    assert [event.name for event in events] == ["cross_val_score"] * 2 + ["cross_validate"]
    assert all("keeps none" in event.unexplained for event in events)
    fit_hooks.uninstall()
    assert cross_val_score is model_selection.cross_val_score


def test_transformers_are_no_events(events):
    StandardScaler().fit(X)
    PCA(2).fit(X)
    make_pipeline(StandardScaler(), PCA(2)).fit(X)
    assert events == []


def test_clusterers_and_outlier_detectors_are_observed_and_distinguished(events):
    models = [
        KMeans(2, n_init=1),
        make_pipeline(StandardScaler(), KMeans(2, n_init=1)),
        IsolationForest(n_estimators=5),
        make_pipeline(StandardScaler(), OneClassSVM()),
        LinearRegression(),
    ]
    for model in models[:-1]:
        model.fit(X)
    models[-1].fit(X, y)
    assert [event.model for event in events] == models
    assert [event.is_clusterer for event in events] == [True, True, False, False, False]
    assert [event.y is None for event in events] == [True, True, True, True, False]
    with fit_hooks.unrecorded():
        KMeans(2, n_init=1).fit(X)
    assert len(events) == len(models)


def test_fits_in_user_threads_are_events_of_their_own(events):
    models = [DecisionTreeClassifier() for _ in range(4)]
    threads = [threading.Thread(target=model.fit, args=(X, y)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id(event.model) for event in events} == {id(model) for model in models}


def test_keyword_arguments_and_fit_parameters_are_passed_on(events):
    weights = np.linspace(1, 2, len(X))
    named = LogisticRegression().fit(y=y, X=X, sample_weight=weights)
    fit_hooks.uninstall()
    plain = LogisticRegression().fit(X, y, weights)
    np.testing.assert_array_equal(named.coef_, plain.coef_)
    assert events[0].X is X
    assert events[0].y is y


def test_a_fit_that_raises_is_not_an_event_and_raises_the_same_error(events):
    with pytest.raises(ValueError, match="negative") as ours:
        DecisionTreeClassifier(min_samples_leaf="negative").fit(X, y)
    fit_hooks.uninstall()
    with pytest.raises(ValueError, match="negative") as theirs:
        DecisionTreeClassifier(min_samples_leaf="negative").fit(X, y)
    assert type(ours.value) is type(theirs.value)
    assert str(ours.value) == str(theirs.value)
    assert events == []


def test_signature_documentation_and_pickle_are_unchanged():
    before = inspect.signature(RandomForestClassifier.fit), RandomForestClassifier.fit.__doc__
    model = LogisticRegression().fit(X, y)
    plain = pickle.dumps(model)
    original = RandomForestClassifier.fit
    fit_hooks.install(lambda event: None)
    try:
        after = inspect.signature(RandomForestClassifier.fit), RandomForestClassifier.fit.__doc__
        assert RandomForestClassifier.fit is not original
        assert before == after
        assert pickle.dumps(LogisticRegression().fit(X, y)) == plain
    finally:
        fit_hooks.uninstall()
    assert RandomForestClassifier.fit is original


def test_uninstall_restores_the_fit_of_every_class():
    def fits():
        return {cls: cls.__dict__.get("fit") for cls in wrappers.subclasses(BaseEstimator)}

    fit_hooks.install(lambda event: None)  # imports all of scikit-learn's classes
    fit_hooks.uninstall()
    before, subclassing = fits(), BaseEstimator.__init_subclass__.__func__
    fit_hooks.install(lambda event: None)
    fit_hooks.install(lambda event: None)
    assert sum(before[cls] is not fit for cls, fit in fits().items()) > 50
    fit_hooks.uninstall()
    after = fits()
    assert {cls for cls in before if after[cls] is not before[cls]} == set()
    assert BaseEstimator.__init_subclass__.__func__ is subclassing


def test_classes_defined_later_are_observed(events):
    class Majority(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_, counts = np.unique(y, return_counts=True)
            self.best_ = self.classes_[counts.argmax()]
            self.inner_ = DecisionTreeClassifier().fit(X, y)
            return self

        def predict(self, X):
            return np.full(len(X), self.best_)

    model = Majority().fit(X, y)
    assert [event.model for event in events] == [model]


def test_a_class_pickled_by_value_carries_no_state_of_this_package(events):
    cloudpickle = pytest.importorskip("cloudpickle")
    namespace = {"__name__": "__main__"}
    code = (
        "from sklearn.linear_model import LinearRegression\n"
        "class Own(LinearRegression):\n"
        "    def fit(self, X, y):\n"
        "        return super().fit(X, y)\n"
    )
    exec(code, namespace)
    model = namespace["Own"]().fit(X, y)
    copy = cloudpickle.loads(cloudpickle.dumps(model))
    copy.fit(X, y)
    assert len(events) == 2


@pytest.mark.parametrize("order", ["ours first", "theirs first", "theirs again", "theirs off"])
def test_a_fit_is_observed_by_both_autologgers_in_any_order_of_calls(order, store):
    events = []
    install = lambda: fit_hooks.install(events.append)  # noqa: E731
    theirs = lambda: mlflow.sklearn.autolog(log_models=False, max_tuning_runs=3)  # noqa: E731
    try:
        for call in {
            "ours first": [install, theirs],
            "theirs first": [theirs, install],
            "theirs again": [theirs, install, theirs, install],
            "theirs off": [theirs, install, lambda: mlflow.sklearn.autolog(disable=True)],
        }[order]:
            call()
        model = LinearRegression().fit(X, y)
        assert [event.model for event in events] == [model]
        logged = mlflow.last_active_run() if order != "theirs off" else None
        if logged is not None:
            assert logged.data.params["fit_intercept"] == "True"
            assert "training_score" in logged.data.metrics
            settings = mlflow.utils.autologging_utils.AUTOLOGGING_INTEGRATIONS["sklearn"]
            assert settings["max_tuning_runs"] == 3
        fit_hooks.uninstall()
        LinearRegression().fit(X, y)
        assert len(events) == 1
    finally:
        fit_hooks.uninstall()
        mlflow.sklearn.autolog(disable=True)


def test_mlflow_still_knows_that_autolog_was_global(store):
    mlflow.autolog(log_models=False, silent=True)
    try:
        key = mlflow.utils.autologging_utils.AUTOLOGGING_CONF_KEY_IS_GLOBALLY_CONFIGURED
        settings = mlflow.utils.autologging_utils.AUTOLOGGING_INTEGRATIONS
        assert settings["sklearn"].get(key) is True
        fit_hooks.install(lambda event: None)
        assert settings["sklearn"].get(key) is True
    finally:
        fit_hooks.uninstall()
        mlflow.autolog(disable=True, silent=True)


class Plain(LinearRegression):
    @functools.wraps(LinearRegression.fit)
    def fit(self, X, y, sample_weight=None):
        self.own_ = True
        return super().fit(X, y, sample_weight)


def test_a_fit_with_the_attributes_of_its_parent_is_restored():
    """functools.wraps copies all attributes of the parent's fit."""
    fit_hooks.install(lambda event: None)
    try:

        class Later(LinearRegression):
            @functools.wraps(LinearRegression.fit)
            def fit(self, X, y, sample_weight=None):
                self.own_ = True
                return super().fit(X, y, sample_weight)

    finally:
        fit_hooks.uninstall()
    assert Later().fit(X, y).own_
    assert Plain().fit(X, y).own_


def test_rows_and_labels_of_a_fit_with_star_arguments(events):
    class Stars(LinearRegression):
        def fit(self, *args, **kwargs):
            return super().fit(*args, **kwargs)

    Stars().fit(X, y)
    Stars().fit(y=y, X=X)
    Stars().fit(X, y=y)
    assert all(event.X is X and event.y is y for event in events)
    assert len(events) == 3


def test_a_class_that_cannot_be_observed_can_be_defined(events):
    class Frozen(type(BaseEstimator)):
        def __setattr__(cls, name, value):
            raise AttributeError("this class does not change")

    class Fixed(BaseEstimator, metaclass=Frozen):
        def fit(self, X, y):
            return self

    assert Fixed().fit(X, y)


def test_an_event_shows_whether_fit_changed_its_rows_in_place(events):
    rows = X.to_numpy().copy()
    make_pipeline(StandardScaler(copy=False), LinearRegression()).fit(rows, y)
    make_pipeline(StandardScaler(), LinearRegression()).fit(rows, y)
    assert [event.rows_changed for event in events] == [True, False]


def test_no_reference_to_the_model_is_kept(events):
    model = LinearRegression().fit(X.copy(), y)
    watched = weakref.ref(model)
    events.clear()
    del model
    gc.collect()
    assert watched() is None


def elsewhere():
    """A fresh hierarchy of classes that are no scikit-learn estimators."""

    class Base:
        def fit(self, X, y):
            self.inner_ = LinearRegression().fit(X, y)
            return self

        def predict(self, X):
            return self.inner_.predict(X)

    class Inherits(Base):
        pass

    class Overrides(Inherits):
        def fit(self, X, y):
            super().fit(X, y)
            self.done_ = True
            return self

    return Base, Inherits, Overrides


def test_classes_of_the_option_are_observed_with_their_subclasses():
    Base, Inherits, Overrides = elsewhere()
    events = []
    before = [dict(vars(cls)) for cls in (Base, Inherits, Overrides)]
    try:
        fit_hooks.install(events.append, [Inherits])

        class Later(Inherits):
            def fit(self, X, y):
                super().fit(X, y)
                self.done_ = True
                return self

        models = [Inherits(), Overrides(), Later()]
        for model in models:
            assert model.fit(X, y) is model
        assert [event.model for event in events] == models
        assert all(event.X is X and event.y is y and not event.is_clusterer for event in events)
        assert "fit" not in vars(Inherits)
        events.clear()
        other = Base().fit(X, y)  # not in the option, so the fit inside is the user's own
        assert [event.model for event in events] == [other.inner_]
    finally:
        fit_hooks.uninstall()
    assert [dict(vars(cls)) for cls in (Base, Inherits, Overrides)] == before
    Later().fit(X, y)
    assert len(events) == 1


def test_a_later_call_without_the_option_restores_its_classes():
    Base, *_ = elsewhere()
    original, events = Base.fit, []
    try:
        fit_hooks.install(events.append, [Base])
        assert Base.fit is not original
        fit_hooks.install(events.append)
        assert Base.fit is original
        assert "__init_subclass__" not in vars(Base)
        model = LinearRegression().fit(X, y)
        assert [event.model for event in events] == [model]
    finally:
        fit_hooks.uninstall()


def test_init_subclass_of_an_observed_class_still_works():
    known = []

    class Registry:
        def __init_subclass__(cls, /, label=None, **kwargs):
            super().__init_subclass__(**kwargs)
            known.append(label)

        def fit(self, X, y):
            return self

        def predict(self, X):
            return np.zeros(len(X))

    before = vars(Registry)["__init_subclass__"]
    events = []
    try:
        fit_hooks.install(events.append, [Registry])

        class One(Registry, label="one"):
            def fit(self, X, y):
                return self

        model = One().fit(X, y)
        assert [event.model for event in events] == [model]
    finally:
        fit_hooks.uninstall()
    assert vars(Registry)["__init_subclass__"] is before
    assert known == ["one"]


def test_a_class_of_the_option_that_cannot_be_observed_is_a_warning(caplog):
    class Odd:
        fit = functools.partial(print)

        def predict(self, X):
            return X

    try:
        fit_hooks.install(lambda event: None, [Odd])
    finally:
        fit_hooks.uninstall()
    assert "The fits of Odd cannot be observed" in caplog.text


UNPICKLE = """
import pickle, sys
sys.modules["mlflow_interpret"] = None  # as where it is not installed
model = pickle.loads(sys.stdin.buffer.read())
class Sub(type(model)):
    pass
assert Sub().fit([[0.0]], [1.0]).fitted_
"""


def test_an_observed_class_pickled_by_value_works_without_this_package():
    cloudpickle = pytest.importorskip("cloudpickle")
    namespace = {"__name__": "__main__"}
    code = (
        "class Own:\n"
        "    def fit(self, X, y):\n"
        "        self.fitted_ = True\n"
        "        return self\n"
        "    def predict(self, X):\n"
        "        return X\n"
    )
    exec(code, namespace)
    events = []
    try:
        fit_hooks.install(events.append, [namespace["Own"]])
        data = cloudpickle.dumps(namespace["Own"]())
        namespace["Own"]().fit(X, y)
    finally:
        fit_hooks.uninstall()
    assert len(events) == 1
    done = subprocess.run([sys.executable, "-c", UNPICKLE], input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


BOOSTERS = [
    ("xgboost", "XGB", {"n_estimators": 2, "n_jobs": 1}),
    ("lightgbm", "LGBM", {"n_estimators": 2, "n_jobs": 1, "verbose": -1}),
    (
        "catboost",
        "CatBoost",
        {"iterations": 2, "thread_count": 1, "verbose": False, "allow_writing_files": False},
    ),
]


@pytest.mark.parametrize(("package", "prefix", "settings"), BOOSTERS)
def test_boosters_are_observed(package, prefix, settings, events):
    module = pytest.importorskip(package)
    classifier, regressor = (getattr(module, f"{prefix}{k}") for k in ("Classifier", "Regressor"))

    class Own(regressor):
        def fit(self, X, y=None, **kwargs):
            return super().fit(X, y, **kwargs)

    models = [classifier(**settings), regressor(**settings), Own(**settings)]
    for model in models:
        model.fit(X, y)
    search = GridSearchCV(classifier(**settings), {"max_depth": [1, 2]}, cv=2).fit(X, y)
    assert [event.model for event in events] == [*models, search]
    assert all(event.X is X and event.y is y for event in events)
    fit_hooks.uninstall()
    classifier(**settings).fit(X, y)
    Own(**settings).fit(X, y)
    assert len(events) == 4


IMPORTED_LATER = """
import importlib, sys
from mlflow_interpret.autologging import fit_hooks
events = []
for package, prefix, settings in {boosters}:
    fit_hooks.install(events.append)
    assert package not in sys.modules, package
    Model = getattr(importlib.import_module(package), prefix + "Classifier")
    model = Model(**settings).fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
    assert [event.model for event in events] == [model], (package, events)
    wrapped = Model.fit
    fit_hooks.uninstall()
    assert Model.fit is not wrapped, package
    Model(**settings).fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
    assert len(events) == 1, package
    events.clear()
"""


def test_boosters_that_are_imported_later_are_observed():
    installed = [booster for booster in BOOSTERS if importlib.util.find_spec(booster[0])]
    if not installed:
        pytest.skip("no booster is installed")
    code = IMPORTED_LATER.format(boosters=installed)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_error_while_observing_does_not_break_an_import(events, monkeypatch):
    def broken(cls, method):
        raise AssertionError("a bug")

    monkeypatch.setattr(wrappers, "wrap_hierarchy", broken)
    library = next(entry for entry in registered_libraries() if entry.module == "sklearn.base")
    fit_hooks._is_imported(library, None)


def test_an_event_holds_the_duration_of_the_fit(events):
    class Sleeper(LinearRegression):
        def fit(self, X, y):
            begin = time.monotonic()
            time.sleep(0.05)
            self.slept = time.monotonic() - begin
            return super().fit(X, y)

    begin = time.monotonic()
    model = Sleeper().fit(X, y)
    assert model.slept <= events[0].seconds <= time.monotonic() - begin


TOY = """
from mlflow_interpret.autologging.libraries import Library, register_library

class Booster:
    def __init__(self, rounds):
        self.rounds = rounds

class Dataset:
    def __init__(self, rows, label):
        self.rows, self.label = rows, label

def train(params, data, rounds=1):
    if params.get("nested"):
        train({}, data)
    return Booster(rounds)

class Ranker:
    def partial_fit(self, X, y, group):
        return self

register_library(
    Library(
        "toy_library",
        functions=("train",),
        is_model=lambda model: isinstance(model, Booster),
        training_data=lambda call: (call.args[1].rows, call.args[1].label),
        trained_model=lambda call, result: result,
    )
)
register_library(Library("toy_library", ("Ranker",), method="partial_fit"))
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A library in one file that registers itself; it is imported after the hooks are installed."""
    (tmp_path / "toy_library.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    before = registered_libraries()
    yield importlib.import_module("toy_library")
    for library in registered_libraries():
        if library not in before:
            unregister_library(library)
    del sys.modules["toy_library"]


def test_a_library_is_one_entry(toy, request):
    original = toy.train
    events = request.getfixturevalue("events")
    assert inspect.signature(toy.train) == inspect.signature(original)
    assert pickle.loads(pickle.dumps(toy.train)) is toy.train
    booster = toy.train({"nested": True}, toy.Dataset(X, y), rounds=3)
    ranker = toy.Ranker().partial_fit(X, y, group=[len(X)])
    assert [event.model for event in events] == [booster, ranker]
    assert all(event.X is X and event.y is y for event in events)
    assert booster.rounds == 3
    with pytest.raises(TypeError):
        toy.train()
    fit_hooks.uninstall()
    assert toy.train is original
    toy.Ranker().partial_fit(X, y, group=[len(X)])
    assert len(events) == 2


def test_a_library_may_be_imported_after_the_hooks_are_installed(tmp_path, monkeypatch):
    (tmp_path / "late_library.py").write_text("def train(rows, label):\n    return object()\n")
    monkeypatch.syspath_prepend(tmp_path)
    library = Library(
        "late_library", functions=("train",), trained_model=lambda call, result: result,
        training_data=lambda call: call.args,
    )  # fmt: skip
    register_library(library)
    events = []
    try:
        fit_hooks.install(events.append)
        model = importlib.import_module("late_library").train(X, y)
        assert [event.model for event in events] == [model]
    finally:
        fit_hooks.uninstall()
        unregister_library(library)
        sys.modules.pop("late_library", None)


def test_fits_in_threads_that_explaining_starts_are_not_the_user_s(events):
    with suppress_warnings():
        thread = threading.Thread(target=LinearRegression().fit, args=(X, y))
        thread.start()
        thread.join()
    assert events == []
