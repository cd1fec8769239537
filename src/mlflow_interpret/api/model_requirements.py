"""The installed packages that a model needs when it is loaded."""

from __future__ import annotations

import io
from contextlib import suppress
from importlib import metadata
from types import ModuleType
from typing import Any

import cloudpickle

_DISTRIBUTIONS = {"sklearn": "scikit-learn", "imblearn": "imbalanced-learn"}
"""Packages that are not in `metadata.packages_distributions` of Python 3.10."""


def requirements_of(model: Any) -> dict[str, str]:
    """The versions of the packages whose classes and functions are in a model.

    Steps of pipelines, members of ensembles and base classes count.

    Args:
        model: A fitted model.

    Returns:
        The installed version of each package, by name.
    """
    recorder = _Recorder(_Nothing())
    recorder.add(type(model))
    with suppress(Exception):  # the flavor of a library may not pickle its models
        recorder.dump(model)
    return {
        name: metadata.version(name).partition("+")[0]  # no index has local versions
        for package in sorted(recorder.packages)
        for name in _distributions_of(package)
    }


def _distributions_of(package: str) -> list[str]:
    name = _DISTRIBUTIONS.get(package, package)
    with suppress(metadata.PackageNotFoundError):
        return [metadata.distribution(name).metadata["Name"]]
    return sorted(set(metadata.packages_distributions().get(package, [])))


class _Nothing(io.RawIOBase):
    """A file that keeps nothing."""

    def write(self, data: Any) -> int:
        return len(data)


class _Recorder(cloudpickle.Pickler):  # type: ignore[misc, unused-ignore]
    """Records the packages of the objects that it pickles."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.packages: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        self.add(obj if isinstance(obj, type) else type(obj))
        self._add_module(obj.__name__ if isinstance(obj, ModuleType) else _module_of(obj))
        return super().reducer_override(obj)

    def add(self, cls: type) -> None:
        """Record the packages of a class and of its base classes."""
        for base in cls.__mro__:
            self._add_module(_module_of(base))

    def _add_module(self, name: Any) -> None:
        if isinstance(name, str):
            self.packages.add(name.partition(".")[0])


def _module_of(obj: Any) -> Any:
    try:
        return obj.__module__
    except Exception:  # most objects have none, and attributes of any class may fail
        return None
