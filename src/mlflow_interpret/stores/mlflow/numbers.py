"""Numbers of a run's explanations, reserved in memory while a log is under way.

The number of an explanation is read from the run and written to it several requests later. Parallel
logs of this process into one run get different numbers from here; no lock is held while the server
is asked. Logs of other processes are noticed by the artifact folders that exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from mlflow_interpret.runtime.forks import ForkSafeLock
from mlflow_interpret.stores.mlflow.places import Place


@dataclass
class _RunNumbers:
    last: int = 0
    ids: dict[int, str] = field(default_factory=dict)
    stored: dict[int, bool] = field(default_factory=dict)


class RunNumbers:
    """The numbers that this process has given to explanations of each run."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()  # for dictionary access only
        self._runs: dict[tuple[str, str], _RunNumbers] = {}

    @contextmanager
    def reserved(
        self, tracking_uri: str, run_id: str, place: Place, explanation_id: str | None = None
    ) -> Iterator[int]:
        """Reserve a number; an exception in the context gives it back.

        Args:
            tracking_uri: The tracking URI.
            run_id: The run.
            place: The place of the explanation, as the server says.
            explanation_id: The explanation, None for a fit that was skipped.
        """
        with self._lock:
            run = self._runs.setdefault((tracking_uri, run_id), _RunNumbers())
            number = place.number if place.is_begun else max(place.number, run.last + 1)
            run.last = max(run.last, number)
            if explanation_id is not None:
                run.ids[number] = explanation_id
        try:
            yield number
        except BaseException:
            with self._lock:
                if number not in run.stored:
                    run.ids.pop(number, None)
                    run.last -= run.last == number
            raise

    def ids(self, tracking_uri: str, run_id: str) -> Mapping[int, str]:
        """Return the explanations that this process has logged into a run, by their numbers."""
        with self._lock:
            run = self._runs.get((tracking_uri, run_id))
            return {} if run is None else dict(run.ids)

    def mark_stored(self, tracking_uri: str, run_id: str, number: int, *, explained: bool) -> None:
        """Note that the artifacts of a number are in the run.

        Args:
            tracking_uri: The tracking URI.
            run_id: The run.
            number: The reserved number.
            explained: It is an explanation, not the reason that there is none.
        """
        with self._lock:
            self._runs[tracking_uri, run_id].stored[number] = explained

    def stored(self, tracking_uri: str, run_id: str) -> Mapping[int, bool]:
        """Return the stored numbers of a run, True for those of explanations."""
        with self._lock:
            run = self._runs.get((tracking_uri, run_id))
            return {} if run is None else dict(run.stored)
