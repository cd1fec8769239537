"""An azure-core pipeline with one deadline for all of its requests.

Imported where a request is sent: azure-core is installed with the extra ``azure`` only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from azure.core import PipelineClient
from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HeadersPolicy, HTTPPolicy, RetryPolicy
from azure.core.pipeline.transport import HttpTransport, RequestsTransport

_METHODS = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
_UNAUTHORIZED = 401


class DeadlineExceededError(Exception):
    """The deadline has passed, or would pass during the wait for the next attempt."""


class AlreadyArrivedError(Exception):
    """A request was carried out although its response was lost."""


class DeadlineTransport(RequestsTransport):  # type: ignore[misc, unused-ignore]
    """Sends requests and waits between attempts, both until a deadline.

    Attributes:
        outcome: The last response or error, None before the first request.
    """

    outcome: Any

    def __init__(self, seconds: float, connect_seconds: float, read_seconds: float) -> None:
        session = requests.Session()
        # Without authentication of its own, a session sends passwords from ~/.netrc.
        session.auth = _unchanged
        super().__init__(session=session)
        self._end = time.monotonic() + seconds
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self.outcome = None

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request, with time-outs that end at the deadline.

        Raises:
            DeadlineExceededError: The deadline has passed.
        """
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise DeadlineExceededError
        options["connection_timeout"] = min(self._connect_seconds, remaining)
        options["read_timeout"] = min(self._read_seconds, remaining)
        try:
            self.outcome = super().send(request, **options)
        except AzureError as error:
            self.outcome = error
            raise
        return self.outcome

    def sleep(self, duration: float) -> None:
        """Wait for the next attempt.

        Raises:
            DeadlineExceededError: The deadline is before the end of the wait.
        """
        if duration >= self._end - time.monotonic():
            raise DeadlineExceededError
        super().sleep(duration)


class RepeatPolicy(RetryPolicy[Any, Any]):
    """Repeats requests of every method, unless they turn out to be carried out already."""

    def configure_retries(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of a request; ``has_arrived`` is an option of our own."""
        has_arrived = options.pop("has_arrived", None)
        settings = super().configure_retries(options)
        return {**settings, "methods": _METHODS, "has_arrived": has_arrived}

    def sleep(
        self,
        settings: dict[str, Any],
        transport: HttpTransport[Any, Any],
        response: PipelineResponse[Any, Any] | None = None,
    ) -> None:
        """Wait, then look whether the request was carried out.

        Raises:
            AlreadyArrivedError: It was.
        """
        super().sleep(settings, transport, response)
        if settings["has_arrived"] is not None and settings["has_arrived"]():
            raise AlreadyArrivedError


class BlobRepeatPolicy(RepeatPolicy):
    """A repeat policy in the place of azure-storage-blob's own one, which repeats less.

    azure-storage-blob passes two options to its retry policy, and downloads read one of them from
    the response.
    """

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Send a request."""
        options = request.context.options
        options.pop("hosts", None)
        location_mode = options.pop("location_mode", None)
        response = super().send(request)
        response.http_response.location_mode = location_mode
        return response


class TokenRefreshPolicy(HTTPPolicy[Any, Any]):
    """Sends a request again with a fresh token where the token is not accepted.

    Args:
        fresh_token: Returns another token, or None if there is none.
    """

    def __init__(self, fresh_token: Callable[[], str | None]) -> None:
        super().__init__()
        self._fresh_token = fresh_token

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Send a request."""
        response = self.next.send(request)
        headers = request.http_request.headers
        if response.http_response.status_code != _UNAUTHORIZED or "Authorization" not in headers:
            return response
        token = self._fresh_token()
        if token is None:
            return response
        headers["Authorization"] = f"Bearer {token}"
        return self.next.send(request)


_Policy = TypeVar("_Policy", bound=RepeatPolicy)


def repeat_policy(kind: type[_Policy], attempts: int, first_wait: float) -> _Policy:
    """Return the policy for requests that fail temporarily.

    Args:
        kind: The class of the policy.
        attempts: The number of attempts in all.
        first_wait: Seconds before the third attempt, doubled for each further one; the second
            attempt follows at once.
    """
    retries = attempts - 1
    return kind(
        retry_total=retries,
        retry_connect=retries,
        retry_read=retries,
        retry_status=retries,
        retry_backoff_factor=first_wait / 2,
    )


def json_client(
    transport: DeadlineTransport, policy: RepeatPolicy, fresh_token: Callable[[], str | None]
) -> PipelineClient[Any, Any]:
    """Return a client for requests with JSON responses."""
    headers = HeadersPolicy({"User-Agent": "mlflow-interpret"})
    policies = [headers, policy, TokenRefreshPolicy(fresh_token)]
    return PipelineClient("", transport=transport, policies=policies)


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
