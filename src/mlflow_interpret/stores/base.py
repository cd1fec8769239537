"""Store plug-ins: the interface of a store, its limits and the registry.

The MLflow run is always written: it holds the status record. A store is a further place that an
explanation goes to, such as a cloud service. It is one file, or one folder with a module ``store``:

    @register_store
    class FolderStore(Store):
        name = "folder"
        title = "the shared folder"

        def accepts(self, options, tracking_uri):
            return True

        def put(self, explanation, folder, run):
            shutil.copytree(folder, ROOT / run.run_id)
            return Receipt("complete", entry={"path": str(ROOT / run.run_id)})

Folders below ``mlflow_interpret/stores`` are found by themselves; a store elsewhere is registered
when its module is imported. Nothing else changes: `stores.delivery` asks every registered store.

A store that is also the server of an MLflow tracking URI, as ``scheme://...``, names its ``scheme``
and the server's ``limits``; `stores.mlflow` then respects these limits.
"""

# ruff: noqa: ARG002, B027 - the optional methods of a store do nothing by default
from __future__ import annotations

import importlib.util
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options


@dataclass(frozen=True)
class StoreLimits:
    """Limits of an MLflow tracking server.

    Attributes:
        metrics: Metric names of a run, None for no limit.
        tags: Tags of a run, None for no limit.
        tag_length: Characters of a tag's value.
        overwrites: An artifact can be written again.
        has_mlflow_pages: Its user interface is that of MLflow, which compares tables of runs.
        has_logged_models: It has the logged models of MLflow 3.
    """

    metrics: int | None = None
    tags: int | None = None
    tag_length: int = 5000  # of older MLflow servers
    overwrites: bool = True
    has_mlflow_pages: bool = True
    has_logged_models: bool = True


@dataclass(frozen=True)
class Receipt:
    """The result of storing an explanation.

    Attributes:
        state: ``pending`` while the store works beside the training; it calls `TargetRun.finish`
            with a later receipt.
        reason: Why it failed: one line without secrets.
        entry: The store's entry in the status record, added to that of `Store.initial_entry`.
        seconds: The duration.
        remedy: The command that finishes a failed upload.
    """

    state: Literal["complete", "pending", "failed"]
    reason: str | None = None
    entry: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class TargetRun:
    """The MLflow run of an explanation.

    Attributes:
        tracking_uri: The tracking URI.
        run_id: The run.
        options: The options of `autolog` or `log_explanation`.
        finish: Takes the final receipt of a store that returned a pending one; called once, in any
            thread. The folder stays on disk until then.
    """

    tracking_uri: str
    run_id: str
    options: Options
    finish: Callable[[Receipt], None]


@dataclass(frozen=True)
class Finding:
    """A line of ``mlflow-interpret doctor``.

    Attributes:
        topic: The topic, set by the caller.
        state: ``broken`` where something that is configured here cannot work.
        text: The finding, without secrets.
        remedy: The remedy, or None.
    """

    topic: str
    state: Literal["ok", "note", "broken"]
    text: str
    remedy: str | None = None


class Store(ABC):
    """A place that explanations go to, beside the MLflow run.

    Attributes:
        name: The key of the store's entry in the status record.
        title: The name of the store in messages.
        option: The option of `autolog` that chooses the store, or None.
        scheme: The scheme of the tracking URIs that the store serves, or None.
        limits: The limits of the tracking server with that scheme.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    option: ClassVar[str | None] = None
    scheme: ClassVar[str | None] = None
    limits: ClassVar[StoreLimits] = StoreLimits()

    @abstractmethod
    def accepts(self, options: Options, tracking_uri: str) -> bool:
        """Return whether an explanation of a run at ``tracking_uri`` goes to this store.

        It is asked after each fit: no request, no import of an SDK.
        """

    @abstractmethod
    def put(self, explanation: Explanation, folder: Path, run: TargetRun) -> Receipt:
        """Store an explanation.

        Args:
            explanation: The explanation.
            folder: Its folder, as `core.explanation_io` writes it; read-only.
            run: The MLflow run, which is written already.
        """

    def check_options(self, options: Options) -> None:
        """Check the store's own option.

        Raises:
            OptionError: Its value is not allowed.
        """

    def option_value(self, options: Options) -> str | bool | None:
        """Return the value of the store's option for a file: JSON, without credentials."""
        return None

    def initial_entry(self, options: Options) -> Mapping[str, Any]:
        """Return the store's entry in the status record before `put`."""
        return {}

    def prepare(self, options: Options) -> None:
        """Prepare for explanations that may come after hours of training."""

    def flush(self, timeout: float | None = None) -> bool:
        """Wait for pending explanations; return whether all are stored or failed.

        Args:
            timeout: Seconds to wait, None for no limit.
        """
        return True

    def end_idle_workers(self) -> None:
        """End the processes and threads of the store that have no work."""

    def check_connection(self, tracking_uri: str) -> None:
        """Check that a tracking URI with this store's scheme can be opened.

        Raises:
            MlflowInterpretError: It cannot; the message says why.
        """

    def check(self, tracking_uri: str, location: str | None = None) -> Iterable[Finding]:
        """Examine the store's set-up on this machine for ``mlflow-interpret doctor``.

        Args:
            tracking_uri: The tracking URI.
            location: A location in the store that the user named, to be asked as well.
        """
        return ()


_StoreClass = TypeVar("_StoreClass", bound=type[Store])

_stores: dict[str, Store] = {}


def register_store(cls: _StoreClass) -> _StoreClass:
    """Register a store class; a class decorator. A second store of the same name replaces it."""
    _stores[cls.name] = cls()
    return cls


def unregister_store(name: str) -> None:
    """Remove a store."""
    _stores.pop(name, None)


def stores() -> tuple[Store, ...]:
    """Return the registered stores, in order of registration."""
    _import_own_stores()
    return tuple(_stores.values())


def store_named(name: str) -> Store:
    """Return a registered store.

    Raises:
        KeyError: There is no such store.
    """
    _import_own_stores()
    return _stores[name]


def store_of_uri(tracking_uri: str) -> Store | None:
    """Return the store that serves a tracking URI, None for MLflow's own servers and files."""
    try:
        scheme = urlsplit(tracking_uri).scheme
    except ValueError:  # a database URI that is no URL
        return None
    if not scheme:
        return None
    return next((store for store in stores() if store.scheme == scheme), None)


def limits_of(tracking_uri: str) -> StoreLimits:
    """Return the limits of the server at a tracking URI."""
    store = store_of_uri(tracking_uri)
    return StoreLimits() if store is None else store.limits


@cache
def _import_own_stores() -> None:
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if module.ispkg and importlib.util.find_spec(f"{package}.{module.name}.store"):
            importlib.import_module(f"{package}.{module.name}.store")
