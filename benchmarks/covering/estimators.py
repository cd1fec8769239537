"""Section 1: every classifier and regressor of scikit-learn, with string, int and bool labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.covering import data
from benchmarks.covering.case import Case, Fitted
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators, get_tags

_TWO = np.array(["benign", "malignant"], dtype=object)
_THREE = np.array(["barbera", "barolo", "grignolino"], dtype=object)

LABELS: dict[str, Callable[[], tuple[pd.DataFrame, Any]]] = {}


def _labelled(
    source: Callable[[], tuple[pd.DataFrame, Any]], labels: Any
) -> tuple[pd.DataFrame, Any]:
    X, y = source()
    return X, np.asarray(labels)[y]


LABELS["2 string labels"] = partial(_labelled, data.cancer, _TWO)
LABELS["3 string labels"] = partial(_labelled, data.wine, _THREE)
LABELS["labels 10, 20"] = partial(_labelled, data.cancer, [10, 20])
LABELS["labels 10, 20, 30"] = partial(_labelled, data.wine, [10, 20, 30])
LABELS["labels False, True"] = partial(_labelled, data.cancer, [False, True])


def _ensemble(kind: str) -> dict[str, Any]:
    pair: list[tuple[str, Any]] = (
        [("linear", LogisticRegression()), ("tree", DecisionTreeClassifier(max_depth=4))]
        if kind == "classifier"
        else [("linear", Ridge()), ("forest", RandomForestRegressor(10, random_state=0))]
    )
    return {"estimators": pair}


# What the estimators cannot do without, and where a default makes the model constant or NaN.
_ARGUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    **dict.fromkeys(
        (
            "ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier",
            "OneVsOneClassifier", "OneVsRestClassifier", "OutputCodeClassifier",
            "SelfTrainingClassifier", "TunedThresholdClassifierCV",
        ),
        lambda: {"estimator": LogisticRegression()},
    ),
    **dict.fromkeys(
        ("MultiOutputRegressor", "RegressorChain"), lambda: {"estimator": Ridge()}
    ),
    **dict.fromkeys(
        ("StackingClassifier", "VotingClassifier"), partial(_ensemble, "classifier")
    ),
    **dict.fromkeys(("StackingRegressor", "VotingRegressor"), partial(_ensemble, "regressor")),
    "CCA": lambda: {"n_components": 1},
    "PLSCanonical": lambda: {"n_components": 1},
    "PLSRegression": lambda: {"n_components": 1},
    "QuadraticDiscriminantAnalysis": lambda: {"reg_param": 0.1},
    "QuantileRegressor": lambda: {"alpha": 0.01},
    "RadiusNeighborsClassifier": lambda: {"radius": 5.0, "outlier_label": "most_frequent"},
    "RadiusNeighborsRegressor": lambda: {"radius": 5.0},
}  # fmt: skip


def _make(name: str, cls: Any) -> Any:
    model = cls(**_ARGUMENTS.get(name, dict)())
    if "random_state" in model.get_params(deep=False):
        model.set_params(random_state=0)
    return model


def _suited(name: str, model: Any, X: pd.DataFrame) -> pd.DataFrame:
    """``X`` as the estimator wants it: not negative, in categories, or a single column."""
    if name == "IsotonicRegression":
        return X.iloc[:, [2]]
    if name == "CategoricalNB":
        bins = KBinsDiscretizer(4, encode="ordinal", strategy="uniform")
        return pd.DataFrame(bins.fit_transform(X).astype(int), columns=X.columns)
    if get_tags(model).input_tags.positive_only:
        return pd.DataFrame(MinMaxScaler().fit_transform(X), columns=X.columns)
    return X


def _fit(name: str, cls: Any, source: Callable[[], tuple[pd.DataFrame, Any]]) -> Fitted:
    X, y = source()
    model = _make(name, cls)
    X = _suited(name, model, X)
    return Fitted(model.fit(X, y), X)


def _two_columns() -> tuple[pd.DataFrame, Any]:
    X, species = data.penguins()
    labels = np.column_stack([species, X["sex"].to_numpy(dtype=object)])
    return X.select_dtypes("float"), labels


def _indicators() -> tuple[pd.DataFrame, Any]:
    X, labels = _two_columns()
    return X, np.column_stack([labels[:, 0] == "Gentoo", labels[:, 1] == "male"]).astype(int)


def _multi_output(name: str, cls: Any) -> bool:
    tags = get_tags(_make(name, cls))
    labels = tags.classifier_tags
    return bool(tags.target_tags.multi_output or (labels and labels.multi_label))


def cases() -> Iterator[Case]:
    """Every (estimator, kind of labels) pair."""
    classifiers = all_estimators(type_filter="classifier")
    regressors = all_estimators(type_filter="regressor")
    for kind, source in LABELS.items():
        for name, cls in classifiers:
            yield Case(f"Classifiers, {kind}", name, partial(_fit, name, cls, source))
    for name, cls in regressors:
        yield Case("Regressors", name, partial(_fit, name, cls, data.diabetes))
    for kind, source in (("string labels", _two_columns), ("0/1 labels", _indicators)):
        for name, cls in classifiers:
            if _multi_output(name, cls):
                section = f"Two outputs: classifiers, {kind}"
                yield Case(section, name, partial(_fit, name, cls, source))
    yield Case(
        "Two outputs: classifiers, 0/1 labels",
        "OneVsRestClassifier of forests",
        partial(_one_vs_rest, RandomForestClassifier(10, random_state=0)),
    )
    for name, cls in regressors:
        if _multi_output(name, cls):
            yield Case("Two outputs: regressors", name, partial(_fit, name, cls, data.linnerud))


def _one_vs_rest(base: Any) -> Fitted:
    from sklearn.multiclass import OneVsRestClassifier

    X, y = _indicators()
    return Fitted(OneVsRestClassifier(base).fit(X, y), X)
