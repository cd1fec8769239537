"""The exceptions of the public API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LEFT_OUT = "(its text may hold values of rows, so it is left out)"

_quotes = ContextVar("mlflow_interpret_quotes", default=True)
_quoted: ContextVar[list[str] | None] = ContextVar("mlflow_interpret_quoted", default=None)
_LOGIN = re.compile(r"(?<=://)[^\s/]+@")  # of a server, in its address


def one_line(error: BaseException | None, limit: int = 300) -> str:
    """What an error says, on one line, without the passwords that addresses may hold.

    Nor does it hold what a terminal would obey.

    Within `quoting(False)` it is the kind of the error only, unless it is one of ours.
    """
    ours = isinstance(error, MlflowInterpretError | None)
    if not ours and not _quotes.get():
        return f"{type(error).__name__} {LEFT_OUT}"
    printable = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(str(error).split()))
    text = _LOGIN.sub("", printable) or type(error).__name__
    text = text if len(text) <= limit else f"{text[: limit - 3]}..."
    quoted = _quoted.get()
    if not ours and quoted is not None:
        quoted.append(text)
    return text


@contextmanager
def quoting(allowed: bool) -> Iterator[list[str]]:
    """Whether the texts of other packages' errors, which may quote rows, become part of ours.

    Gives the list of those that did.
    """
    quoted: list[str] = []
    tokens = _quotes.set(allowed), _quoted.set(quoted)
    try:
        yield quoted
    finally:
        _quotes.reset(tokens[0])
        _quoted.reset(tokens[1])


class MlflowInterpretError(Exception):
    """Base class of all errors that this package raises."""


class OptionError(MlflowInterpretError, ValueError):
    """An argument has a value that is not allowed."""


class CannotExplainError(MlflowInterpretError):
    """The model or its data cannot be explained; the message says why and what to do."""


class RunNotFoundError(MlflowInterpretError, LookupError):
    """The MLflow run does not exist in the tracking store that was asked."""


class AzureMLError(MlflowInterpretError):
    """Azure ML cannot be reached or does not allow it; the message says why and what to do."""


class TrackingUnavailableError(MlflowInterpretError, ConnectionError):
    """The MLflow server does not answer, or its database cannot be written."""


class ExplanationNotFoundError(MlflowInterpretError, LookupError):
    """The MLflow run exists and holds no explanation, or not the one that was asked for."""
