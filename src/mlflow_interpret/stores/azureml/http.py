"""HTTP requests to Azure ML: repeated where that helps, and one deadline for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import redact

_TRIES = 6
_FIRST_WAIT = 0.5  # seconds; doubled each time: 15.5 in all
_CONNECT = 10.0
_SILENCE = 20.0
_UNAUTHORIZED = 401
_PASSING = {408, 429, 500, 502, 503, 504}
_SILENT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_HINTS = {
    _UNAUTHORIZED: "the token is not accepted: it has expired, or it is for something else; "
    "log in again",
    403: "the identity may not do this in the workspace",
    404: "the workspace or the run is not there, or the identity does not see it",
    429: "too many requests; try again later",
}


class RefusedError(AzureMLError):
    """Azure ML answered that it will not.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NoResponseError(Exception):
    """A request had no answer; the text says how, without the address, which holds signatures."""


@dataclass(frozen=True)
class Answer:
    """What came back of one request.

    Attributes:
        status: The HTTP status.
        said: What the service says of its refusal.
        wait: Seconds that it asks to wait before the next try.
        value: What was asked for.
    """

    status: int
    said: str = ""
    wait: float = 0.0
    value: Any = None

    @property
    def good(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300


class Bearer(requests.auth.AuthBase):
    """Adds the token, or nothing; without it requests would take a password from ~/.netrc."""

    def __init__(self, token: str | None = None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Called by requests for each request."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class HttpClient:
    """Requests with one token and one deadline.

    Attributes:
        session: The connections, without a token.
    """

    def __init__(self, token: str, seconds: float, renew: Callable[[], str] | None = None) -> None:
        """Start the clock.

        Args:
            token: A bearer token.
            seconds: How long all requests together may take.
            renew: Gives another token when this one is no longer accepted; asked once.
        """
        self._token = token
        self._renew = renew
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self.session = requests.Session()
        self.session.headers["User-Agent"] = "mlflow-interpret"
        self.session.auth = Bearer()

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def ask(
        self,
        what: str,
        method: str,
        url: str,
        *,
        body: Any = None,
        query: dict[str, str] | None = None,
        signed: bool = True,
        arrived: Callable[[], bool] | None = None,
    ) -> Any:
        """A request with a JSON answer.

        Args:
            what: What it does, for messages.
            method: The HTTP verb.
            url: Where to.
            body: What is sent as JSON.
            query: The URL's parameters.
            signed: Whether the token goes along.
            arrived: Asked before a request is repeated that must be carried out only once:
                whether it was, and only its answer was lost.

        Returns:
            The answer; None where it is empty or was lost.

        Raises:
            AzureMLError: It was refused, or there was no answer in time.
        """

        def send(timeout: tuple[float, float]) -> Answer:
            try:
                answer = self.session.request(
                    method,
                    url,
                    json=body,
                    params=query,
                    auth=Bearer(self._token if signed else None),
                    timeout=timeout,
                    allow_redirects=False,  # the token goes where it was meant to go
                )
            except _SILENT as error:
                raise NoResponseError(type(error).__name__) from None
            except requests.RequestException as error:
                raise AzureMLError(f"{what} failed: {type(error).__name__}") from None
            return Answer(answer.status_code, _said(answer), _asked_wait(answer), answer)

        answer = self.repeat(what, urlsplit(url).hostname, send, arrived=arrived, signed=signed)
        if answer is None or not answer.value.content:
            return None
        try:
            return answer.value.json()
        except ValueError:
            raise AzureMLError(f"{what} failed: the answer is no JSON") from None

    def repeat(
        self,
        what: str,
        host: str | None,
        send: Callable[[tuple[float, float]], Answer],
        *,
        arrived: Callable[[], bool] | None = None,
        signed: bool = False,
    ) -> Answer | None:
        """Send a request until it is carried out, refused for good, or the time is over.

        Args:
            what: What it does, for messages.
            host: Whom it asks, for messages.
            send: Sends it, given the seconds to wait for a connection and for an answer; raises
                NoResponseError where there is none.
            arrived: As for `ask`.
            signed: Whether another token may help.

        Raises:
            AzureMLError: It was refused, or there was no answer in time.
        """
        trouble = "there was no time left"
        for attempt in range(_TRIES):
            left = self._end - time.monotonic()
            if left <= 0:
                break
            if attempt and arrived is not None and arrived():
                return None
            wait = _FIRST_WAIT * 2**attempt
            try:
                answer = send((min(_CONNECT, left), min(_SILENCE, left)))
            except NoResponseError as error:
                trouble = f"{host} does not answer ({error})"
            else:
                if answer.good:
                    return answer
                trouble = self._refusal(host, answer)
                if signed and answer.status == _UNAUTHORIZED and self._renewed():
                    continue
                if answer.status not in _PASSING:
                    raise RefusedError(f"{what} failed: {trouble}", answer.status)
                wait = max(wait, answer.wait)
            if attempt == _TRIES - 1 or wait >= self._end - time.monotonic():
                break
            time.sleep(wait)
        raise AzureMLError(f"{what} failed: {trouble}; given up within {self._seconds:.3g} seconds")

    def _renewed(self) -> bool:
        """Whether there is another token now; each is asked for once."""
        renew, self._renew = self._renew, None
        if renew is None:
            return False
        try:
            self._token = renew()
        except AzureMLError:  # the refusal of the old token says what to do
            return False
        return True

    def _refusal(self, host: str | None, answer: Answer) -> str:
        said = redact(answer.said, self._token)
        hint = _HINTS.get(answer.status)
        parts = [f"{host} answered {answer.status}"]
        if hint:
            parts.append(f" ({hint})")
        return "".join(parts) + (f": {said}" if said else "")


def _asked_wait(answer: requests.Response) -> float:
    asked = answer.headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else 0.0


def _said(answer: requests.Response) -> str:
    """What the service says of its refusal."""
    if answer.ok:
        return ""
    try:
        body = answer.json()
        return str(body.get("error", body)["message"])
    except (ValueError, AttributeError, KeyError, TypeError):
        return ""
