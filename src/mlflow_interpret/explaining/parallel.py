"""Blocks of rows at once, by joblib: on this machine's cores, or wherever its backend runs them."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
from sklearn import config_context, get_config

from mlflow_interpret.core.errors import CannotExplainError, MlflowInterpretError
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.explainers.base import Explainer
from mlflow_interpret.explaining.time_budget import OutOfTimeError
from mlflow_interpret.runtime.isolation import suppress_warnings

_logger = logging.getLogger(__name__)

_WORTH = 10.0
"""Seconds of work that other processes of this machine are started for: a start takes some two."""
_LARGEST = 500_000_000
"""Bytes of a model that is copied to other processes without being asked."""
_TRIES = 2
_KEPT = 2
"""Engines that a worker remembers."""

Ended = Attributions | CannotExplainError | OutOfTimeError


class Workers:
    """Explains blocks of rows at once, where that pays or was asked for.

    Args:
        engine: What explains them; it is sent to each worker once.
        n_jobs: As in scikit-learn. None: as ``joblib.parallel_config`` says; outside of it, all
            cores as soon as the work is worth it.
    """

    def __init__(self, engine: Explainer, n_jobs: int | None) -> None:
        self._engine, self._n_jobs = engine, n_jobs
        backend, configured = joblib.parallel.get_active_backend()
        self._nested = bool(backend.nesting_level)
        self._named = (
            type(backend) is not joblib.parallel.BACKENDS["loky"] or configured is not None
        )
        self._configured = configured
        # Each block comes back as it ends where the backend can do that, so that those which are
        # ready are kept when a worker is lost.
        streams = getattr(backend, "supports_return_generator", False)
        self._return_as = "generator_unordered" if streams else "list"
        self._key = uuid.uuid4().hex
        self._sent: npt.NDArray[np.uint8] | None = None
        self.failure: MlflowInterpretError | None = None

    def count(self, seconds: float) -> int:
        """How many blocks are to be explained at once, the work taking so many seconds by one."""
        if self.failure is not None:
            return 1
        wanted = self._wanted(seconds)
        if wanted == 1 or not self._is_sendable():
            return 1
        return max(1, int(joblib.effective_n_jobs(wanted)))

    def _wanted(self, seconds: float) -> int:
        if self._n_jobs is not None:
            return self._n_jobs
        if self._nested:
            return 1  # somebody else's work is spread over the cores already
        if self._named:
            return -1 if self._configured is None else int(self._configured)
        if seconds < _WORTH or not self._engine.info.is_parallel:
            return 1
        return _pool_size()

    def _is_sendable(self) -> bool:
        if self._sent is None:
            import cloudpickle

            try:
                self._sent = np.frombuffer(cloudpickle.dumps(self._engine), np.uint8)
            except Exception as error:  # a model that holds a lock, an open file, ...
                self._fail("the model cannot be sent to other processes", error)
                return False
        asked = self._n_jobs is not None or self._named
        return asked or self._sent.nbytes <= _LARGEST

    def _fail(self, reason: str, error: Exception | None) -> None:
        _logger.debug("No parallel blocks: %s", reason)
        self.failure = MlflowInterpretError(reason, error)

    def explain(
        self, tables: Sequence[RowBatch], scale: str | None, n: int
    ) -> Iterator[Attributions]:
        """The blocks of all tables, in their order.

        What is lost with a worker is explained again, in the end in this process.

        Raises:
            CannotExplainError: The engine cannot explain some of them.
            OutOfTimeError: The budget is spent; blocks that are ready were given.
        """
        ended: list[Ended | None] = [None] * len(tables)
        if n > 1:
            for _ in range(_TRIES):
                failure = self._try(tables, ended, scale)
                if None not in ended:
                    break
            else:
                self._fail(f"{n} blocks at once failed", failure)
        for table, known in zip(tables, ended, strict=True):
            block = self._engine.explain(table, scale) if known is None else known
            if not isinstance(block, Attributions):
                raise block
            yield block

    def _try(
        self, tables: Sequence[RowBatch], ended: list[Ended | None], scale: str | None
    ) -> Exception | None:
        """Explain what is missing, and say what failed; a second time a lost worker may be back."""
        missing = [i for i, known in enumerate(ended) if known is None]
        wanted = self._wanted(float("inf"))
        call = joblib.delayed(_explain)
        here = _Sender(os.getpid(), get_config())
        try:
            found = joblib.Parallel(wanted, return_as=self._return_as, batch_size=1)(
                call(self._sent, self._key, here, tables[i], scale, i) for i in missing
            )
            for i, block in found:
                ended[i] = block
        except Exception as error:  # a worker was lost, or cannot load the model
            _logger.debug("Blocks at once failed", exc_info=True)
            return error
        return None


def _pool_size() -> int:
    """All cores; or as many as an open pool of joblib has, since another number would close it."""
    from joblib.externals.loky import reusable_executor

    size = getattr(getattr(reusable_executor, "_executor", None), "_max_workers", None)
    return size if isinstance(size, int) else -1


# In the worker ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sender:
    """The process that the blocks come from, and scikit-learn's settings in it."""

    pid: int
    settings: dict[str, Any]


_engines: dict[str, Explainer] = {}
_LOCK = threading.Lock()


def _explain(
    sent: npt.NDArray[np.uint8],
    key: str,
    sender: _Sender,
    rows: RowBatch,
    scale: str | None,
    number: int,
) -> tuple[int, Ended]:
    engine = _received(sent, key)
    try:
        with suppress_warnings(), config_context(**sender.settings):
            return number, engine.explain(rows, scale)
    except (CannotExplainError, OutOfTimeError) as error:
        return number, error


def _received(sent: npt.NDArray[np.uint8], key: str) -> Explainer:
    """The engine, which is unpickled and made ready once in each worker."""
    import cloudpickle

    with _LOCK:
        if key not in _engines:
            while len(_engines) >= _KEPT:
                del _engines[next(iter(_engines))]
            _engines[key] = cloudpickle.loads(sent.tobytes())
        return _engines[key]
