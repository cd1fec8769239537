"""Run cases in child processes that can be killed when they take too long."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from benchmarks.covering.outcomes import ERROR, TIMEOUT, Ours, Peer, Row

_STARTING = 300.0  # seconds for the imports of a new child
_MEMORY = 8 * 2**30  # bytes a child may take, so that a case fails and not the machine


@dataclass(frozen=True)
class Settings:
    """Settings of a benchmark run.

    Attributes:
        max_rows: Maximum number of explained rows, None for the default of the package.
        peer: Whether to run plain TabularExplainer, too.
        peer_timeout: Seconds it may take.
        own_timeout: Seconds the fit and our explanation may take.
        workers: How many child processes.
    """

    max_rows: int | None
    peer: bool
    peer_timeout: float
    own_timeout: float
    workers: int


def serve(connection: Connection, settings: Settings) -> None:
    """The child process: receives keys of cases, sends outcomes."""
    _silence()
    _limit_memory()
    from benchmarks.covering import ours, peer, registry

    cases = {case.key: case for case in registry.cases()}
    ours.warm_up()
    connection.send(("ready", None))
    while (key := connection.recv()) is not None:
        explained = ours.run(cases[key], settings.max_rows)
        connection.send(("ours", explained.ours))
        if settings.peer and explained.fitted is not None:
            connection.send(("peer", peer.run(explained)))
        connection.send(("done", None))


def _silence() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))


class _Slot:
    """A child process and its current case."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.key: str | None = None
        self.phase = "start"
        self.start()

    def start(self) -> None:
        """A new child; numerical libraries get one thread, as the children are several."""
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self._settings), daemon=True)
        self.process.start()
        theirs.close()
        self.phase = "start"
        self.deadline = time.monotonic() + _STARTING

    def give(self, key: str) -> None:
        """Send the child its next case."""
        self.key, self.phase = key, "ours"
        self.deadline = time.monotonic() + self._settings.own_timeout
        self.connection.send(key)

    def peer_next(self) -> None:
        """Note our outcome; the time of the peer starts."""
        self.phase = "peer"
        self.deadline = time.monotonic() + self._settings.peer_timeout

    def replace(self) -> None:
        """Kill the child and start another."""
        self.process.kill()
        self.process.join()
        self.connection.close()
        self.key = None
        self.start()

    def stop(self) -> None:
        """Let the child end, or end it."""
        if self.phase == "idle":
            with suppress(OSError):
                self.connection.send(None)
            self.process.join(10)
        self.process.kill()
        self.process.join()


def run(keys: Sequence[str], rows: dict[str, Row], settings: Settings) -> Iterator[Row]:
    """Run the cases of these keys; yields each row when it is complete."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["TQDM_DISABLE"] = "1"
    # A killed child leaves semaphores behind, which are cleaned up, and warned of, at the end.
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning:multiprocessing.resource_tracker"
    waiting = list(keys)
    slots = [_Slot(settings) for _ in range(min(settings.workers, len(waiting)))]
    left = len(waiting)
    try:
        while left:
            for slot in _due(slots):
                key = slot.key
                if _step(slot, rows, settings, lambda: waiting.pop(0) if waiting else None):
                    left -= 1
                    yield rows[key or ""]
    finally:
        for slot in slots:
            slot.stop()


def _due(slots: Sequence[_Slot]) -> list[_Slot]:
    """The children with a message, or whose time is up."""
    active = [slot for slot in slots if slot.phase != "idle"]
    soonest = max(0.0, min(slot.deadline for slot in active) - time.monotonic())
    ready = wait([slot.connection for slot in active], timeout=soonest)
    now = time.monotonic()
    return [s for s in active if s.connection in ready or s.deadline <= now]


def _step(
    slot: _Slot, rows: dict[str, Row], settings: Settings, following: Callable[[], str | None]
) -> bool:
    """Handle one message, or the end of the time; whether a case has ended."""
    try:
        if not slot.connection.poll():
            return _give_up(slot, rows, settings, "timed out")
        kind, outcome = slot.connection.recv()
    except (EOFError, OSError):
        return _give_up(slot, rows, settings, "the process died")
    if kind == "ours":
        rows[_key(slot)].ours = outcome
        slot.peer_next()
        return False
    if kind == "peer":
        rows[_key(slot)].peer = outcome
        return False
    ended: bool = kind == "done"
    _next(slot, following())
    return ended


def _next(slot: _Slot, key: str | None) -> None:
    if key is None:
        slot.phase, slot.key = "idle", None
    else:
        slot.give(key)


def _key(slot: _Slot) -> str:
    assert slot.key is not None  # noqa: S101 - only asked while a case runs
    return slot.key


def _give_up(slot: _Slot, rows: dict[str, Row], settings: Settings, why: str) -> bool:
    """Note the case that did not end, and replace the child."""
    if slot.phase == "start":
        raise RuntimeError(f"a child process could not start: {why}")
    row = rows[_key(slot)]
    limit: Any = settings.own_timeout if slot.phase == "ours" else settings.peer_timeout
    text = f"{why} after {limit:.0f} s" if why == "timed out" else why
    if slot.phase == "ours":
        row.ours = Ours(ERROR, f"the fit or the explanation {text}")
    else:
        row.peer = Peer(TIMEOUT, text)
    slot.replace()
    return True
