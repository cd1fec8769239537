"""Warning filters for single threads.

Python keeps the warning filters and the functions that show warnings in attributes of the module
`warnings`, which all threads share. `warnings.catch_warnings` replaces and restores them for all
threads at once, so neither a filter of our own nor a replaced ``showwarning`` is safe: another
thread's ``catch_warnings`` removes it, and ours would drop that thread's warnings. (Python 3.14 can
keep filters in the context instead, but only free-threaded builds do so by default.)

The interpreter looks these attributes up for each warning, in the thread that warns. So while a
thread ignores its warnings, they are properties that give this thread values of its own and all
others the shared ones. Code that calls ``catch_warnings`` or ``simplefilter`` in this thread works
as usual, and changes the thread's own filters only.
"""

from __future__ import annotations

import importlib
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlflow_interpret.runtime.forks import ForkSafeLock, call_after_fork

_SHARED_CLASS = type(warnings)
_HAS_CONTEXTS = bool(getattr(sys.flags, "context_aware_warnings", False))

Condition = Callable[[], bool]
Undo = Callable[[], None]


def _nothing() -> None:
    pass


class SharedChange:
    """A change of the process that lasts while any thread needs it.

    Args:
        apply: Makes the change, and returns the function that undoes it.
    """

    def __init__(self, apply: Callable[[], Undo]) -> None:
        self._apply = apply
        self._undo: Undo = _nothing
        self._lock = ForkSafeLock()
        self._users: dict[object, int] = {}  # the threads, by use
        call_after_fork(self._forget_other_threads)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Keep the change for the time of a block."""
        use = object()
        with self._lock:
            self._users[use] = threading.get_ident()
            if len(self._users) == 1:
                self._undo = self._apply()
        try:
            yield
        finally:
            with self._lock:
                if self._users.pop(use, None) is not None and not self._users:
                    self._undo()

    def _forget_other_threads(self) -> None:
        """Undo the change in a forked process, which has none of the other threads."""
        was_applied, own = bool(self._users), threading.get_ident()
        self._users = {use: thread for use, thread in self._users.items() if thread == own}
        if was_applied and not self._users:
            self._undo()


class _ThreadState(threading.local):
    """What the module `warnings` holds for the current thread, or None for the shared values."""

    attributes: dict[str, Any] | None = None
    filters: list[Any] | None = None
    is_wanted: Condition | None = None


_state = _ThreadState()


@contextmanager
def ignore_warnings(is_wanted: Condition) -> Iterator[None]:
    """Ignore the warnings of the current thread; filters set inside the block take precedence.

    Args:
        is_wanted: Once it returns False, the thread uses the shared filters again, even within the
            block. For threads that outlive the work that they were started for.
    """
    if _HAS_CONTEXTS:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("ignore")
            yield
        return
    outer = _state.attributes, _state.filters, _state.is_wanted
    filters: list[Any] = [("ignore", None, Warning, None, 0)]
    with _properties.applied():
        _state.attributes = {
            "filters": filters,
            "showwarning": warnings.showwarning,
            "_showwarnmsg_impl": _drop,
        }
        _state.filters, _state.is_wanted = filters, is_wanted
        try:
            yield
        finally:
            _state.attributes, _state.filters, _state.is_wanted = outer


def _drop(message: object) -> None:
    """Show nothing: a filter such as "always" was set inside the block."""


def _own(name: str = "") -> dict[str, Any] | None:
    """The current thread's attributes, or None if it uses the shared ones."""
    own, is_wanted = _state.attributes, _state.is_wanted
    # The filters come first wherever attributes are read. A thread that is no longer wanted keeps
    # its own inside of catch_warnings, which would restore them for all threads.
    is_outside = own is not None and name == "filters" and own[name] is _state.filters
    if is_outside and is_wanted is not None and not is_wanted():
        own = _state.attributes = None
    return own


def _attribute(name: str) -> Any:
    def get(module: types.ModuleType) -> Any:
        own = _own(name)
        return (vars(module) if own is None else own)[name]

    def put(module: types.ModuleType, value: Any) -> None:
        own = _own()
        (vars(module) if own is None else own)[name] = value

    return property(get, put)


class _ThreadWarnings(types.ModuleType):
    """The class of the module `warnings` while a thread ignores its warnings."""

    # From Python 3.14 on, the interpreter caches attributes of a module past the properties of its
    # class, unless the class has a method for the access.
    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__(name)

    # Pickles of functions that use `warnings`, as cloudpickle makes them, name the module.
    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self.__name__,)

    filters = _attribute("filters")
    showwarning = _attribute("showwarning")
    _showwarnmsg_impl = _attribute("_showwarnmsg_impl")

    @property
    def _showwarnmsg(self) -> Any:
        own = _own()
        return vars(self)["_showwarnmsg"] if own is None else own["_showwarnmsg_impl"]

    @_showwarnmsg.setter
    def _showwarnmsg(self, value: Any) -> None:
        vars(self)["_showwarnmsg"] = value


def _apply() -> Undo:
    module: Any = warnings
    replaced = _replaced_functions() if sys.version_info < (3, 14) else {}
    originals = {name: vars(warnings)[name] for name in replaced}
    vars(warnings).update(replaced)
    module.__class__ = _ThreadWarnings

    def undo() -> None:
        module.__class__ = _SHARED_CLASS
        for name, ours in replaced.items():
            if vars(warnings)[name] is ours:
                vars(warnings)[name] = originals[name]

    return undo


def _replaced_functions() -> dict[str, Callable[..., None]]:
    """Replacements of the functions that read the filters as a global name, past the property."""
    module: Any = warnings
    shared_add, shared_reset = module._add_filter, module.resetwarnings

    def add_filter(*item: Any, append: bool) -> None:
        own = _own("filters")
        if own is None:
            shared_add(*item, append=append)
            return
        filters = own["filters"]
        if not append:
            filters[:] = [item, *(entry for entry in filters if entry != item)]
        elif item not in filters:
            filters.append(item)
        module._filters_mutated()

    def resetwarnings() -> None:
        own = _own("filters")
        if own is None:
            shared_reset()
            return
        own["filters"].clear()
        module._filters_mutated()

    return {"_add_filter": add_filter, "resetwarnings": resetwarnings}


_properties = SharedChange(_apply)
