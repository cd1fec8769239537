"""HTTP requests to Azure ML: repeated where that helps, and one deadline for all of them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from mlflow_interpret.azureml.redaction import redact
from mlflow_interpret.errors import AzureMLError

_TRIES = 6
_FIRST_WAIT = 0.5  # seconds; doubled each time: 15.5 in all
_CONNECT = 10.0
_SILENCE = 20.0
_PASSING = {408, 429, 500, 502, 503, 504}
_SILENT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_HINTS = {
    401: "the token is not accepted: it has expired, or it is for something else; log in again",
    403: "the identity may not do this in the workspace",
}


class RefusedError(AzureMLError):
    """Azure ML answered that it will not.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Bearer(requests.auth.AuthBase):
    """Adds the token, or nothing; without it requests would take a password from ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Calls:
    """Requests with one token and one deadline."""

    def __init__(self, token: str, seconds: float) -> None:
        """Start the clock.

        Args:
            token: A bearer token.
            seconds: How long all requests together may take.
        """
        self._token = token
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "mlflow-interpret"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

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
        answer = self._send(
            what,
            lambda timeout: self._session.request(
                method,
                url,
                json=body,
                params=query,
                auth=_Bearer(self._token if signed else None),
                timeout=timeout,
                allow_redirects=False,  # the token goes where it was meant to go
            ),
            urlsplit(url).hostname,
            arrived,
        )
        if answer is None or not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise AzureMLError(f"{what} failed: the answer is no JSON") from None

    def put_blob(self, what: str, url: str, path: Path) -> None:
        """Write a file to a blob, as one piece: the link's own signature opens it.

        There is no condition that the blob be new: it may be there from a try whose answer was
        lost, and its name is this upload's own.
        """
        if not url.startswith("https://"):
            raise AzureMLError(f"{what} failed: the service gave a link that is not encrypted")
        headers = {
            "x-ms-blob-type": "BlockBlob",
            "x-ms-version": "2021-08-06",  # from 2019-12-12 on, one piece may have 5,000 MiB
            "Content-Type": "application/octet-stream",
        }

        def put(timeout: tuple[float, float]) -> requests.Response:
            with path.open("rb") as file:
                return self._session.put(
                    url,
                    data=file,
                    headers=headers,
                    auth=_Bearer(None),
                    timeout=timeout,
                    allow_redirects=False,
                )

        self._send(what, put, urlsplit(url).hostname, None)

    def _send(
        self,
        what: str,
        send: Callable[[tuple[float, float]], requests.Response],
        host: str | None,
        arrived: Callable[[], bool] | None,
    ) -> requests.Response | None:
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
            except _SILENT as error:
                # Its text has the whole address in it, with the signature.
                trouble = f"{host} does not answer ({type(error).__name__})"
            except requests.RequestException as error:
                raise AzureMLError(f"{what} failed: {type(error).__name__}") from None
            else:
                if 200 <= answer.status_code < 300:
                    return answer
                trouble = self._refusal(answer)
                if answer.status_code not in _PASSING:
                    raise RefusedError(f"{what} failed: {trouble}", answer.status_code)
                wait = max(wait, _asked_wait(answer))
            if attempt == _TRIES - 1 or wait >= self._end - time.monotonic():
                break
            time.sleep(wait)
        raise AzureMLError(f"{what} failed: {trouble}; given up within {self._seconds:.3g} seconds")

    def _refusal(self, answer: requests.Response) -> str:
        said = redact(_said(answer), self._token)
        hint = _HINTS.get(answer.status_code)
        parts = [f"{urlsplit(answer.url).hostname} answered {answer.status_code}"]
        if hint:
            parts.append(f" ({hint})")
        return "".join(parts) + (f": {said}" if said else "")


def _asked_wait(answer: requests.Response) -> float:
    asked = answer.headers.get("Retry-After", "")
    return float(asked) if asked.isdigit() else 0.0


def _said(answer: requests.Response) -> str:
    """What the service says of its refusal, in JSON or, where it is a blob's, in XML."""
    try:
        body = answer.json()
        return str(body.get("error", body)["message"])
    except (ValueError, AttributeError, KeyError, TypeError):
        found = re.search(r"<Message>(.*?)</Message>", answer.text, re.DOTALL)
        return found[1] if found else ""
