"""Wrappers around the methods and functions that train models.

A wrapper is put *under* any patch of MLflow's own autologging: MLflow's patches do not stack on
each other, but they work on top of an ordinary method. So the observer runs inside of the function
that MLflow considers the original, with MLflow's run still active, and both log into the same run.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_logger = logging.getLogger(__name__)

Function = Callable[..., Any]

# Wrapper and original of each method. Not attributes of the wrapper: functools.wraps copies these.
_methods: weakref.WeakKeyDictionary[type, dict[str, tuple[Function, Function]]] = (
    weakref.WeakKeyDictionary()
)
_functions: dict[tuple[str, str], tuple[Function, Function]] = {}
# The new __init_subclass__ of each observed class, and what its __dict__ held before.
_subclass_hooks: weakref.WeakKeyDictionary[type, tuple[Any, Any]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Observers:
    """Functions that the wrappers call.

    Attributes:
        method: Called instead of a wrapped method, with the original, the method's name, the
            object, and the arguments.
        function: Called instead of a wrapped function, with the original, its module and name, and
            the arguments.
        new_class: Called with each new subclass of an observed class.
    """

    method: Function
    function: Function
    new_class: Callable[[type], None]


_observers: Observers | None = None


def connect(observers: Observers) -> None:
    """Let the wrappers call ``observers``; without them they call the originals only."""
    global _observers  # noqa: PLW0603 - one process has one set
    _observers = observers


def wrap_hierarchy(cls: type, method: str) -> None:
    """Wrap the method of a class, of its subclasses and of those defined or imported later."""
    _wrap_new_subclasses(cls)
    for member in {cls, definer(cls, method), *subclasses(cls)}:
        wrap_method(member, method)


def is_wrapped(cls: type, method: str) -> bool:
    """Whether the method of a class is wrapped, perhaps in the parent that defines it."""
    return method in _methods.get(definer(cls, method), {})


def definer(cls: type, method: str) -> type:
    """The class that a class inherits a method from, or the class itself."""
    return next((parent for parent in cls.__mro__ if method in parent.__dict__), cls)


def subclasses(cls: type) -> set[type]:
    """All subclasses of a class."""
    direct: set[type] = set(cls.__subclasses__())
    return direct.union(*(subclasses(sub) for sub in direct))


def wrap_method(cls: type, method: str) -> None:
    """Wrap a method that the class itself defines."""
    function = cls.__dict__.get(method)
    ours, _ = _methods.get(cls, {}).get(method, (None, None))
    if not inspect.isfunction(function) or ours is function:
        return
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        return  # the call does not train yet
    wrapper = _observed_method(function, method)
    try:
        setattr(cls, method, wrapper)
    except Exception:  # a metaclass may forbid it; the definition of the class must succeed
        _logger.debug("%s cannot be observed", cls, exc_info=True)
        return
    _methods.setdefault(cls, {})[method] = (wrapper, function)


def wrap_function(module: ModuleType, name: str) -> None:
    """Wrap a function of a module, also in the module that defines it."""
    if name not in vars(module):
        return
    function: Function = vars(module)[name]
    ours = [wrapper for wrapper, _ in _functions.values()]
    if not inspect.isfunction(function) or function in ours:
        return
    wrapper = _observed_function(function, module.__name__, name)
    for holder in (module, sys.modules.get(function.__module__, module)):
        if getattr(holder, name, None) is function:
            setattr(holder, name, wrapper)
            _functions[holder.__name__, name] = (wrapper, function)


def unwrap_all() -> None:
    """Restore all methods and functions."""
    for cls, methods in list(_methods.items()):
        for method, (wrapper, original) in methods.items():
            if cls.__dict__.get(method) is wrapper:
                setattr(cls, method, original)
    _methods.clear()
    for (module_name, name), (wrapper, original) in _functions.items():
        module = sys.modules.get(module_name)
        if module is not None and getattr(module, name, None) is wrapper:
            setattr(module, name, original)
    _functions.clear()


# A class that is pickled by value, as classes of __main__ are, carries its methods along. So the
# wrappers name this package in an import inside of their bodies only.


def call_method(
    original: Function, method: str, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a wrapped method through the observers."""
    if _observers is None:
        return original(model, *args, **kwargs)
    return _observers.method(original, method, model, args, kwargs)


def add_class(cls: type) -> None:
    """Tell the observers of a new class."""
    if _observers is not None:
        _observers.new_class(cls)


def _observed_method(original: Function, method: str) -> Function:
    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            from mlflow_interpret.autologging.wrappers import call_method
        except ImportError:  # unpickled where this package is not installed
            return original(self, *args, **kwargs)
        return call_method(original, method, self, args, kwargs)

    return fit


def _observed_function(original: Function, module: str, name: str) -> Function:
    @functools.wraps(original)
    def train(*args: Any, **kwargs: Any) -> Any:
        if _observers is None:
            return original(*args, **kwargs)
        return _observers.function(original, (module, name), args, kwargs)

    return train


def _wrap_new_subclasses(cls: type) -> None:
    if cls in _subclass_hooks:
        return
    before = cls.__dict__.get("__init_subclass__")

    def __init_subclass__(subclass: type, /, **kwargs: Any) -> None:  # noqa: N807
        if before is None:
            super(cls, subclass).__init_subclass__(**kwargs)  # type: ignore[arg-type]
        else:
            before.__get__(None, subclass)(**kwargs)
        try:
            from mlflow_interpret.autologging.wrappers import add_class
        except ImportError:
            return
        add_class(subclass)

    functools.update_wrapper(__init_subclass__, cls.__init_subclass__)
    hook: Any = classmethod(__init_subclass__)
    try:
        setattr(cls, "__init_subclass__", hook)  # noqa: B010 - mypy forbids the assignment
    except Exception:  # a metaclass may forbid it
        _logger.debug("Subclasses of %s cannot be observed", cls, exc_info=True)
        return
    _subclass_hooks[cls] = (hook, before)


def release_subclasses() -> None:
    """Restore ``__init_subclass__`` of all classes."""
    for cls, (hook, before) in list(_subclass_hooks.items()):
        if cls.__dict__.get("__init_subclass__") is not hook:
            continue
        if before is None:
            delattr(cls, "__init_subclass__")
        else:
            setattr(cls, "__init_subclass__", before)  # noqa: B010
    _subclass_hooks.clear()
