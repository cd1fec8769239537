"""Section 4: XGBoost, LightGBM and CatBoost, with and without categorical columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.covering import data, estimators
from benchmarks.covering.case import Case, Fitted, Missing
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

Source = Callable[[], tuple[pd.DataFrame, Any]]
_TREES = 50


def _missing_cells() -> tuple[pd.DataFrame, Any]:
    X, y = data.diabetes()
    return X.mask(np.random.default_rng(0).random(X.shape) < 0.1), y


def _categories() -> tuple[pd.DataFrame, Any]:
    X, y = data.diamonds()
    return X.astype(dict.fromkeys(data.TEXTS, "category")), y


def _category_classes() -> tuple[pd.DataFrame, Any]:
    X, species = data.penguins(complete=False)
    codes = np.unique(species, return_inverse=True)[1]
    return X.astype({"island": "category", "sex": "category"}), codes


def _category_names() -> tuple[pd.DataFrame, Any]:
    X, species = data.penguins(complete=False)
    return X.astype({"island": "category", "sex": "category"}), species


def _cat_texts() -> tuple[pd.DataFrame, Any]:
    X, species = data.penguins()
    return X, species


_SOURCES: dict[str, tuple[str, Source]] = {
    "binary": ("Classifier", data.cancer),
    "3 classes": ("Classifier", data.wine),
    "2 string labels": ("Classifier", estimators.LABELS["2 string labels"]),
    "3 string labels": ("Classifier", estimators.LABELS["3 string labels"]),
    "regression": ("Regressor", data.diabetes),
    "regression, missing cells": ("Regressor", _missing_cells),
    "regression, two targets": ("Regressor", data.linnerud),
}


def _plain(package: str, name: str, options: dict[str, Any], source: Source) -> Fitted:
    model = _class(package, name)(**options)
    X, y = source()
    return Fitted(model.fit(X, y), X)


def _class(package: str, name: str) -> Any:
    try:
        return getattr(import_module(package), name)
    except ImportError as error:
        raise Missing(package) from error


def _cat(kind: str, source: Source, columns: list[str]) -> Fitted:
    model = _class("catboost", f"CatBoost{kind}")(**_CATBOOST)
    X, y = source()
    return Fitted(model.fit(X, y, cat_features=columns), X)


def _pipeline(package: str, name: str, options: dict[str, Any]) -> Fitted:
    model = _class(package, name)(**options)
    X, y = data.diamonds()
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), data.TEXTS), remainder="passthrough"
    )
    return Fitted(make_pipeline(encoder, model).fit(X, y), X)


def _search(package: str, name: str, options: dict[str, Any]) -> Fitted:
    X, y = data.diabetes()
    search = GridSearchCV(_class(package, name)(**options), {"max_depth": [2, 3]}, cv=3)
    return Fitted(search.fit(X, y), X)


def _multi(package: str, name: str, options: dict[str, Any]) -> Fitted:
    X, y = data.linnerud()
    if package == "lightgbm":  # its default makes no split of 20 rows
        options = {**options, "min_child_samples": 3}
    return Fitted(MultiOutputRegressor(_class(package, name)(**options)).fit(X, y), X)


def _early(package: str, name: str, options: dict[str, Any]) -> Fitted:
    X, y = data.diabetes()
    model = _class(package, name)(**options)
    return Fitted(model.fit(X[:150], y[:150], eval_set=[(X[150:], y[150:])]), X[:150])


def _numpy(package: str, name: str, options: dict[str, Any]) -> Fitted:
    X, y = data.diabetes()
    cells = X.to_numpy(dtype=np.float32)
    return Fitted(_class(package, name)(**options).fit(cells, y), cells)


def _native_xgboost() -> Fitted:
    X, y = data.diabetes()
    matrix = _class("xgboost", "DMatrix")(X, label=y)
    return Fitted(_class("xgboost", "train")({"max_depth": 3}, matrix, 20), X)


def _native_lightgbm() -> Fitted:
    X, y = data.diabetes()
    dataset = _class("lightgbm", "Dataset")(X, label=y)
    return Fitted(_class("lightgbm", "train")({"verbose": -1}, dataset, 20), X)


def _ranker() -> Fitted:
    X, y = data.wine()
    return Fitted(_class("lightgbm", "LGBMRanker")(**_LIGHTGBM).fit(X, y, group=[100, 78]), X)


_XGBOOST: dict[str, Any] = {"n_estimators": _TREES, "max_depth": 4, "n_jobs": 1}
_LIGHTGBM: dict[str, Any] = {"n_estimators": _TREES, "verbose": -1, "n_jobs": 1}
_CATBOOST: dict[str, Any] = {
    "iterations": _TREES, "verbose": False, "allow_writing_files": False, "thread_count": 1,
}  # fmt: skip
_PACKAGES = (
    ("XGBoost", "xgboost", "XGB{}", _XGBOOST),
    ("LightGBM", "lightgbm", "LGBM{}", _LIGHTGBM),
    ("CatBoost", "catboost", "CatBoost{}", _CATBOOST),
)

_VARIANTS: tuple[tuple[str, str, str, dict[str, Any], Source], ...] = (
    ("XGBoost", "xgboost", "XGBRegressor", {"booster": "gblinear"}, data.diabetes),
    ("XGBoost", "xgboost", "XGBClassifier", {"booster": "gblinear"}, data.wine),
    ("XGBoost", "xgboost", "XGBRegressor", {"booster": "dart"}, data.diabetes),
    ("XGBoost", "xgboost", "XGBRegressor", {"objective": "count:poisson"}, data.diabetes),
    ("XGBoost", "xgboost", "XGBRegressor", {"objective": "reg:gamma"}, data.diabetes),
    ("XGBoost", "xgboost", "XGBRegressor", {"multi_strategy": "multi_output_tree"}, data.linnerud),
    ("XGBoost", "xgboost", "XGBClassifier", {}, estimators._indicators),
    ("XGBoost", "xgboost", "XGBRFRegressor", {}, data.diabetes),
    ("XGBoost", "xgboost", "XGBRFClassifier", {}, data.wine),
    ("XGBoost", "xgboost", "XGBRegressor", {"enable_categorical": True}, _categories),
    ("XGBoost", "xgboost", "XGBClassifier", {"enable_categorical": True}, _category_classes),
    ("LightGBM", "lightgbm", "LGBMRegressor", {}, _categories),
    ("LightGBM", "lightgbm", "LGBMClassifier", {}, _category_names),
    ("LightGBM", "lightgbm", "LGBMRegressor", {"boosting_type": "dart"}, data.diabetes),
    ("LightGBM", "lightgbm", "LGBMRegressor", {"objective": "poisson"}, data.diabetes),
    ("LightGBM", "lightgbm", "LGBMRegressor", {"linear_tree": True}, data.diabetes),
    ("LightGBM", "lightgbm", "LGBMClassifier",
     {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, data.wine),
    ("CatBoost", "catboost", "CatBoostRegressor", {"loss_function": "Poisson"}, data.diabetes),
    ("CatBoost", "catboost", "CatBoostRegressor", {"loss_function": "MultiRMSE"}, data.linnerud),
    ("CatBoost", "catboost", "CatBoostClassifier",
     {"loss_function": "MultiClassOneVsAll"}, data.wine),
)  # fmt: skip


def _variants() -> Iterator[Case]:
    bases = {"XGBoost": _XGBOOST, "LightGBM": _LIGHTGBM, "CatBoost": _CATBOOST}
    sources: dict[Source, str] = {
        _categories: ", categorical columns",
        _category_classes: ", categorical columns",
        _category_names: ", categorical columns, string labels",
        data.linnerud: ", two targets",
        estimators._indicators: ", two 0/1 labels",
    }
    for title, package, name, options, source in _VARIANTS:
        inside = ", ".join(f"{key}={value!r}" for key, value in options.items())
        label = f"{name}({inside}){sources.get(source, '')}"
        every = {**bases[title], **options}
        if options.get("booster") == "gblinear":
            del every["max_depth"]
        yield Case("Boosters", label, partial(_plain, package, name, every, source))


def cases() -> Iterator[Case]:
    """The three packages on the same tasks, then features that only one of them has."""
    for _, package, pattern, options in _PACKAGES:
        for label, (kind, source) in _SOURCES.items():
            name = pattern.format(kind)
            fit = partial(_plain, package, name, options, source)
            yield Case("Boosters", f"{name}, {label}", fit)
        name = pattern.format("Regressor")
        for label, build in (
            ("behind OneHotEncoder", _pipeline),
            ("in GridSearchCV", _search),
            ("in MultiOutputRegressor", _multi),
            ("with early stopping", _early),
            ("of a float32 array", _numpy),
        ):
            stopping = {"early_stopping_rounds": 5} if build is _early else {}
            if package == "lightgbm":
                stopping = {}
            every = {**options, **stopping}
            yield Case("Boosters", f"{name} {label}", partial(build, package, name, every))
    yield from _variants()
    cats = (("Regressor", data.diamonds, data.TEXTS), ("Classifier", _cat_texts, ["island", "sex"]))
    for kind, source, columns in cats:
        name = f"CatBoost{kind}, text columns as cat_features"
        yield Case("Boosters", name, partial(_cat, kind, source, columns))
    yield Case("Boosters", "xgboost.train (a Booster)", _native_xgboost)
    yield Case("Boosters", "lightgbm.train (a Booster)", _native_lightgbm)
    yield Case("Boosters", "LGBMRanker", _ranker)
