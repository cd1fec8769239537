"""User-facing log messages."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.progress import aside

_logger = logging.getLogger("mlflow_interpret")


class _MessageHandler(logging.Handler):
    """Writes messages to standard error, unless the user has configured logging."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        # Standard error may be missing or closed, which must not make fit fail.
        with suppress(Exception), aside():
            sys.stderr.write(f"{self.format(record)}\n")


def show_messages() -> None:
    """Show information and warnings on standard error, as MLflow does with its own."""
    if not any(isinstance(handler, _MessageHandler) for handler in _logger.handlers):
        handler = _MessageHandler()
        handler.setFormatter(
            logging.Formatter(
                "%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y/%m/%d %H:%M:%S"
            )
        )
        _logger.addHandler(handler)
    if _logger.level == logging.NOTSET:
        _logger.setLevel(logging.INFO)


def warn(options: Options, message: str) -> None:
    """Log a warning, unless the options ask for silence."""
    if not options.silent:
        _logger.warning(message)


def warn_first(options: Options, kind: str, message: str) -> None:
    """Log the first message of its kind in this process as a warning, the others as information.

    Args:
        options: Whether to log messages.
        kind: The kind of the message.
        message: The message.
    """
    if options.silent:
        return
    level = logging.INFO if kind in _informed else logging.WARNING
    _informed.add(kind)
    _logger.log(level, message)


def inform_once(options: Options, message: str) -> None:
    """Log information, unless the options ask for silence or this process has logged it before."""
    if options.silent or message in _informed:
        return
    _informed.add(message)
    _logger.info(message)


_informed: set[str] = set()
