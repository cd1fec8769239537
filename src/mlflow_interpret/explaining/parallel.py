"""Explain parts of the rows in parallel: with joblib on this machine, or on its other backends."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import joblib
import numpy as np
import numpy.typing as npt
from sklearn import config_context, get_config

from mlflow_interpret.core.errors import CannotExplainError, MlflowInterpretError
from mlflow_interpret.explaining.aggregates import Aggregates, Collect, merge_all
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.explainers.base import Explainer
from mlflow_interpret.explaining.joblib_pool import open_pool_size
from mlflow_interpret.explaining.time_budget import OutOfTimeError
from mlflow_interpret.runtime.forks import ForkSafeLock
from mlflow_interpret.runtime.isolation import suppress_warnings

_logger = logging.getLogger(__name__)

_WORTHWHILE_SECONDS = 10.0
"""Work for which other processes of this machine are started; a start takes about two seconds."""
_LARGEST_MODEL = 500_000_000
"""Bytes of a model that is copied to other processes without being asked for."""
_ATTEMPTS = 2
_CACHED_EXPLAINERS = 2
"""Number of explainers that a worker keeps."""


@dataclass(frozen=True, eq=False)
class RowTask:
    """Explains batches of rows and aggregates them, in any process.

    Attributes:
        explainer: Explains the rows.
        collect: Aggregates a batch.
        scale: Name of the model output that is explained.
        settings: scikit-learn's settings, on which the steps of pipelines depend.
    """

    explainer: Explainer
    collect: Collect
    scale: str | None
    settings: Mapping[str, Any] = field(default_factory=get_config)

    def __call__(self, batches: Iterable[RowBatch]) -> Aggregates | None:
        """Explain batches; None for no rows.

        Raises:
            CannotExplainError: The explainer cannot explain some of the rows.
            OutOfTimeError: The budget ran out.
        """
        with config_context(**self.settings):
            return merge_all(
                self.collect(self.explainer.explain(batch, self.scale), batch) for batch in batches
            )


class RowPart(Protocol):
    """Rows that are explained by one worker."""

    def batches(self) -> Iterable[RowBatch]:
        """The rows in batches, read where the part is explained."""
        ...


Outcome = Aggregates | CannotExplainError | OutOfTimeError | None


class Workers:
    """Explains parts of the rows in parallel, if that pays off or was asked for.

    Args:
        explainer: Explains the rows; it is sent to each worker once.
        n_jobs: As in scikit-learn. None: as ``joblib.parallel_config`` says, and outside of it all
            cores as soon as the work is worth it.
    """

    def __init__(self, explainer: Explainer, n_jobs: int | None) -> None:
        self._explainer, self._n_jobs = explainer, n_jobs
        backend, configured = joblib.parallel.get_active_backend()
        self._is_nested = bool(backend.nesting_level)
        is_default = type(backend) is joblib.parallel.BACKENDS["loky"]
        self._is_configured = not is_default or configured is not None
        self._configured_jobs = configured
        # Unordered results arrive as they end, so those that are ready outlive a lost worker.
        streams = getattr(backend, "supports_return_generator", False)
        self._return_as = "generator_unordered" if streams else "list"
        self._key = uuid.uuid4().hex
        self._pickled: npt.NDArray[np.uint8] | None = None
        self.failure: MlflowInterpretError | None = None

    def count(self, seconds: float) -> int:
        """Number of workers for work that takes one of them a number of seconds."""
        if self.failure is not None:
            return 1
        n_jobs = self._requested(seconds)
        if n_jobs == 1 or not self._can_be_sent():
            return 1
        return max(1, int(joblib.effective_n_jobs(n_jobs)))

    def _requested(self, seconds: float) -> int:
        if self._n_jobs is not None:
            return self._n_jobs
        if self._is_nested:
            return 1  # the cores are busy with the work of the caller
        if self._is_configured:
            return -1 if self._configured_jobs is None else int(self._configured_jobs)
        if seconds < _WORTHWHILE_SECONDS or not self._explainer.info.is_parallel:
            return 1
        return open_pool_size() or -1  # another number would close the open pool

    def _can_be_sent(self) -> bool:
        if self._pickled is None:
            import cloudpickle

            try:
                self._pickled = np.frombuffer(cloudpickle.dumps(self._explainer), np.uint8)
            except Exception as error:  # a model that holds a lock, an open file, ...
                self._fail("the model cannot be sent to other processes", error)
                return False
        was_requested = self._n_jobs is not None or self._is_configured
        return was_requested or self._pickled.nbytes <= _LARGEST_MODEL

    def _fail(self, reason: str, error: Exception | None) -> None:
        _logger.debug("Not explained in parallel: %s", reason, exc_info=error)
        self.failure = MlflowInterpretError(reason, error)

    def map(self, task: RowTask, parts: Sequence[RowPart], n_jobs: int) -> Iterator[Aggregates]:
        """Explain parts, and yield the aggregates of those with rows in their order.

        Parts that are lost with a worker are explained again, in the end in this process.

        Args:
            task: Explains and aggregates the rows of a part.
            parts: The parts.
            n_jobs: Number of workers, as `count` gives it.

        Raises:
            CannotExplainError: The explainer cannot explain some of the rows.
            OutOfTimeError: The budget ran out; the parts before were yielded.
        """
        outcomes: dict[int, Outcome] = {}  # of parts that follow a missing one
        position = 0
        if n_jobs > 1:
            in_order = self._in_parallel(task, parts, n_jobs, outcomes)
            for outcome in in_order:
                if isinstance(outcome, OutOfTimeError):
                    for _ in in_order:  # the other workers run out of time, too
                        pass
                position += 1
                yield from _aggregates(outcome)
        for i in range(position, len(parts)):
            yield from _aggregates(outcomes.pop(i) if i in outcomes else task(parts[i].batches()))

    def _in_parallel(
        self, task: RowTask, parts: Sequence[RowPart], n_jobs: int, outcomes: dict[int, Outcome]
    ) -> Iterator[Outcome]:
        """Yield outcomes in the order of the parts, up to the first part that is lost twice.

        The outcomes of the parts that follow it stay in ``outcomes``.
        """
        position = 0
        failure: Exception | None = None
        for _ in range(_ATTEMPTS):  # a lost worker may be replaced by the second attempt
            missing = [i for i in range(position, len(parts)) if i not in outcomes]
            try:
                for i, outcome in self._run(task, parts, missing):
                    outcomes[i] = outcome
                    while position in outcomes:
                        position += 1
                        yield outcomes.pop(position - 1)
            except Exception as error:  # a worker was lost, or cannot load the model
                failure = error
            while position in outcomes:
                position += 1
                yield outcomes.pop(position - 1)
            if position == len(parts):
                return
        reason = f"explaining with {n_jobs} workers failed with {type(failure).__name__}"
        self._fail(reason, failure)

    def _run(
        self, task: RowTask, parts: Sequence[RowPart], indices: Sequence[int]
    ) -> Iterable[tuple[int, Outcome]]:
        """The outcomes of some parts with their positions, in any order."""
        assert self._pickled is not None  # noqa: S101 - `count` has pickled it
        sent = _SentTask(self._key, self._pickled, task.collect, task.scale, task.settings)
        n_jobs = self._requested(float("inf"))
        parallel = joblib.Parallel(n_jobs, return_as=self._return_as, batch_size=1)
        calls = (joblib.delayed(_explain_part)(sent, parts[i], i) for i in indices)
        outcomes: Iterable[tuple[int, Outcome]] = parallel(calls)
        return outcomes


def _aggregates(outcome: Outcome) -> Iterator[Aggregates]:
    if isinstance(outcome, Exception):
        raise outcome
    if outcome is not None:
        yield outcome


# In the worker ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _SentTask:
    """A task whose explainer is pickled."""

    key: str
    pickled: npt.NDArray[np.uint8]
    collect: Collect
    scale: str | None
    settings: Mapping[str, Any]

    def received(self) -> RowTask:
        """The task, with the explainer that this worker has unpickled."""
        explainer = _unpickled(self.key, self.pickled)
        return RowTask(explainer, self.collect, self.scale, self.settings)


_explainers: dict[str, Explainer] = {}
_LOCK = ForkSafeLock()


def _explain_part(task: _SentTask, part: RowPart, index: int) -> tuple[int, Outcome]:
    try:
        with suppress_warnings():
            return index, task.received()(part.batches())
    except (CannotExplainError, OutOfTimeError) as error:
        return index, error


def _unpickled(key: str, pickled: npt.NDArray[np.uint8]) -> Explainer:
    """The explainer, which each worker unpickles and prepares once."""
    import cloudpickle

    with _LOCK:
        if key not in _explainers:
            while len(_explainers) >= _CACHED_EXPLAINERS:
                del _explainers[next(iter(_explainers))]
            _explainers[key] = cloudpickle.loads(pickled.tobytes())
        return _explainers[key]
