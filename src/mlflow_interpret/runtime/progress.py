"""A progress bar for what takes longer than two seconds, where somebody looks."""

from __future__ import annotations

import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

DELAY = 2.0
"""Seconds before a bar is shown: what is over sooner needs none."""

_PACE = 0.5  # seconds between two looks at what is waited for

_bars: list[Any] = []  # those that are shown

Report = Callable[[int, "int | None"], None]
"""Says how much is done and of how much in all, or None where that is not known."""


@contextmanager
def progress(what: str, *, unit: str = "it", silent: bool = False) -> Iterator[Report]:
    """Show how far something is while it lasts, by tqdm.

    A bar appears with the first report after `DELAY` seconds, in a notebook or where standard
    error is a terminal, and leaves nothing behind. Elsewhere, as in logs, nothing is shown.

    Args:
        what: Stands before the bar.
        unit: What is counted, as ``"rows"``.
        silent: Show nothing.

    Yields:
        A function of what is done so far and the total; it may be called from any thread, and it
        never raises.
    """
    if silent or not (_in_notebook() or _on_terminal()):
        yield nothing
        return
    began, lock = time.monotonic(), Lock()
    bar: Any = None

    def report(done: int, total: int | None) -> None:
        nonlocal bar
        if time.monotonic() - began < DELAY:
            return
        # The terminal may be gone, and the work goes on.
        with lock, suppress(Exception):
            if bar is None:
                bar = _bar(what, unit, done, total)
                _bars.append(bar)
            bar.total = total
            if done > bar.n:
                bar.update(done - bar.n)
            else:
                bar.refresh()  # the time goes on

    try:
        yield report
    finally:
        with lock, suppress(Exception):
            if bar is not None:
                _bars.remove(bar)
                bar.close()


def wait(
    left: Callable[[], int],
    pause: Callable[[float], object],
    timeout: float | None,
    *,
    what: str,
    unit: str,
    silent: bool = False,
) -> int:
    """Wait until nothing is left, with a bar as of `progress`.

    Args:
        left: Says how many are left.
        pause: Waits for at most so many seconds.
        timeout: Seconds to wait at most, None for as long as it takes.
        what: Stands before the bar.
        unit: What is counted.
        silent: Show nothing.

    Returns:
        How many are left.
    """
    end = math.inf if timeout is None else time.monotonic() + timeout
    most = count = left()
    with progress(what, unit=unit, silent=silent) as report:
        while count and (seconds := end - time.monotonic()) > 0:
            pause(min(seconds, _PACE))
            count = left()
            most = max(most, count)
            report(most - count, most)
    return count


@contextmanager
def aside() -> Iterator[None]:
    """Take the bars off the terminal while a line is written to it."""
    bars = list(_bars)
    with suppress(Exception):
        for bar in bars:
            bar.clear()
    try:
        yield
    finally:
        with suppress(Exception):
            for bar in bars:
                if bar in _bars:
                    bar.refresh()


def nothing(done: int, total: int | None) -> None:
    """Shows nothing."""


def _bar(what: str, unit: str, done: int, total: int | None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without ipywidgets: the bar is text there
        from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc, unused-ignore]
        monitor_interval = 0  # starts no thread in the user's process

    return Bar(
        desc=what,
        unit=f" {unit}",
        initial=done,
        total=total,
        leave=False,
        miniters=1,
        **({} if _has_size() else {"ncols": 80, "nrows": 24}),
    )


def _has_size() -> bool:
    """Some terminals, as those of containers, say that they are 0 characters wide."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError, AttributeError):  # no terminal: tqdm knows what to do
        return True


def _on_terminal() -> bool:
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, ValueError):  # there is no standard error, or it is closed
        return False


def _in_notebook() -> bool:
    # Asked as tqdm asks: only a kernel that draws loads this.
    return "ipykernel.zmqshell" in sys.modules
