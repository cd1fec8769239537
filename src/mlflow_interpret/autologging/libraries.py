"""Libraries whose training calls are observed.

A library is one `Library` entry, added by `register_library`. Nothing else names a library.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a method or function that trains a model.

    Attributes:
        function: The method or function.
        instance: The object whose method is called, or None for a function.
        args: Positional arguments, without the instance.
        kwargs: Keyword arguments.
    """

    function: Callable[..., Any]
    instance: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def x_and_y(call: Call) -> tuple[Any, Any]:
    """Rows and labels of a call, by the names X and y, or by position where it takes ``*args``."""
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    parameters = list(inspect.signature(call.function).parameters.values())
    if call.instance is not None:
        parameters = parameters[1:]
    names = [parameter.name for parameter in parameters if parameter.kind in kinds]
    named = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    ordered = [named[name] for name in names if name in named] + list(call.args[len(names) :])
    X = named["X"] if "X" in named else ordered[0]
    y = next((named[name] for name in ("y", "Y") if name in named), None)
    if y is None and len(ordered) > 1 and not {"y", "Y"} & set(names):
        y = ordered[1]
    return X, y


def instance_of(call: Call, result: Any) -> Any:  # noqa: ARG001
    """The object whose method was called."""
    return call.instance


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


def named_classes(classes: tuple[type, ...]) -> Library:
    """The entry of classes that the user names; all of their objects are models."""
    return Library("builtins", classes)


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

    Rankers, survival models and searches of other packages have no such tags.
    """
    if _has_known_kind(model):
        return True
    base = importlib.import_module("sklearn.base")
    try:
        return (
            hasattr(model, "predict")
            and not hasattr(model, "transform")
            and not isinstance(model, base.DensityMixin)
        )
    except Exception:  # a property may raise anything
        return False


def _import_all_estimators() -> None:
    # As MLflow does, so that no class is seen for the first time under MLflow's patches.
    from sklearn.utils import all_estimators

    all_estimators()


register_library(
    Library(
        "sklearn.base",
        ("BaseEstimator",),
        is_model=_is_sklearn_model,
        is_clusterer=_sklearn_kind("clusterer"),
        prepare=_import_all_estimators,
        trains_others=True,
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


# Native training ----------------------------------------------------------------------------------


def _argument(call: Call, name: str) -> Any:
    return inspect.signature(call.function).bind(*call.args, **call.kwargs).arguments[name]


def _native_argument(name: str) -> Callable[[Call], tuple[Any, Any]]:
    def read(call: Call) -> tuple[Any, Any]:
        from mlflow_interpret.explaining.native_data import rows_and_labels

        return rows_and_labels(_argument(call, name))

    return read


def _result(call: Call, result: Any) -> Any:  # noqa: ARG001
    return result


for _module, _data in (("xgboost", "dtrain"), ("lightgbm", "train_set")):
    register_library(
        Library(
            _module,
            functions=("train",),
            training_data=_native_argument(_data),
            trained_model=_result,
        )
    )
