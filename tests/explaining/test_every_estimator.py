"""Every classifier and regressor of scikit-learn, and meta-estimators of them."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next import work
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.runtime.isolation import suppress_warnings

IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
NAMES = load_iris().target_names
DIABETES, PROGRESS = load_diabetes(return_X_y=True, as_frame=True)
DIABETES, PROGRESS = (
    DIABETES.iloc[:150, :5] + 1,
    PROGRESS.iloc[:150],
)  # some models reject negative values

TASKS = {
    # As objects: some models do not accept arrays of strings.
    "binary, strings": (IRIS, np.where(SPECIES > 0, "yes", "no").astype(object)),
    "three classes, strings": (IRIS, NAMES[SPECIES].astype(object)),
    "three classes, 10 20 30": (IRIS, (SPECIES.to_numpy() + 1) * 10),
    "booleans": (IRIS, SPECIES.to_numpy() > 0),
}
TWO_LABELS = (IRIS, np.column_stack([NAMES[SPECIES], np.where(SPECIES > 0, "yes", "no")]))
YES_NO = (IRIS, np.column_stack([SPECIES == 0, SPECIES > 1]).astype(int))
TWO_NUMBERS = (DIABETES, np.column_stack([PROGRESS, np.sqrt(PROGRESS)]))


NEEDY = {
    "ClassifierChain",
    "HalvingRandomSearchCV",
    "RandomizedSearchCV",
    "RegressorChain",
    "SelfTrainingClassifier",
}
"""Their constructors have a default that `fit` does not accept."""

NOT_FOR = {
    "ClassifierChain": set(TASKS),
    "MultiOutputClassifier": set(TASKS),
    "FixedThresholdClassifier": {"three classes, strings", "three classes, 10 20 30"},
    "TunedThresholdClassifierCV": {"three classes, strings", "three classes, 10 20 30"},
    "CCA": {"one target"},
    "PLSCanonical": {"one target"},
    "PLSSVD": {"one target"},
    "IsotonicRegression": {"one target"},
    "MultiOutputRegressor": {"one target"},
    "MultiTaskElasticNet": {"one target"},
    "MultiTaskElasticNetCV": {"one target"},
    "MultiTaskLasso": {"one target"},
    "MultiTaskLassoCV": {"one target"},
    "RegressorChain": {"one target"},
}
"""Tasks that scikit-learn's estimators do not support; few regressors support two targets."""


def made(cls):
    """An estimator with the arguments that its constructor requires."""
    classifier = issubclass(cls, ClassifierMixin)
    base = LogisticRegression(max_iter=500) if classifier else LinearRegression()
    given = {
        "estimator": base,
        "estimators": [("a", base), ("b", clone(base))],
        "param_grid": {"fit_intercept": [True, False]},
        "param_distributions": {"fit_intercept": [True, False]},
        "n_iter": 2,
    }
    wanted = inspect.signature(cls.__init__).parameters.values()
    return cls(
        **{
            p.name: given[p.name]
            for p in wanted
            if p.name in given and (p.default is p.empty or cls.__name__ in NEEDY)
        }
    )


def explained(model, X, y, max_rows=3):
    with suppress_warnings():
        return explain(TrainingContext(model, X, y), Plan(max_rows))


def assert_explained(found, model, X, n_outputs):
    """Check that the values are finite, complete and additive on their scale."""
    shape = (3, X.shape[1]) if n_outputs is None else (n_outputs, 3, X.shape[1])
    assert found.local_values.shape == shape
    assert np.isfinite(found.local_values).all()
    size = np.abs(found.local_values).sum(axis=-1).max()
    assert found.details.additivity_error <= 1e-3 * max(size, 1e-6) + 1e-6
    if found.details.output_scale == "predicted label":
        assert "no scores" in " ".join(found.details.to_json()["notes"])
    if found.method == "shap_permutation":
        assert found.details.sampling_error is not None
        assert "because" in " ".join(found.details.to_json()["notes"])


def cases(kind, tasks):
    for name, cls in all_estimators(type_filter=kind):
        for task in tasks:
            yield pytest.param(cls, task, id=f"{name}-{task}")


CANNOT_PREDICT = {"RadiusNeighborsClassifier"}
"""It finds no neighbours of rows that combine the cells of two rows."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("cls", "task"), cases("classifier", TASKS))
def test_every_classifier_is_explained_or_raises_a_reason(cls, task):
    X, y = TASKS[task]
    model = made(cls)
    if task in NOT_FOR.get(cls.__name__, ()):
        with pytest.raises(Exception):  # noqa: B017 - of different types
            model.fit(X, y)
        return
    model.fit(X, y)
    if cls.__name__ in CANNOT_PREDICT:
        with pytest.raises(
            CannotExplainError, match=r"cannot predict rows that mix .*: No neighbors"
        ):
            explained(model, X, y)
        return
    found = explained(model, X, y)
    assert found.classes == tuple(np.unique(y).tolist())
    assert_explained(found, model, X, len(found.classes))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("cls", "task"), cases("regressor", ["one target", "two targets"]))
def test_every_regressor_is_explained(cls, task):
    X, y = (DIABETES, PROGRESS) if task == "one target" else TWO_NUMBERS
    model = made(cls)
    if task in NOT_FOR.get(cls.__name__, ()):
        with pytest.raises(Exception):  # noqa: B017 - of different types
            model.fit(X, y)
        return
    try:
        model.fit(X, y)
    except ValueError:
        if task == "one target":
            raise
        return
    found = explained(model, X, y)
    several = np.ndim(model.predict(X[:1])) == 2
    assert found.targets == (("y0", "y1") if several else None)
    assert_explained(found, model, X, 2 if several else None)


tree = DecisionTreeClassifier(max_depth=3, random_state=0)
grid = {"max_depth": [1, 3]}
MEMBERS = [("nb", GaussianNB()), ("tree", tree)]
NUMBERS = [("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=3, random_state=0))]


class Mine(RandomForestClassifier):
    """A subclass of the user's own."""


META = {
    "GridSearchCV": (GridSearchCV(tree, grid, cv=3), "shap_tree"),
    "RandomizedSearchCV": (RandomizedSearchCV(tree, grid, n_iter=2, cv=3), "shap_tree"),
    "HalvingGridSearchCV": (HalvingGridSearchCV(tree, grid, cv=3), "shap_tree"),
    "HalvingRandomSearchCV": (
        HalvingRandomSearchCV(tree, grid, n_candidates=2, cv=3), "shap_tree",
    ),
    "search of a pipeline": (
        GridSearchCV(make_pipeline(StandardScaler(), tree), {"decisiontreeclassifier__max_depth": [3]}),
        "shap_tree",
    ),
    "FrozenEstimator": (FrozenEstimator(clone(tree).fit(IRIS, NAMES[SPECIES])), "shap_tree"),
    "a frozen last step": (
        make_pipeline(
            StandardScaler().set_output(transform="pandas"),
            FrozenEstimator(clone(tree).fit(IRIS, NAMES[SPECIES])),
        ),
        "shap_tree",
    ),
    "subclass": (Mine(5, random_state=0), "shap_tree"),
    "StackingClassifier": (StackingClassifier(MEMBERS), "shap_permutation"),
    "VotingClassifier, hard": (VotingClassifier(MEMBERS), "shap_permutation"),
    "VotingClassifier, soft": (VotingClassifier(MEMBERS, voting="soft"), "shap_permutation"),
    "CalibratedClassifierCV": (CalibratedClassifierCV(tree, cv=3), "shap_permutation"),
    "TunedThresholdClassifierCV": (
        TunedThresholdClassifierCV(tree, scoring="accuracy"), "shap_permutation",
    ),
    "FixedThresholdClassifier": (FixedThresholdClassifier(tree), "shap_permutation"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", META)
def test_meta_estimators_of_classifiers(name):
    model, method = META[name]
    X, y = TASKS["binary, strings" if "Threshold" in name else "three classes, strings"]
    found = explained(model.fit(X, y), X, y)
    assert found.method == method
    assert_explained(found, model, X, len(found.classes))
    assert np.abs(found.local_values).max() > 0


REGRESSIONS = {
    "TransformedTargetRegressor": (
        TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp), "shap_permutation",
    ),
    "StackingRegressor": (StackingRegressor(NUMBERS), "shap_sum"),
    "VotingRegressor": (VotingRegressor(NUMBERS), "shap_sum"),
}  # fmt: skip


@pytest.mark.parametrize("name", REGRESSIONS)
def test_meta_estimators_of_regressors(name):
    model, method = REGRESSIONS[name]
    found = explained(model.fit(DIABETES, PROGRESS), DIABETES, PROGRESS)
    assert found.method == method
    assert_explained(found, model, DIABETES, None)


@pytest.mark.parametrize(
    ("model", "rows", "method", "n_outputs"),
    [
        (MultiOutputClassifier(tree), TWO_LABELS, "shap_tree", 5),
        (MultiOutputClassifier(LogisticRegression(max_iter=500)), TWO_LABELS, "shap_linear", 5),
        (MultiOutputClassifier(GaussianNB()), TWO_LABELS, "shap_additive", 5),
        (RandomForestClassifier(5, random_state=0), TWO_LABELS, "shap_tree", 5),
        (tree, YES_NO, "shap_tree", 4),
        (ClassifierChain(LogisticRegression(max_iter=500)), YES_NO, "shap_permutation", 4),
        (make_pipeline(StandardScaler(), clone(tree)), TWO_LABELS, "shap_tree", 5),
        (MultiOutputRegressor(Ridge()), TWO_NUMBERS, "shap_linear", 2),
        (MultiOutputRegressor(DecisionTreeRegressor(max_depth=3)), TWO_NUMBERS, "shap_tree", 2),
        (RegressorChain(Ridge()), TWO_NUMBERS, "shap_permutation", 2),
        (TransformedTargetRegressor(Ridge()), TWO_NUMBERS, "shap_linear", 2),
    ],
    ids=str,
)
def test_several_targets(model, rows, method, n_outputs):
    X, y = rows
    model = clone(model).fit(X, y)
    found = explained(model, X, y)
    assert found.method == method
    assert_explained(found, model, X, n_outputs)
    assert found.predicted.shape == found.true_labels.shape == (3, 2)
    # The model of each target gives the values of the target.
    if (
        isinstance(model, (MultiOutputClassifier, MultiOutputRegressor))
        and method != "shap_permutation"
    ):
        first = model.estimators_[0]
        alone = explained(first, X, y[:, 0])
        size = 1 if alone.classes is None else len(alone.classes)
        np.testing.assert_allclose(
            found.local_values[:size].reshape(alone.local_values.shape), alone.local_values
        )


@pytest.mark.parametrize(
    ("model", "method", "scale"),
    [
        (IsolationForest(n_estimators=5, random_state=0), "shap_tree", "average path length"),
        (
            make_pipeline(StandardScaler(), IsolationForest(n_estimators=5, random_state=0)),
            "shap_tree",
            "average path length",
        ),
        (OneClassSVM(), "shap_product_kernel", "decision function"),
        (LocalOutlierFactor(novelty=True), "shap_permutation", "decision function"),
    ],
    ids=str,
)
def test_outlier_detectors(model, method, scale):
    found = explained(model.fit(DIABETES.to_numpy()), DIABETES.to_numpy(), None)
    assert found.method == method
    assert found.details.output_scale == scale
    assert_explained(found, model, DIABETES, None)


@pytest.mark.parametrize("model", [DummyClassifier(), DummyRegressor()], ids=str)
def test_a_note_marks_a_constant_model(model):
    found = explained(model.fit(IRIS, SPECIES), IRIS, SPECIES)
    assert not found.local_values.any()
    assert "does not change with its features" in " ".join(found.details.to_json()["notes"])


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(NAMES[SPECIES]),
        pd.Series(NAMES[SPECIES], dtype="category"),
        pd.Series(NAMES[SPECIES], dtype="string"),
        pd.DataFrame({"species": NAMES[SPECIES]}),
        list(NAMES[SPECIES]),
    ],
    ids=lambda labels: f"{type(labels).__name__} {getattr(labels, 'dtype', '')}",
)
@pytest.mark.filterwarnings("ignore")
def test_labels_of_any_kind(labels):
    found = explained(clone(tree).fit(IRIS, labels), IRIS, labels)
    assert found.classes == ("setosa", "versicolor", "virginica")
    assert [str(label) for label in found.true_labels] == [
        NAMES[SPECIES[i]] for i in IRIS.index if i in _rows(found)
    ]


def _rows(found):
    """The positions of the explained rows, by their cells."""
    known = {tuple(row): i for i, row in enumerate(IRIS.to_numpy().tolist())}
    return {known[tuple(row)] for row in found.evaluation_rows.to_numpy().tolist()}


class Votes(ClassifierMixin, BaseEstimator):
    """A classifier with labels only."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.middle_ = X.to_numpy()[:, 2].mean()
        return self

    def predict(self, X):
        return self.classes_[(np.asarray(X)[:, 2] > self.middle_).astype(int)]


def test_a_custom_classifier_without_scores_is_explained_by_its_labels():
    X, y = TASKS["binary, strings"]
    model = Votes().fit(X, y)
    found = explained(model, X, y)
    assert found.details.output_scale == "predicted label"
    assert_explained(found, model, X, 2)
    assert np.flatnonzero(found.global_values).tolist() == [2]
