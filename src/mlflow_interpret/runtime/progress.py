"""Progress bars for work of more than two seconds, on terminals and in notebooks."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

from mlflow_interpret.runtime.isolation import suppress_warnings

DELAY = 2.0
"""Seconds before a bar is shown."""

POLL_SECONDS = 0.5
"""Longest pause between two updates while `wait` waits."""

_bars: list[Any] = []  # open bars, whether they are shown yet or not

Report = Callable[[int, "int | None"], None]
"""A function of the number of finished items and of all items, None if that is unknown."""


@contextmanager
def progress(description: str, *, unit: str = "it", silent: bool = False) -> Iterator[Report]:
    """Show a progress bar by tqdm for the time of a block.

    The bar appears after `DELAY` seconds, in a notebook or where standard error is a terminal, and
    is removed at the end. Nothing is shown elsewhere, for example in logs.

    Args:
        description: The text before the bar.
        unit: The items that are counted, as ``"rows"``.
        silent: Show nothing.

    Yields:
        A function that updates the bar. It may be called from any thread, and it never raises.
    """
    bar = None if silent or not (is_notebook() or _is_terminal()) else _new_bar(description, unit)
    if bar is None:
        yield nothing
        return
    lock = Lock()

    def report(done: int, total: int | None) -> None:
        # The terminal may be gone; the work continues.
        with lock, suppress(Exception):
            bar.total = None if total is None else max(total, done, bar.n)
            bar.update(max(done - bar.n, 0))

    _bars.append(bar)
    try:
        yield report
    finally:
        with lock, suppress(Exception):
            _bars.remove(bar)
            bar.close()


def wait(
    count_left: Callable[[], int],
    pause: Callable[[float], object],
    timeout: float | None,
    *,
    description: str,
    unit: str,
    silent: bool = False,
) -> int:
    """Wait until no item is left, with a progress bar.

    Args:
        count_left: Returns the number of items that are left.
        pause: Waits for at most the given number of seconds.
        timeout: Maximum number of seconds, or None for no limit.
        description: The text before the bar.
        unit: The items that are counted.
        silent: Show nothing.

    Returns:
        The number of items that are left.
    """
    end = math.inf if timeout is None else time.monotonic() + timeout
    total = remaining = count_left()
    with progress(description, unit=unit, silent=silent) as report:
        while remaining and (seconds := end - time.monotonic()) > 0:
            pause(min(seconds, POLL_SECONDS))
            remaining = count_left()
            total = max(total, remaining)
            report(total - remaining, total)
    return remaining


@contextmanager
def aside() -> Iterator[None]:
    """Clear the bars while a line is written to the terminal."""
    bars = [bar for bar in _bars if _is_shown(bar)]
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
    """Show no progress."""


def import_tqdm() -> type[Any]:
    """Import tqdm without its warning in notebooks that lack ipywidgets: its bars work there, too.

    MLflow and shap import it as well, and Python runs the import once: whoever is first decides
    whether the user sees the warning.
    """
    with suppress_warnings():
        from tqdm.auto import tqdm
    return tqdm  # type: ignore[no-any-return, unused-ignore]


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    # As tqdm finds out: only a kernel that draws loads this module.
    return "ipykernel.zmqshell" in sys.modules


def _new_bar(description: str, unit: str) -> Any:
    tqdm = import_tqdm()

    class Bar(tqdm):  # type: ignore[misc, valid-type, unused-ignore]
        monitor_interval = 0  # starts no thread

    with suppress(Exception):  # a closed standard error
        return Bar(
            desc=description,
            unit=f" {unit}",
            delay=DELAY,
            disable=False if is_notebook() else None,  # None: only where it is no terminal
            leave=False,
            miniters=0,  # an update without new items shows the elapsed time
            **({} if _has_size() else {"ncols": 80, "nrows": 24}),
        )
    return None


def _is_shown(bar: Any) -> bool:
    # tqdm does not clear a bar that it closes before its delay.
    return bool(bar.last_print_t >= bar.start_t + bar.delay)


def _has_size() -> bool:
    """Whether the terminal knows its size; some in containers are 0 characters wide."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError, AttributeError):  # no terminal
        return True


def _is_terminal() -> bool:
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, ValueError):  # no standard error, or a closed one
        return False
