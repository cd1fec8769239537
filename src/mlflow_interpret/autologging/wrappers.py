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
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
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
        deferred: Called with the name of a method and the object when the method's coroutine or
            generator starts.
        new_class: Called with each new subclass of an observed class.
    """

    method: Function
    function: Function
    deferred: Callable[[str, Any], None]
    new_class: Callable[[type], None]


_observers: Observers | None = None


def connect(observers: Observers) -> None:
    """Let the wrappers call ``observers``; without them they call the originals only."""
    global _observers  # noqa: PLW0603 - one process has one set
    _observers = observers


def wrap_hierarchy(cls: type, method: str) -> None:
    """Wrap the method of a class, of its subclasses and of those defined or imported later."""
    _wrap_new_subclasses(cls)
    for member in {definer(subclass, method) for subclass in {cls, *subclasses(cls)}}:
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
    holder, name, function = _slot(cls, method)
    ours, _ = _methods.get(cls, {}).get(method, (None, None))
    if function is None or ours is function:
        return
    wrapper = _observed_method(_unbound(function), method)
    try:
        setattr(holder, name, wrapper)
    except Exception:  # a metaclass may forbid it; the definition of the class must succeed
        _logger.debug("%s cannot be observed", cls, exc_info=True)
        return
    _methods.setdefault(cls, {})[method] = (wrapper, function)


def _slot(cls: type, method: str) -> tuple[Any, str, Any]:
    """The object and its attribute that hold the function of a method, and the function.

    Methods that some objects have and others lack, by scikit-learn's `available_if`, are
    descriptors with the function in an attribute, where MLflow wraps it, too.
    """
    value = cls.__dict__.get(method)
    if inspect.isfunction(value) or (callable(value) and _is_bound_by(value)):
        return cls, method, value
    function = getattr(value, "fn", None)
    return value, "fn", function if inspect.isfunction(function) else None


def _is_bound_by(value: Any) -> bool:
    """Whether a callable becomes a method of an object, as compiled functions do."""
    is_plain = isinstance(value, (type, staticmethod, classmethod, functools.partial))
    return hasattr(type(value), "__get__") and not is_plain


def _unbound(value: Any) -> Function:
    """A function of an object and its arguments."""
    if inspect.isfunction(value):
        return value

    @functools.wraps(value)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return value.__get__(self, type(self))(*args, **kwargs)

    return call


def wrap_functions(functions: Iterable[tuple[ModuleType, Sequence[str]]]) -> None:
    """Wrap functions, also where other modules have imported them by name.

    All of them at once, because every member of every module is looked at.

    Args:
        functions: Modules, and the names of their functions.
    """
    ours = {id(wrapper) for wrapper, _ in _functions.values()}
    # By the id of the original.
    wrappers: dict[int, tuple[ModuleType, Function, Function]] = {}
    for module, names in functions:
        for name in names:
            function = vars(module).get(name)
            if inspect.isfunction(function) and not {id(function)} & (ours | wrappers.keys()):
                wrapper = _observed_function(function, module.__name__, name)
                wrappers[id(function)] = (module, wrapper, function)
    if not wrappers:
        return
    for holder in _holders([module for module, _, _ in wrappers.values()]):
        for name, value in list(vars(holder).items()):
            key = id(_under_mlflow(value))
            if key not in wrappers:
                continue
            module, wrapper, original = wrappers[key]
            # Other parts of the package call each other, which is no training of the user.
            is_part = _package(holder) == _package(module)
            if value is not original:  # MLflow's old patch would call past a new wrapper
                wrapper = _forwarder(module, original)
            if not is_part or holder is module or holder.__name__ == value.__module__:
                setattr(holder, name, wrapper)
                _functions[holder.__name__, name] = (wrapper, value)


def _under_mlflow(value: Any) -> Any:
    """The function that a patch of MLflow's is on, or the value itself."""
    while (
        inspect.isfunction(value)
        and str(value.__globals__.get("__name__")).startswith("mlflow.")
        and hasattr(value, "__wrapped__")
    ):
        value = value.__wrapped__
    return value


def _forwarder(module: ModuleType, original: Function) -> Function:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return vars(module)[original.__name__](*args, **kwargs)

    return call


def _holders(modules: Sequence[ModuleType]) -> list[ModuleType]:
    """These modules, and those that may have imported a function by name, but for Python's own."""
    others = [
        other
        for name, other in list(sys.modules.items())
        if isinstance(other, ModuleType)
        and other.__name__ == name
        and _package(other) not in sys.stdlib_module_names
    ]
    return list({id(module): module for module in (*modules, *others)}.values())


def _package(module: ModuleType) -> str:
    return module.__name__.partition(".")[0]


def unwrap_all() -> None:
    """Restore all methods and functions."""
    for cls, methods in list(_methods.items()):
        for method, (wrapper, original) in methods.items():
            holder, name, function = _slot(cls, method)
            if function is wrapper:
                setattr(holder, name, original)
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


def announce(method: str, model: Any) -> None:
    """Tell the observers of a coroutine or generator that trains."""
    if _observers is not None:
        _observers.deferred(method, model)


def _observed_method(original: Function, method: str) -> Function:
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def fit_later(self: Any, *args: Any, **kwargs: Any) -> Any:
            with suppress(ImportError):  # unpickled where this package is not installed
                from mlflow_interpret.autologging.wrappers import announce

                announce(method, self)
            return await original(self, *args, **kwargs)

        return fit_later
    if inspect.isgeneratorfunction(original):

        @functools.wraps(original)
        def fit_in_steps(self: Any, *args: Any, **kwargs: Any) -> Any:
            with suppress(ImportError):
                from mlflow_interpret.autologging.wrappers import announce

                announce(method, self)
            return (yield from original(self, *args, **kwargs))

        return fit_in_steps

    # Code that inspects its callers by name must not find a method of another name here.
    @functools.wraps(original)
    def observed_method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            from mlflow_interpret.autologging.wrappers import call_method
        except ImportError:  # unpickled where this package is not installed
            return original(self, *args, **kwargs)
        return call_method(original, method, self, args, kwargs)

    return observed_method


def _observed_function(original: Function, module: str, name: str) -> Function:
    @functools.wraps(original)
    def observed_function(*args: Any, **kwargs: Any) -> Any:
        if _observers is None:
            return original(*args, **kwargs)
        return _observers.function(original, (module, name), args, kwargs)

    return observed_function


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
