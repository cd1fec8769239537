"""Models that ``partial_fit`` trains: explained once, when their run ends or by `explain_now`."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlflow_interpret.autologging import mlflow_patches
from mlflow_interpret.autologging.run_context import RunContext
from mlflow_interpret.autologging.training_calls import FitEvent
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.row_sample import RowSample
from mlflow_interpret.runtime.exit_hooks import call_at_exit
from mlflow_interpret.runtime.forks import call_after_fork

_logger = logging.getLogger("mlflow_interpret")

MAX_MODELS = 100
"""The latest models whose rows are kept, and the latest models of a run that are explained."""

_WEIGHTS = "The sample_weight of partial_fit does not weigh the background rows."

Explain = Callable[[FitEvent, RunContext], None]


@dataclass(eq=False)
class _Training:
    """The batches that a model was trained with so far."""

    model: Callable[[], Any]
    sample: RowSample
    started: float
    seconds: float = 0.0
    rows_changed: bool = False
    has_weights: bool = False
    rows_error: CannotExplainError | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, event: FitEvent) -> None:
        """Add the rows of a batch."""
        with self.lock:
            self.seconds += event.seconds
            self.rows_changed |= event.rows_changed
            self.has_weights |= event.sample_weight is not None
            self.rows_error = self.rows_error or event.rows_error
            try:
                self.sample.add(event.X, event.y)
            except CannotExplainError as error:
                self.rows_error = error

    def event(self, model: Any) -> FitEvent:
        """The event of all batches together."""
        with self.lock:
            X, y, error = None, None, self.rows_error
            if error is None:
                try:
                    X, y = self.sample.rows()
                except CannotExplainError as reason:
                    error = reason
            return FitEvent(
                model,
                X,
                y,
                rows_changed=self.rows_changed,
                started=self.started,
                seconds=self.seconds,
                rows_error=error,
                notes=(self._note(), *([_WEIGHTS] if self.has_weights else [])),
            )

    def _note(self) -> str:
        n_kept, sample = min(self.sample.n_seen, self.sample.max_rows), self.sample
        return (
            f"Trained by partial_fit with {sample.n_batches:,} batches of {sample.n_seen:,} rows, "
            f"of which a seeded sample of {n_kept:,} takes the place of the training rows."
        )


@dataclass(frozen=True, eq=False)
class _Pending:
    """A model that is explained when its run ends."""

    model: Any
    training: _Training
    context: RunContext
    explain: Explain


class _Registry:
    """The trainings and the pending models of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trainings: dict[int, _Training] = {}
        self._pending: dict[str, dict[int, _Pending]] = {}  # by run, then by model
        self._remove_hook: Callable[[], None] | None = None

    def training(self, event: FitEvent, seed: int) -> _Training:
        """The training of an event's model, a new one with its first batch."""
        with self._lock:
            training = self._known(event.model)
            if training is None:
                training = _Training(_reference(event.model), RowSample(seed), event.started)
            key = id(event.model)
            self._trainings.pop(key, None)
            self._trainings[key] = training  # the latest is the last
            _drop_oldest(self._trainings)
            return training

    def known(self, model: Any) -> _Training | None:
        """The training of a model, None if there was no batch."""
        with self._lock:
            return self._known(model)

    def _known(self, model: Any) -> _Training | None:
        training = self._trainings.get(id(model))
        return training if training is not None and training.model() is model else None

    def put(self, pending: _Pending) -> bool:
        """Explain a model when its run ends; return whether it is new in its run."""
        run_id = str(pending.context.run_id)
        with self._lock:
            models = self._pending.setdefault(run_id, {})
            is_new = models.pop(id(pending.model), None) is None
            models[id(pending.model)] = pending
            _drop_oldest(models)
            if self._remove_hook is None:
                self._remove_hook = mlflow_patches.before_run_ends(_before_run_ends)
        return is_new

    def take(self, run_id: str | None = None) -> list[_Pending]:
        """Remove and return the pending models of a run, or of all runs."""
        with self._lock:
            run_ids = list(self._pending) if run_id is None else [run_id]
            pending = [item for id_ in run_ids for item in self._pending.pop(id_, {}).values()]
            self._unhook()
            return pending

    def forget(self, model: Any, *, training: bool = True) -> None:
        """Explain a model no more; its rows are kept unless ``training``."""
        with self._lock:
            if training:
                self._trainings.pop(id(model), None)
            for models in self._pending.values():
                models.pop(id(model), None)
            self._pending = {run_id: models for run_id, models in self._pending.items() if models}
            self._unhook()

    def _unhook(self) -> None:
        if not self._pending and self._remove_hook is not None:
            self._remove_hook()
            self._remove_hook = None


_registry = _Registry()


def _reference(model: Any) -> Callable[[], Any]:
    """A weak reference, so that a model without a run is not kept alive."""
    try:
        return weakref.ref(model)
    except TypeError:  # a class with __slots__
        return lambda: model


def _drop_oldest(entries: dict[int, Any]) -> None:
    while len(entries) > MAX_MODELS:
        del entries[next(iter(entries))]


def add(event: FitEvent, seed: int, context: RunContext | None, explain: Explain) -> bool:
    """Add a batch to the training of a model.

    Args:
        event: The event of the batch.
        seed: The seed of the sample of rows.
        context: The run at whose end the model is explained, or None.
        explain: Explains the event of all batches; called when the run ends.

    Returns:
        Whether it is the first batch of the model in its run.
    """
    training = _registry.training(event, seed)
    training.add(event)
    if context is None:
        return training.sample.n_batches == 1
    return _registry.put(_Pending(event.model, training, context, explain))


def event_of(model: Any) -> FitEvent | None:
    """The event of all batches of a model; None if there was none."""
    training = _registry.known(model)
    return None if training is None else training.event(model)


def forget(model: Any) -> None:
    """Forget the batches of a model, which ``fit`` has trained anew."""
    _registry.forget(model)


def is_explained(model: Any) -> None:
    """Explain a model no more when its run ends, unless further batches come."""
    _registry.forget(model, training=False)


def clear() -> None:
    """Forget all pending models."""
    _registry.take()


def _before_run_ends(run_id: str, status: str) -> None:
    pending = _registry.take(run_id)
    if str(status) != "FINISHED":  # the note in the run stays
        return
    for item in pending:
        _explain(item)


def _explain(pending: _Pending) -> None:
    pending.explain(pending.training.event(pending.model), pending.context)


def _at_exit() -> None:
    """Explain the models of runs that the launcher of this process ends."""
    for pending in _registry.take():
        _explain(pending)


def _reset_after_fork() -> None:
    """Leave the pending models to the parent of a forked process."""
    global _registry  # noqa: PLW0603 - one process has one registry
    _registry = _Registry()


call_after_fork(_reset_after_fork)
call_at_exit(_at_exit)
