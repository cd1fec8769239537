"""Import optional packages without their side effects on the process."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import threading
from functools import cache
from types import ModuleType

from mlflow_interpret.core.errors import one_line
from mlflow_interpret.runtime.isolation import suppress_warnings

_ENVIRONMENT = "TF_CPP_MIN_LOG_LEVEL"  # interpret-community sets it for TensorFlow


@cache
def import_failure(name: str) -> str | None:
    """The reason why a package cannot be imported, None if it can.

    An installed package whose import fails with any error counts as absent: an old shap, for
    example, fails at import beside a newer numpy.
    """
    try:
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    except (ImportError, ValueError):
        return f"{name} is not installed"
    error = _import_in_thread(name)
    return None if error is None else f"{name} cannot be imported ({error})"


def import_optional(name: str) -> ModuleType:
    """Import a package, or raise ImportError with the reason.

    Args:
        name: The package, as in an import statement.

    Raises:
        ImportError: It is not installed, or its import fails.
    """
    reason = import_failure(name)
    if reason is not None:
        raise ImportError(reason, name=name)
    return importlib.import_module(name)


def import_error_in_child(statement: str, seconds: float) -> str | None:
    """Run an import statement in another process.

    Args:
        statement: The statement.
        seconds: The time limit.

    Returns:
        The last line of the error, None if the import succeeds.

    Raises:
        subprocess.TimeoutExpired: The import takes longer.
    """
    process = subprocess.run(  # noqa: S603 - this Python
        [sys.executable, "-W", "ignore", "-c", statement],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
    if process.returncode == 0:
        return None
    return (process.stderr.strip().splitlines() or ["no message"])[-1]


def _import_in_thread(name: str) -> str | None:
    """Import a package in a thread of its own; returns the error.

    shap keeps the errors of imports that failed, and an error keeps every frame of its stack: the
    user's model and data would live as long as the process.
    """
    if name in sys.modules:
        return None
    errors: list[str] = []

    def run() -> None:
        try:
            importlib.import_module(name)
        except BaseException as error:
            errors.append(f"{type(error).__name__}: {one_line(error)}")

    level = os.environ.get(_ENVIRONMENT)
    with suppress_warnings():  # interpret-community adds filters, too
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    if level is None:
        os.environ.pop(_ENVIRONMENT, None)
    return errors[0] if errors else None
