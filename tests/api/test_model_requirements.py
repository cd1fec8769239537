"""The packages of a model are those of all of its parts."""

from __future__ import annotations

from importlib import metadata

import pytest
from sklearn.ensemble import StackingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from explained_runs import DIABETES, PROGRESSION
from mlflow_interpret.api.explainable_model import _requirements
from mlflow_interpret.api.model_requirements import requirements_of

ROWS, LABELS = DIABETES[:60], PROGRESSION[:60]


def booster(package, name, **options):
    return getattr(pytest.importorskip(package), name)(**options)


def xgboost():
    return booster("xgboost", "XGBRegressor", n_estimators=2)


def lightgbm():
    return booster("lightgbm", "LGBMRegressor", n_estimators=2, verbose=-1)


def share(rows):
    import scipy.special

    return scipy.special.expit(rows)


share.__module__ = "__main__"  # pickled by value


CASES = {
    "pipeline": (lambda: make_pipeline(StandardScaler(), xgboost()), {"xgboost", "scikit-learn"}),
    "ensemble": (
        lambda: StackingRegressor([("a", lightgbm()), ("b", Ridge())], LinearRegression(), cv=2),
        {"lightgbm", "scikit-learn"},
    ),
    "base class": (lightgbm, {"lightgbm", "scikit-learn"}),
    "function": (
        lambda: make_pipeline(FunctionTransformer(share), Ridge()), {"scikit-learn"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_packages_of_all_parts(name):
    make, expected = CASES[name]
    versions = requirements_of(make().fit(ROWS, LABELS))
    assert expected <= versions.keys()
    assert versions["scikit-learn"] == metadata.version("scikit-learn")
    others = {"xgboost", "lightgbm", "catboost"} - expected
    assert not others & versions.keys()


def test_an_object_that_cannot_be_pickled_has_the_package_of_its_class():
    model = Ridge()
    model.generator_ = (number for number in range(3))
    assert "scikit-learn" in requirements_of(model)


def test_requirements_name_each_package_once():
    model = make_pipeline(StandardScaler(), xgboost()).fit(ROWS, LABELS)
    names = [requirement.partition("==")[0] for requirement in _requirements(model, "sklearn")]
    assert len(names) == len(set(names))
    assert {"mlflow-interpret", "mlflow", "scikit-learn", "xgboost"} <= set(names)
