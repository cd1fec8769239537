"""Section 2: searches, ensembles of ensembles, wrappers, and other models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.covering import data, estimators
from benchmarks.covering.case import Case, Fitted
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, RFECV, SelectFromModel
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

Source = Callable[[], tuple[pd.DataFrame, Any]]
_THREE = estimators.LABELS["3 string labels"]
_TWO = estimators.LABELS["2 string labels"]


class OwnClassifier(ClassifierMixin, BaseEstimator):
    """A user's own model: the nearest centroid, without tags of scikit-learn."""

    def fit(self, X: Any, y: Any) -> OwnClassifier:
        """Remember the centroids."""
        self.classes_ = np.unique(y)
        self.centroids_ = np.stack([np.asarray(X)[y == c].mean(axis=0) for c in self.classes_])
        return self

    def predict_proba(self, X: Any) -> Any:
        """Closeness to each centroid."""
        distances = np.linalg.norm(np.asarray(X)[:, None, :] - self.centroids_, axis=2)
        weights = np.exp(-distances)
        return weights / weights.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Any:
        """The closest centroid's class."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class OwnForest(RandomForestClassifier):
    """A user's subclass that changes nothing."""


class ShiftedRidge(Ridge):
    """A user's subclass with another prediction than its parent."""

    def predict(self, X: Any) -> Any:
        """The parent's prediction, squared."""
        return super().predict(X) ** 2


class Duck:
    """A model without any base class."""

    def fit(self, X: Any, y: Any) -> Duck:
        """Remember the mean."""
        self.mean_ = float(np.mean(y)) + float(np.asarray(X).mean())
        return self

    def predict(self, X: Any) -> Any:
        """The mean plus the first column."""
        return self.mean_ + np.asarray(X)[:, 0]


class DuckRegressor(RegressorMixin, Duck):
    """A regressor that is no BaseEstimator."""


def _fit(make: Callable[[], Any], source: Source) -> Fitted:
    X, y = source()
    return Fitted(make().fit(X, y), X)


def _frozen() -> Fitted:
    from sklearn.frozen import FrozenEstimator

    X, y = _THREE()
    model = RandomForestClassifier(20, random_state=0).fit(X, y)
    return Fitted(FrozenEstimator(model), X)


def _calibrated_frozen() -> Fitted:
    from sklearn.frozen import FrozenEstimator

    X, y = _THREE()
    model = FrozenEstimator(RandomForestClassifier(20, random_state=0).fit(X, y))
    return Fitted(CalibratedClassifierCV(model).fit(X, y), X)


def _pair() -> list[tuple[str, Any]]:
    return [
        ("forest", RandomForestClassifier(10, random_state=0)),
        ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
    ]


def _regressors() -> list[tuple[str, Any]]:
    return [("forest", RandomForestRegressor(10, random_state=0)), ("linear", Ridge())]


def _search(**options: Any) -> GridSearchCV:
    return GridSearchCV(SVC(), {"C": [0.1, 1.0]}, cv=3, **options)


_Rows = tuple[tuple[str, Callable[[], Any], Source], ...]

_SEARCHES: _Rows = (
    ("GridSearchCV of a forest",
     lambda: GridSearchCV(RandomForestClassifier(20), {"max_depth": [3, None]}, cv=3), _THREE),
    ("GridSearchCV of SVC", _search, _THREE),
    ("GridSearchCV(refit=False)", partial(_search, refit=False), _THREE),
    ("GridSearchCV(refit='accuracy'), several scores",
     partial(_search, refit="accuracy", scoring=["accuracy", "f1_macro"]), _THREE),
    ("GridSearchCV of a pipeline", lambda: GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0]}, cv=3), _THREE),
    ("Pipeline that ends in GridSearchCV", lambda: make_pipeline(
        StandardScaler(), GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3)), _THREE),
    ("RandomizedSearchCV of HistGradientBoostingRegressor", lambda: RandomizedSearchCV(
        HistGradientBoostingRegressor(max_iter=20), {"max_depth": [2, 3, 4]}, n_iter=2, cv=3,
        random_state=0), data.diabetes),
    ("HalvingGridSearchCV of a tree", lambda: HalvingGridSearchCV(
        DecisionTreeClassifier(random_state=0), {"max_depth": [2, 4]}, cv=3), _THREE),
    ("GridSearchCV of GridSearchCV", lambda: GridSearchCV(
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3),
        {"estimator__fit_intercept": [True, False]}, cv=3), _TWO),
)  # fmt: skip

_ENSEMBLES: _Rows = (
    ("StackingClassifier with a pipeline", lambda: StackingClassifier(_pair(), cv=3), _THREE),
    ("StackingClassifier(passthrough=True)",
     lambda: StackingClassifier(_pair(), cv=3, passthrough=True), _TWO),
    ("StackingRegressor", lambda: StackingRegressor(_regressors(), cv=3), data.diabetes),
    ("VotingClassifier, hard", lambda: VotingClassifier(_pair()), _THREE),
    ("VotingClassifier, soft", lambda: VotingClassifier(_pair(), voting="soft"), _THREE),
    ("VotingRegressor", lambda: VotingRegressor(_regressors()), data.diabetes),
    ("CalibratedClassifierCV of SVC", lambda: CalibratedClassifierCV(SVC(), cv=3), _TWO),
    ("CalibratedClassifierCV of a forest, isotonic", lambda: CalibratedClassifierCV(
        RandomForestClassifier(10), method="isotonic", cv=3), _THREE),
    ("BaggingClassifier of trees, half of the columns", lambda: BaggingClassifier(
        DecisionTreeClassifier(), max_features=0.5, random_state=0), _THREE),
    ("AdaBoostClassifier of trees",
     lambda: AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), random_state=0), _THREE),
    ("GradientBoostingClassifier(init=LogisticRegression())",
     lambda: GradientBoostingClassifier(init=LogisticRegression()), _TWO),
    ("OneVsRestClassifier of forests",
     lambda: OneVsRestClassifier(RandomForestClassifier(10, random_state=0)), _THREE),
    ("TunedThresholdClassifierCV of a forest",
     lambda: TunedThresholdClassifierCV(RandomForestClassifier(10, random_state=0)), _TWO),
    ("TransformedTargetRegressor(log), linear", lambda: TransformedTargetRegressor(
        LinearRegression(), func=np.log, inverse_func=np.exp), data.diabetes),
    ("TransformedTargetRegressor(StandardScaler), forest", lambda: TransformedTargetRegressor(
        RandomForestRegressor(10), transformer=StandardScaler()), data.diabetes),
    ("RFE of LogisticRegression", lambda: RFE(LogisticRegression()), _TWO),
    ("RFECV of a tree", lambda: RFECV(DecisionTreeClassifier(random_state=0), cv=3), _THREE),
)  # fmt: skip

_OUTPUTS: _Rows = (
    ("MultiOutputClassifier of LogisticRegression",
     lambda: MultiOutputClassifier(LogisticRegression(max_iter=2000)), estimators._two_columns),
    ("MultiOutputClassifier of SVC",
     lambda: MultiOutputClassifier(SVC()), estimators._two_columns),
    ("ClassifierChain of LogisticRegression",
     lambda: ClassifierChain(LogisticRegression(max_iter=2000)), estimators._indicators),
    ("MultiOutputRegressor of forests",
     lambda: MultiOutputRegressor(RandomForestRegressor(10)), data.linnerud),
    ("MultiOutputRegressor of HistGradientBoostingRegressor",
     lambda: MultiOutputRegressor(HistGradientBoostingRegressor(min_samples_leaf=3)),
     data.linnerud),
    ("RegressorChain of Ridge", lambda: RegressorChain(Ridge()), data.linnerud),
    ("Pipeline of a scaler and a forest, two targets", lambda: make_pipeline(
        StandardScaler(), RandomForestRegressor(10, random_state=0)), data.linnerud),
    ("GridSearchCV of a forest, two targets", lambda: GridSearchCV(
        RandomForestRegressor(10, random_state=0), {"max_depth": [2, 3]}, cv=3), data.linnerud),
)  # fmt: skip


def _one_class() -> tuple[pd.DataFrame, Any]:
    X, y = _THREE()
    keep = y == "barolo"
    return X[keep], y[keep]


_OTHERS: _Rows = (
    ("IsolationForest", lambda: IsolationForest(n_estimators=50, random_state=0), data.wine),
    ("IsolationForest in a pipeline", lambda: make_pipeline(
        StandardScaler(), IsolationForest(n_estimators=50, random_state=0)), data.wine),
    ("OneClassSVM", OneClassSVM, data.wine),
    ("LocalOutlierFactor(novelty=True)", lambda: LocalOutlierFactor(novelty=True), data.wine),
    ("EllipticEnvelope", lambda: EllipticEnvelope(random_state=0), data.wine),
    ("User's own classifier", OwnClassifier, _THREE),
    ("User's subclass of RandomForestClassifier",
     lambda: OwnForest(20, random_state=0), _THREE),
    ("User's subclass of Ridge with another predict", ShiftedRidge, data.diabetes),
    ("Model without a base class", Duck, data.diabetes),
    ("Regressor that is no BaseEstimator", DuckRegressor, data.diabetes),
    ("DummyClassifier (constant)", DummyClassifier, _THREE),
    ("DummyRegressor (constant)", DummyRegressor, data.diabetes),
    ("Classifier of a single class", lambda: DecisionTreeClassifier(random_state=0), _one_class),
    ("KMeans (a clusterer)", lambda: KMeans(3, random_state=0), data.wine),
    ("Pipeline that ends in KMeans",
     lambda: make_pipeline(StandardScaler(), KMeans(3, random_state=0)), data.wine),
    ("PCA (a transformer)", PCA, data.wine),
    ("SelectFromModel (a transformer)", lambda: SelectFromModel(LogisticRegression()), _THREE),
    ("KNeighborsClassifier(metric='cosine')",
     lambda: KNeighborsClassifier(metric="cosine"), _THREE),
    ("SVC(probability=True)", lambda: SVC(probability=True), _THREE),
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Searches, ensembles, several outputs, and other models."""
    for name, make, source in (*_SEARCHES, *_ENSEMBLES, *_OUTPUTS, *_OTHERS):
        yield Case("Wrappers and other models", name, partial(_fit, make, source))
    yield Case("Wrappers and other models", "FrozenEstimator of a forest", _frozen)
    yield Case(
        "Wrappers and other models", "CalibratedClassifierCV of FrozenEstimator", _calibrated_frozen
    )
