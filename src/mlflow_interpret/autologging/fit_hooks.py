"""Notice the outermost ``fit``.

Every estimator class that defines a ``fit`` of its own gets a thin wrapper around it, *under* any
patch of MLflow's own autologging: MLflow's patches do not stack on each other, but they work on
top of an ordinary method. So our observer runs inside what MLflow takes for the original ``fit``,
with MLflow's run still active, and both sides log into the same run. Estimator classes are the
subclasses of scikit-learn's BaseEstimator, CatBoost's models and classes that the user names.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlflow_interpret.autologging.mlflow_patches import (
    after_import,
    patches_lifted,
    training_session,
)

_logger = logging.getLogger(__name__)

# Our wrapper of each class and what stood there before. Not an attribute of the wrapper: others
# copy attributes, as functools.wraps does.
_wrapped: weakref.WeakKeyDictionary[type, tuple[Callable[..., Any], Callable[..., Any]]] = (
    weakref.WeakKeyDictionary()
)
# Our __init_subclass__ of each class at the top of a hierarchy, and what stood in its __dict__.
_topped: weakref.WeakKeyDictionary[type, tuple[Any, Any]] = weakref.WeakKeyDictionary()
_DEPTH = threading.local()
_LOCK = threading.RLock()


@dataclass(frozen=True)
class FitEvent:
    """The user's call of ``fit`` that has just succeeded.

    Attributes:
        model: The fitted estimator.
        X: The training rows as passed.
        y: The labels as passed, or None.
        changed: ``fit`` changed the rows in place.
        started: When ``fit`` was called, in seconds since 1970.
        clusters: The model is a clusterer.
        seconds: How long ``fit`` took.
    """

    model: Any
    X: Any
    y: Any
    changed: bool = False
    started: float = 0.0
    clusters: bool = False
    seconds: float = 0.0


Observer = Callable[[FitEvent], None]

_observer: Observer | None = None
_named: tuple[type, ...] = ()


def install(observer: Observer, estimators: Sequence[type] = ()) -> None:
    """Call ``observer`` after each successful outermost ``fit`` of a model.

    Models are classifiers, regressors, outlier detectors and clusterers of scikit-learn's kind,
    CatBoost's, and instances of ``estimators``, whatever they are. A second call replaces both
    arguments. The observer must not raise.
    """
    global _observer, _named  # one process has one autologging state, as in MLflow
    with _LOCK:
        if _observer is not None and tuple(estimators) != _named:
            uninstall()
        first = _observer is None
        _observer, _named = observer, tuple(estimators)
        if first:
            _watch_all()
    if first:
        # It takes a lock of the import system, so not while ours is held.
        after_import(_catboost_is_imported, "catboost")


def uninstall() -> None:
    """Give every class its own ``fit`` back."""
    global _observer, _named  # noqa: PLW0603
    with _LOCK:
        if _observer is not None:
            _observer = None
            for cls in list(_topped):
                _forget_new_classes(cls)
            with patches_lifted(_is_estimator_fit):
                for cls in list(_wrapped):
                    _unwrap(cls)
            _named = ()


def _watch_all() -> None:
    # All estimator classes that scikit-learn knows are imported first, as MLflow does, so that
    # none is first seen when MLflow's patches are on.
    from sklearn.utils import all_estimators

    all_estimators()
    with patches_lifted(_is_estimator_fit):
        for top in _tops():
            _watch(top)
    for cls in _named:
        if _definer(cls) not in _wrapped:
            _logger.warning("The fits of %s cannot be watched: fit is no method.", cls.__name__)


def _tops() -> tuple[type, ...]:
    """The classes whose subclasses are watched, as they themselves are."""
    from sklearn.base import BaseEstimator

    return tuple(dict.fromkeys((BaseEstimator, *_catboost_classes(), *_named)))


def _watch(top: type) -> None:
    _watch_new_classes(top)
    for cls in {top, _definer(top), *_subclasses(top)}:
        _wrap(cls)


def _definer(cls: type) -> type:
    """The class that ``cls`` has its ``fit`` from: one that inherits it gets none of its own."""
    return next((parent for parent in cls.__mro__ if "fit" in parent.__dict__), cls)


def _catboost_classes() -> tuple[type, ...]:
    """CatBoost's models, which are no BaseEstimators, where it is imported."""
    catboost = sys.modules.get("catboost")
    names = ("CatBoostClassifier", "CatBoostRegressor")
    return tuple(cls for name in names if (cls := getattr(catboost, name, None)) is not None)


def _catboost_is_imported(_: Any) -> None:
    # Without our lock: whoever holds that may wait for an import, as this one, to end.
    try:
        if _observer is not None:
            for cls in _catboost_classes():
                _watch(cls)
    except Exception:  # the user's import must succeed all the same
        _logger.debug("CatBoost cannot be watched", exc_info=True)


def _subclasses(cls: type) -> set[type]:
    found: set[type] = set(cls.__subclasses__())
    return found.union(*(_subclasses(sub) for sub in found))


def _wrap(cls: type) -> None:
    fit = cls.__dict__.get("fit")
    known = _wrapped.get(cls)
    if not inspect.isfunction(fit) or (known is not None and known[0] is fit):
        return
    if inspect.iscoroutinefunction(fit) or inspect.isgeneratorfunction(fit):
        return  # its call does not fit yet
    wrapper = _observed(fit)
    try:
        setattr(cls, "fit", wrapper)  # noqa: B010 - mypy forbids the plain assignment
    except Exception:  # a metaclass may forbid it; the class must come to be all the same
        _logger.debug("%s cannot be watched", cls, exc_info=True)
        return
    _wrapped[cls] = (wrapper, fit)


def _unwrap(cls: type) -> None:
    wrapper, original = _wrapped.pop(cls, (None, None))
    if wrapper is not None and cls.__dict__.get("fit") is wrapper:
        setattr(cls, "fit", original)  # noqa: B010


def _observed(original: Callable[..., Any]) -> Callable[..., Any]:
    # The wrapper names nothing of this module but through an import in its body: a class that
    # is pickled by value, as classes of __main__ are, carries its methods along.
    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            from mlflow_interpret.autologging.fit_hooks import observe
        except ImportError:  # unpickled where this package is not installed
            return original(self, *args, **kwargs)
        return observe(original, self, args, kwargs)

    return fit


def observe(
    original: Callable[..., Any], model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call ``original`` as the user did, then the observer if this is the user's own fit."""
    if not _is_estimator(model):
        return original(model, *args, **kwargs)
    depth = getattr(_DEPTH, "value", 0)
    watched = depth == 0 and _observer is not None and not _called_by_library()
    _DEPTH.value = depth + 1
    try:
        call = _Call(original, model, args, kwargs) if watched and _is_model(model) else None
        began = time.monotonic()
        result = original(model, *args, **kwargs)
        if call is not None:
            call.seconds = time.monotonic() - began
            _notify(call)
    finally:
        _DEPTH.value = depth
    return result


class _Call:
    """The user's call of ``fit``, before and after."""

    def __init__(
        self,
        original: Callable[..., Any],
        model: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.started = time.time()
        self.model = model
        self.X, self.y = None, None
        try:
            self.X, self.y = _training_data(original, args, kwargs)
        except Exception:  # a call that does not fit the signature raises in fit itself
            _logger.debug("The arguments of fit were not understood", exc_info=True)
        self._print = _fingerprint(self.X)
        self.seconds = 0.0

    def event(self) -> FitEvent:
        changed = self._print != _fingerprint(self.X)
        clusters = not isinstance(self.model, _named) and _is(self.model, "clusterer")
        return FitEvent(self.model, self.X, self.y, changed, self.started, clusters, self.seconds)


def _notify(call: _Call) -> None:
    observer = _observer
    if observer is not None and call.X is not None:
        observer(call.event())


def _fingerprint(X: Any) -> bytes | None:
    """Some rows' cells: enough to see that a step with ``copy=False`` scaled them in place."""
    try:
        some = [0, X.shape[0] // 2, X.shape[0] - 1]
        rows = X.iloc[some].to_numpy() if hasattr(X, "iloc") else X[some]
        return bytes(rows.tobytes()) if rows.dtype != object else repr(rows.tolist()).encode()
    except Exception:  # lists and sparse matrices, which no step changes in place
        return None


def _is_estimator(model: Any) -> bool:
    # A parent of a named class may be wrapped, whose other subclasses nobody named.
    return isinstance(model, _tops())


def _is_model(model: Any) -> bool:
    return isinstance(model, _named) or _is(
        model, "classifier", "regressor", "outlier_detector", "clusterer"
    )


def _is(model: Any, *kinds: str) -> bool:
    """Whether scikit-learn takes the model for one of the kinds."""
    from sklearn import base

    tests = [getattr(base, f"is_{kind}", None) for kind in kinds]  # 1.5 has none for clusterers
    try:
        return any(bool(test(model)) for test in tests if test is not None)
    except Exception:  # estimators with tags of their own may raise anything
        return False


def _training_data(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    """X and y of a call, as the signature names them, or by position where it has ``*args``."""
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    parameters = list(inspect.signature(original).parameters.values())[1:]
    names = [parameter.name for parameter in parameters if parameter.kind in kinds]
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    ordered = [named[name] for name in names if name in named] + list(args[len(names) :])
    X = named["X"] if "X" in named else ordered[0]
    y = next((named[name] for name in ("y", "Y") if name in named), None)
    if y is None and len(ordered) > 1 and not {"y", "Y"} & set(names):
        y = ordered[1]
    return X, y


def _called_by_library() -> bool:
    """Whether scikit-learn called this fit, perhaps in a worker thread, rather than the user."""
    frame = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        package = module.partition(".")[0]
        if package not in {"mlflow", "mlflow_interpret"}:
            return package == "sklearn"
        frame = frame.f_back  # type: ignore[assignment]
    return False


@contextmanager
def unrecorded() -> Iterator[None]:
    """Keep the fits, predictions and scores of this context from all autologging, ours included.

    To MLflow, explaining looks like a part of a fit, whose inner calls it does not record. Its
    switches for all autologging are not used: they are not re-entrant or forget settings.
    """
    depth = getattr(_DEPTH, "value", 0)
    _DEPTH.value = depth + 1
    try:
        with training_session():
            yield
    finally:
        _DEPTH.value = depth


def _is_estimator_fit(patch: Any) -> bool:
    cls = patch.destination
    if patch.name != "fit" or not isinstance(cls, type):
        return False
    return issubclass(cls, _tops()) or cls in map(_definer, _named)


def _watch_new_classes(top: type) -> None:
    """Wrap the subclasses that are defined or imported from now on."""
    if top in _topped:
        return
    before = top.__dict__.get("__init_subclass__")

    # It names this module in its body only, for the reason that _observed gives.
    def __init_subclass__(cls: type, /, **kwargs: Any) -> None:  # noqa: N807
        if before is None:
            super(top, cls).__init_subclass__(**kwargs)  # type: ignore[arg-type]
        else:
            before.__get__(None, cls)(**kwargs)
        try:
            from mlflow_interpret.autologging.fit_hooks import new_class
        except ImportError:
            return
        new_class(cls)

    functools.update_wrapper(__init_subclass__, top.__init_subclass__)
    ours: Any = classmethod(__init_subclass__)
    try:
        setattr(top, "__init_subclass__", ours)  # noqa: B010
    except Exception:  # a metaclass may forbid it
        _logger.debug("Subclasses of %s cannot be watched", top, exc_info=True)
        return
    _topped[top] = (ours, before)


def new_class(cls: type) -> None:
    """Watch a class that has just been defined."""
    if _observer is not None:
        _wrap(cls)


def _forget_new_classes(top: type) -> None:
    ours, before = _topped.pop(top)
    if top.__dict__.get("__init_subclass__") is not ours:
        return
    if before is None:
        delattr(top, "__init_subclass__")
    else:
        setattr(top, "__init_subclass__", before)  # noqa: B010
