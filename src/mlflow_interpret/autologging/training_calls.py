"""A training call of the user: its rows before it starts, its model when it has succeeded."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from mlflow_interpret.autologging import mlflow_patches
from mlflow_interpret.autologging.libraries import Library
from mlflow_interpret.autologging.sample_weights import sample_weights
from mlflow_interpret.autologging.training_arguments import Call
from mlflow_interpret.autologging.training_notes import training_notes
from mlflow_interpret.core.errors import CannotExplainError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitEvent:
    """A training call of the user that has just succeeded.

    Attributes:
        model: The fitted model.
        X: The training rows as passed.
        y: The labels as passed, or None.
        sample_weight: The weights of the rows as passed, or None.
        rows_error: Why the rows could not be read from a container of the library; X is None then.
        rows_changed: The call changed the rows in place.
        started: When the call started, in seconds since 1970.
        is_clusterer: The model is a clusterer.
        seconds: The duration of the call.
        function: The function that was called, or None for a method of the model.
        unexplained: Why there is nothing to explain, as of `Library.unexplained`, or None.
        is_incremental: The call trained the model further with a batch of rows.
        notes: Sentences about the rows for the status record.
        run_before: The run that this thread had ended last when the call started, or None.
    """

    model: Any
    X: Any
    y: Any
    rows_changed: bool = False
    started: float = 0.0
    is_clusterer: bool = False
    seconds: float = 0.0
    rows_error: CannotExplainError | None = None
    function: str | None = None
    unexplained: str | None = None
    is_incremental: bool = False
    notes: tuple[str, ...] = ()
    sample_weight: Any = None
    run_before: str | None = field(default_factory=mlflow_patches.last_run_id)

    @property
    def name(self) -> str:
        """The class of the model, or the function where it returns no model."""
        is_function = self.unexplained is not None and self.function is not None
        return str(self.function) if is_function else type(self.model).__name__


class TrainingCall:
    """A training call of the user, from before it starts.

    Args:
        library: The library of the method or function.
        call: The call.
    """

    def __init__(self, library: Library, call: Call) -> None:
        self._library, self._call = library, call
        self._X, self._y, self._sample_weight = None, None, None
        self._rows_error: CannotExplainError | None = None
        # Not asked again after the call: attributes of a fitted object may give another answer.
        self._is_model = None if call.instance is None else _is_model(library, call.instance)
        if self._is_model is not False:
            self._read_rows()
        self._fingerprint = _fingerprint(self._X)
        self._run_before = mlflow_patches.last_run_id()
        self._started, self._clock = time.time(), time.monotonic()

    def _read_rows(self) -> None:
        try:
            self._X, self._y = self._library.training_data(self._call)
            self._sample_weight = sample_weights(self._call, self._X)
        except CannotExplainError as error:
            self._rows_error = error
        except Exception:  # arguments that do not match the signature raise in the call itself
            _logger.debug("The arguments were not understood", exc_info=True)

    def event(self, result: Any) -> FitEvent | None:
        """The event of the call; None if it trained nothing that could be explained.

        Args:
            result: The result of the call.
        """
        seconds = time.monotonic() - self._clock
        library = self._library
        try:
            model = library.trained_model(self._call, result)
            is_model = library.is_model(model) if self._is_model is None else self._is_model
            unexplained = None if is_model else library.unexplained(model)
        except Exception:  # training has succeeded
            _logger.debug("The result was not understood", exc_info=True)
            return None
        has_rows = self._X is not None or self._rows_error is not None
        if not (is_model and has_rows) and unexplained is None:
            return None
        return FitEvent(
            model,
            self._X,
            self._y,
            rows_changed=self._fingerprint != _fingerprint(self._X),
            started=self._started,
            is_clusterer=is_model and library.is_clusterer(model),
            seconds=seconds,
            rows_error=self._rows_error,
            function=None if self._call.instance is not None else self._call.function.__name__,
            unexplained=unexplained,
            is_incremental=library.is_incremental,
            notes=training_notes(self._call),
            sample_weight=self._sample_weight,
            run_before=self._run_before,
        )


def _is_model(library: Library, instance: Any) -> bool:
    try:
        return library.is_model(instance)
    except Exception:  # the call must not fail for it
        _logger.debug("The object was not understood", exc_info=True)
        return False


def _fingerprint(X: Any) -> bytes | None:
    """The cells of three rows, enough to notice that ``copy=False`` scaled them in place."""
    try:
        numbers = [0, X.shape[0] // 2, X.shape[0] - 1]
        rows = X.iloc[numbers].to_numpy() if hasattr(X, "iloc") else X[numbers]
        return bytes(rows.tobytes()) if rows.dtype != object else repr(rows.tolist()).encode()
    except Exception:  # lists and sparse matrices, which no step changes in place
        return None
