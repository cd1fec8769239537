"""Observe the user's own training calls: the outermost ``fit`` of a model."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from mlflow_interpret.autologging import (
    native_libraries,  # noqa: F401 - registers its libraries
    wrappers,
)
from mlflow_interpret.autologging.libraries import (
    Library,
    named_classes,
    registered_libraries,
)
from mlflow_interpret.autologging.mlflow_patches import (
    after_import,
    patches_lifted,
    training_session,
)
from mlflow_interpret.autologging.training_arguments import Call
from mlflow_interpret.autologging.training_calls import FitEvent, TrainingCall
from mlflow_interpret.runtime.forks import ForkSafeLock
from mlflow_interpret.runtime.isolation import is_isolated
from mlflow_interpret.runtime.scopes import Scope

_logger = logging.getLogger(__name__)


Observer = Callable[[FitEvent], None]


# The observed calls in progress, with all threads, tasks and processes that they start: a fit in a
# fit is not the user's own.
_fits = Scope("fit")

# One process has one autologging state, as in MLflow.
_observer: Observer | None = None
_libraries: tuple[Library, ...] = ()
_lock = ForkSafeLock()


def install(observer: Observer, estimators: Sequence[type] = ()) -> None:
    """Call ``observer`` after each successful outermost training call.

    A second call replaces both arguments.

    Args:
        observer: A function that must not raise.
        estimators: Classes beyond those of the registered libraries.
    """
    global _observer, _libraries  # noqa: PLW0603 - see above
    libraries = (*named_classes(tuple(estimators)), *registered_libraries())
    with _lock:
        if _observer is not None and libraries != _libraries:
            uninstall()
        is_first = _observer is None
        _observer = observer
        if is_first:
            _libraries = libraries
            _wrap_all()
    if is_first:
        # The import system has a lock of its own, so ours is not held here.
        for library in libraries:
            if not library.is_imported():
                after_import(partial(_is_imported, library), library.module)


def uninstall() -> None:
    """Restore all methods and functions."""
    global _observer, _libraries  # noqa: PLW0603
    with _lock:
        if _observer is None:
            return
        _observer = None
        wrappers.release_subclasses()
        with patches_lifted(_is_in_the_way):
            wrappers.unwrap_all()
        _libraries = ()


def _wrap_all() -> None:
    for library in _libraries:
        if library.prepare is not None:
            library.prepare()
    with patches_lifted(_is_in_the_way):
        _wrap([library for library in _libraries if library.is_imported()])
    for cls in _libraries[0].observed_classes():
        if not wrappers.is_wrapped(cls, "fit"):
            _logger.warning("The fits of %s cannot be observed: fit is no method.", cls.__name__)


def _wrap(libraries: Sequence[Library]) -> None:
    for library in libraries:
        for cls in library.observed_classes():
            wrappers.wrap_hierarchy(cls, library.method)
    wrappers.wrap_functions(
        [(sys.modules[library.module], library.functions) for library in libraries]
    )


def _is_imported(library: Library, _module: Any) -> None:
    # Without our lock: its holder may wait for an import, as this one, to end.
    try:
        if _observer is not None and library in _libraries:
            _wrap([library])
    except Exception:  # the user's import must succeed
        _logger.debug("%s cannot be observed", library.module, exc_info=True)


def new_class(cls: type) -> None:
    """Observe a class that was just defined."""
    if _observer is not None:
        for library in _libraries:
            if issubclass(cls, library.observed_classes()):
                wrappers.wrap_method(wrappers.definer(cls, library.method), library.method)


def _is_in_the_way(patch: Any) -> bool:
    """Whether a patch of MLflow's is on a method or function to observe."""
    target = patch.destination
    for library in _libraries:
        if not isinstance(target, type):
            if patch.name in library.functions and target.__name__ == library.module:
                return True
        elif patch.name == library.method:
            classes = library.observed_classes()
            definers = {wrappers.definer(cls, library.method) for cls in classes}
            if issubclass(target, classes) or target in definers:
                return True
    return False


def observe_method(
    original: Callable[..., Any],
    method: str,
    model: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call a method as the user did, then the observer if the call is the user's own."""
    library = _library_of(model, method)
    if library is None:  # of a parent of an observed class
        return original(model, *args, **kwargs)
    call = Call(original, model, args, kwargs)
    return _observe(library, call, lambda: original(model, *args, **kwargs))


def observe_function(
    original: Callable[..., Any],
    path: tuple[str, str],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call a function as the user did, then the observer if the call is the user's own."""
    module, name = path
    for library in _libraries:
        if library.module == module and name in library.functions:
            call = Call(original, None, args, kwargs)
            return _observe(library, call, lambda: original(*args, **kwargs))
    return original(*args, **kwargs)


def observe_deferred(method: str, model: Any) -> None:
    """Tell the observer of a method that trains in a coroutine or generator, where it starts."""
    library = _library_of(model, method)
    if library is not None and library.is_model(model) and _is_of_user():
        reason = (
            f"has a {method} that is a coroutine or a generator, which is not observed; explain it "
            "afterwards with mlflow_interpret.explain_now(model, X)"
        )
        _tell(FitEvent(model, None, None, started=time.time(), unexplained=reason))


def _library_of(model: Any, method: str) -> Library | None:
    for library in _libraries:
        if library.method == method and isinstance(model, library.observed_classes()):
            return library
    return None


def _observe(library: Library, call: Call, run: Callable[[], Any]) -> Any:
    is_of_user = _is_of_user()
    with _fits.entered():
        if not is_of_user:
            return run()
        training = TrainingCall(library, call)
        result = run()
        event = training.event(result)
        if event is not None:
            _tell(event)
        return result


def _is_of_user() -> bool:
    """Whether the user's own code, rather than a fit, a library or an explainer, makes a call."""
    return (
        _observer is not None
        and not _fits.is_active()
        and not is_isolated()
        and not _is_called_by_library()
    )


def _tell(event: FitEvent) -> None:
    if _observer is not None:
        _observer(event)


def _is_called_by_library() -> bool:
    """Whether a library rather than the user made this call, perhaps in a worker thread."""
    packages = {entry.module.partition(".")[0] for entry in _libraries if entry.trains_others}
    frame = sys._getframe(1)
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in {"mlflow", "mlflow_interpret"}:
            return package in packages
        frame = frame.f_back  # type: ignore[assignment]
    return False


@contextmanager
def unrecorded() -> Iterator[None]:
    """Keep fits, predictions and scores of this block from all autologging, ours included.

    To MLflow, the block looks like a part of a fit, whose inner calls it does not record. Its
    switches for all autologging are not used: they are not re-entrant or forget settings.
    """
    with _fits.entered(), training_session():
        yield


wrappers.connect(wrappers.Observers(observe_method, observe_function, observe_deferred, new_class))
