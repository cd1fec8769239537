"""The exceptions of the public API."""

from __future__ import annotations

import re

LEFT_OUT = "(its text may hold values of rows, so it is left out)"

_LOGIN = re.compile(r"(?<=://)[^\s/]+@")  # the user and password in an address


class MlflowInterpretError(Exception):
    """Base class of all errors that this package raises.

    Args:
        message: The message.
        cause: An error of another package. Its text, which may quote values of rows, is appended
            to the message.
        remedy: A sentence that is appended to the message, for callers that have no better one.

    Attributes:
        public_message: The message without the text of ``cause``, for records that must not hold
            values of rows.
        problem: The message without ``remedy``.
    """

    def __init__(
        self, message: str = "", cause: BaseException | None = None, *, remedy: str | None = None
    ) -> None:
        if cause is None:
            text = public = message
        else:
            text, public = f"{message}: {one_line(cause)}", f"{message}: {public_text(cause)}"
        if isinstance(cause, MlflowInterpretError):  # a sentence within a sentence
            text, public = text.rstrip("."), public.rstrip(".")
        ending = "" if remedy is None else f" {remedy}"
        super().__init__(f"{text}{ending}")
        self.public_message = f"{public}{ending}"
        self.problem = text


class OptionError(MlflowInterpretError, ValueError):
    """An argument has a value that is not allowed.

    Attributes:
        argument: The name of the argument, or None.
    """

    def __init__(
        self,
        message: str = "",
        cause: BaseException | None = None,
        *,
        argument: str | None = None,
    ) -> None:
        super().__init__(message, cause)
        self.argument = argument


class CannotExplainError(MlflowInterpretError):
    """The model or its data cannot be explained; the message names the reason and the remedy."""


class RunNotFoundError(MlflowInterpretError, LookupError):
    """The MLflow run does not exist in the tracking store."""


class AzureMLError(MlflowInterpretError):
    """Azure ML cannot be reached or refuses; the message names the reason and the remedy."""


class TrackingUnavailableError(MlflowInterpretError, ConnectionError):
    """The MLflow server does not answer, or its database cannot be written."""


class ExplanationNotFoundError(MlflowInterpretError, LookupError):
    """The MLflow run exists and holds no explanation, or not the requested one."""


class InvalidExplanationError(MlflowInterpretError, ValueError):
    """The files of an explanation are damaged or were changed; the message names the problem."""


def one_line(error: BaseException | str | None, limit: int = 300) -> str:
    """Return the text of an error on one line.

    Passwords in addresses and characters that control a terminal are removed.
    """
    printable = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(str(error).split()))
    text = _LOGIN.sub("", printable) or type(error).__name__
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def public_text(error: BaseException) -> str:
    """Return the text of an error without values of rows: of foreign errors only the class."""
    if isinstance(error, MlflowInterpretError):
        return " ".join(error.public_message.split())
    return f"{type(error).__name__} {LEFT_OUT}"


def describe_unexpected(error: BaseException, *, log_data: bool) -> str:
    """As `describe_error`, with the class of the error."""
    return f"{type(error).__name__}: {one_line(error)}" if log_data else type(error).__name__


def describe_error(error: BaseException, *, log_data: bool) -> str:
    """Return the text of an error for a record or a warning.

    Args:
        error: The error.
        log_data: Values of rows may be recorded.
    """
    return one_line(error) if log_data else public_text(error)
