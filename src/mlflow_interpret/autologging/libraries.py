"""Libraries whose training calls are observed.

A library is one `Library` entry, added by `register_library`. Nothing else names a library.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from mlflow_interpret.autologging.training_arguments import (
    Call,
    instance_of,
    result_of,
    x_and_y,
)


@dataclass(frozen=True)
class Library:
    """A library's classes or functions that train models.

    Attributes:
        module: The module that is imported before its models are trained.
        classes: Classes, or their paths below ``module`` as ``"base.BaseEstimator"``. Their
            subclasses are observed, too. Missing ones are ignored.
        functions: Names of functions of ``module`` that train, as ``"train"``.
        method: The method of ``classes`` that trains.
        is_model: Whether an object is a model to explain.
        is_clusterer: Whether a model is a clusterer, which predicts no target.
        training_data: Rows and labels of a call, read before it trains.
        trained_model: The model of a call and its result.
        unexplained: Why an object that is no model is not explained, as a verb and its object:
            "trains no model"; None for objects such as transformers, of which nobody expects it.
        is_incremental: The method trains a model further with a batch of rows. The model is
            explained once, when all batches are trained.
        prepare: Called before classes and functions are looked up the first time.
        trains_others: Code of this library trains models of others, also in worker threads. Such
            calls are not the user's.
    """

    module: str
    classes: tuple[type | str, ...] = ()
    functions: tuple[str, ...] = ()
    method: str = "fit"
    is_model: Callable[[Any], bool] = lambda _: True
    is_clusterer: Callable[[Any], bool] = lambda _: False
    training_data: Callable[[Call], tuple[Any, Any]] = x_and_y
    trained_model: Callable[[Call, Any], Any] = instance_of
    unexplained: Callable[[Any], str | None] = lambda _: None
    is_incremental: bool = False
    prepare: Callable[[], None] | None = None
    trains_others: bool = False

    def is_imported(self) -> bool:
        """Whether the module is imported; no library is imported to observe it."""
        return self.module in sys.modules

    def observed_classes(self) -> tuple[type, ...]:
        """The classes that exist in the imported module."""
        classes = (self._class(entry) for entry in self.classes)
        return tuple(cls for cls in classes if cls is not None)

    def _class(self, entry: type | str) -> type | None:
        if isinstance(entry, type):
            return entry
        try:
            cls: type = attrgetter(entry)(sys.modules[self.module])
        except (KeyError, AttributeError):
            return None
        return cls


_libraries: list[Library] = []


def register_library(library: Library) -> Library:
    """Observe a library from the next call of `autolog` on.

    Args:
        library: The entry. One with the same module and method replaces an earlier one.
    """
    key = (library.module, library.method, library.functions)
    _libraries[:] = [
        entry for entry in _libraries if (entry.module, entry.method, entry.functions) != key
    ]
    _libraries.append(library)
    return library


def unregister_library(library: Library) -> None:
    """Forget an entry of `register_library`."""
    _libraries.remove(library)


def registered_libraries() -> tuple[Library, ...]:
    """All entries, in the order of their registration."""
    return tuple(_libraries)


_OTHER_METHODS = ("fit_predict", "fit_transform")  # train a model and return something else


def named_classes(classes: tuple[type, ...]) -> tuple[Library, ...]:
    """The entries of classes that the user names; all of their objects are models."""
    return (
        *(Library("builtins", classes, method=method) for method in ("fit", *_OTHER_METHODS)),
        Library("builtins", classes, method="partial_fit", is_incremental=True),
    )


# scikit-learn and libraries that follow it --------------------------------------------------------


def _sklearn_kind(*kinds: str) -> Callable[[Any], bool]:
    def is_of_kind(model: Any) -> bool:
        base = importlib.import_module("sklearn.base")
        tests = [getattr(base, f"is_{kind}", None) for kind in kinds]  # 1.5 has no is_clusterer
        try:
            return any(bool(test(model)) for test in tests if test is not None)
        except Exception:  # estimators with tags of their own may raise anything
            return False

    return is_of_kind


_has_known_kind = _sklearn_kind("classifier", "regressor", "outlier_detector", "clusterer")


def _is_sklearn_model(model: Any) -> bool:
    """Whether an estimator has the tags of a model, or predicts and is no transformer.

    Rankers, survival models and searches of other packages have no such tags. Some searches have
    the methods of all models that they may find, ``transform`` included.
    """
    if _has_known_kind(model):
        return True
    base = importlib.import_module("sklearn.base")
    try:
        return hasattr(model, "predict") and not isinstance(
            model, (base.TransformerMixin, base.DensityMixin)
        )
    except Exception:  # a property may raise anything
        return False


def _why_unexplained(estimator: Any) -> str | None:
    """Why an estimator that is no model is not explained; None for transformers."""
    base = importlib.import_module("sklearn.base")
    if isinstance(estimator, base.DensityMixin):
        return "estimates a density; it predicts no target that could be explained"
    members = ("transform", "fit_transform", "fit_resample", "split")
    if any(hasattr(estimator, member) for member in members):
        return None
    return (
        "has no predict, so there is no prediction to explain; give it one, or pass a "
        "class with predict around it to mlflow_interpret.explain(model, X)"
    )


def _import_all_estimators() -> None:
    # As MLflow does, so that no class is seen for the first time under MLflow's patches.
    from sklearn.utils import all_estimators

    all_estimators()


for _method in ("fit", *_OTHER_METHODS, "partial_fit"):
    register_library(
        Library(
            "sklearn.base",
            ("BaseEstimator",),
            method=_method,
            is_model=_is_sklearn_model,
            is_clusterer=_sklearn_kind("clusterer"),
            unexplained=_why_unexplained,
            is_incremental=_method == "partial_fit",
            prepare=_import_all_estimators if _method == "fit" else None,
            trains_others=True,
        )
    )


register_library(
    Library(
        "sklearn.model_selection",
        functions=(
            "cross_val_predict",
            "cross_val_score",
            "cross_validate",
            "learning_curve",
            "permutation_test_score",
            "validation_curve",
        ),
        is_model=lambda _: False,
        training_data=lambda _: (None, None),
        trained_model=result_of,
        unexplained=lambda _: (
            "trains copies of the model and keeps none; call fit, or "
            "mlflow_interpret.cross_explain(model, X, y), which explains them"
        ),
    )
)


def _native_or_x_and_y(call: Call) -> tuple[Any, Any]:
    """Rows and labels of a call that takes a table or a Pool as ``X``."""
    from mlflow_interpret.explaining.native_data import is_native_data, rows_and_labels

    X, y = x_and_y(call)
    return rows_and_labels(X) if is_native_data(X) else (X, y)


# CatBoost's models, also those of `catboost.train`, are no BaseEstimators.
register_library(
    Library(
        "catboost",
        ("CatBoost",),
        training_data=_native_or_x_and_y,
    )
)


# statsmodels --------------------------------------------------------------------------------------


def _design_and_response(call: Call) -> tuple[Any, Any]:
    """Rows and labels that a model of statsmodels was made with; of a formula, the user's table."""
    model = call.instance
    frame, y = getattr(model.data, "frame", None), model.data.orig_endog
    if frame is None:
        return model.data.orig_exog, y
    responses = {model.endog_names} if isinstance(model.endog_names, str) else {*model.endog_names}
    rows = frame.drop(columns=[name for name in frame.columns if name in responses])
    return rows, y if len(y) == len(rows) else None  # rows with missing cells may be dropped


for _module, _class in (
    ("statsmodels.regression.linear_model", "RegressionModel"),
    ("statsmodels.genmod.generalized_linear_model", "GLM"),
    ("statsmodels.discrete.discrete_model", "DiscreteModel"),
    ("statsmodels.robust.robust_linear_model", "RLM"),
):
    register_library(
        Library(
            _module,
            (_class,),
            training_data=_design_and_response,
            trained_model=result_of,
            trains_others=True,
        )
    )
