"""What is said to people: one line for each explanation, and warnings."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.progress import aside

_logger = logging.getLogger("mlflow_interpret")


class _MessageHandler(logging.Handler):
    """Writes our messages to standard error unless the user has set up logging."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        # No standard error, or a closed one: fit must not hear of it.
        with suppress(Exception), aside():
            sys.stderr.write(f"{self.format(record)}\n")


def show_messages() -> None:
    """Let the one line and the warnings be seen, as MLflow does with its own."""
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
    """Warn unless the user wants silence."""
    if not options.silent:
        _logger.warning(message)
