"""HTTP requests to Azure ML, repeated after temporary failures, with one deadline for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import redact

if TYPE_CHECKING:
    from mlflow_interpret.stores.azureml.pipeline import BlobRepeatPolicy, DeadlineTransport

INSTALL = "pip install 'mlflow-interpret[azure]'"

_ATTEMPTS = 6
_FIRST_WAIT = 1.0  # seconds before the third attempt, doubled for each further one: 15 in all
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 20.0
_TEMPORARY = {408, 429, 500, 502, 503, 504}
_HINTS = {
    401: "the token is not accepted: it has expired, or it is for something else; log in again",
    403: "the identity may not do this in the workspace",
    404: "the workspace or the run is not there, or the identity does not see it",
    429: "too many requests; try again later",
}


class RefusedError(AzureMLError):
    """Azure ML refused a request.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NoResponseError(AzureMLError):
    """Azure ML did not respond, or not before the deadline."""


class HttpClient:
    """Requests with one token and one deadline.

    Args:
        token: A bearer token.
        seconds: The time for all requests together; it starts now.
        refresh: Returns another token when this one is no longer accepted; called once.

    Attributes:
        transport: Sends requests until the deadline; without the token.
        blob_policy: Repeats requests to blobs that fail temporarily.

    Raises:
        AzureMLError: azure-core is not installed.
    """

    transport: DeadlineTransport
    blob_policy: BlobRepeatPolicy

    def __init__(
        self, token: str, seconds: float, refresh: Callable[[], str] | None = None
    ) -> None:
        try:
            from mlflow_interpret.stores.azureml import pipeline
        except ImportError:
            raise AzureMLError(f"azure-core is not installed: {INSTALL}") from None
        self._token = token
        self._refresh = refresh
        self._seconds = seconds
        self.transport = pipeline.DeadlineTransport(seconds, _CONNECT_SECONDS, _READ_SECONDS)
        self.blob_policy = pipeline.repeat_policy(pipeline.BlobRepeatPolicy, _ATTEMPTS, _FIRST_WAIT)
        policy = pipeline.repeat_policy(pipeline.RepeatPolicy, _ATTEMPTS, _FIRST_WAIT)
        self._client = pipeline.json_client(self.transport, policy, self._fresh_token)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self,
        operation: str,
        method: str,
        url: str,
        *,
        json: Any = None,
        params: dict[str, str] | None = None,
        authenticate: bool = True,
        has_arrived: Callable[[], bool] | None = None,
    ) -> Any:
        """Send a request and return its JSON response.

        Args:
            operation: The operation, for messages: ``Finding the run``.
            method: The HTTP method.
            url: The URL.
            json: The body.
            params: The URL's query.
            authenticate: Send the token.
            has_arrived: Called before a request is repeated that must be carried out only once:
                whether it was carried out, and only its response was lost.

        Returns:
            The response; None if it is empty or was lost.

        Raises:
            RefusedError: Azure ML refused it.
            NoResponseError: There was no response in time.
            AzureMLError: The response is not JSON.
        """
        from azure.core.rest import HttpRequest

        from mlflow_interpret.stores.azureml.pipeline import AlreadyArrivedError

        headers = {"Authorization": f"Bearer {self._token}"} if authenticate else {}
        query = f"?{urlencode(params)}" if params else ""
        request = HttpRequest(method, f"{url}{query}", headers=headers, json=json)
        try:
            with self.errors_of(operation, url):
                response = self._client.send_request(request, has_arrived=has_arrived)
                response.raise_for_status()
        except AlreadyArrivedError:
            return None
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise AzureMLError(f"{operation} failed: the response is not JSON") from None

    @contextmanager
    def errors_of(self, operation: str, url: str) -> Iterator[None]:
        """Turn errors of azure-core into errors of one line, without addresses and secrets.

        Args:
            operation: The operation, for messages.
            url: The URL of the request; the messages hold its host.

        Raises:
            RefusedError: Azure ML refused the request.
            NoResponseError: There was no response in time.
        """
        from azure.core.exceptions import AzureError, HttpResponseError

        from mlflow_interpret.stores.azureml.pipeline import DeadlineExceededError

        host = urlsplit(url).hostname
        try:
            yield
        except HttpResponseError as error:
            raise self._refusal(operation, host, error) from None
        except AzureError as error:
            reason = f"{host} does not answer ({type(error).__name__})"
            raise self._gave_up(operation, reason) from None
        except DeadlineExceededError:
            raise self._gave_up(operation, self._last_trouble(host)) from None

    def _refusal(self, operation: str, host: str | None, error: Any) -> AzureMLError:
        status = int(error.status_code or 0)
        reason = self._status_text(host, status, error.response, getattr(error, "error_code", None))
        if status in _TEMPORARY:
            return self._gave_up(operation, reason)
        return RefusedError(f"{operation} failed: {reason}", status)

    def _gave_up(self, operation: str, reason: str) -> NoResponseError:
        text = f"{operation} failed: {reason}; given up within {self._seconds:.3g} seconds"
        return NoResponseError(text)

    def _last_trouble(self, host: str | None) -> str:
        outcome = self.transport.outcome
        if isinstance(outcome, Exception):
            return f"{host} does not answer ({type(outcome).__name__})"
        if outcome is None or outcome.status_code < 400:
            return "there was no time left"
        return self._status_text(host, outcome.status_code, outcome, None)

    def _status_text(self, host: str | None, status: int, response: Any, code: Any) -> str:
        hint = _HINTS.get(status)
        message = redact(str(code or _message_of(response)), self._token)
        text = f"{host} answered {status}" + (f" ({hint})" if hint else "")
        return f"{text}: {message}" if message else text

    def _fresh_token(self) -> str | None:
        """Return another token; each is asked for once."""
        refresh, self._refresh = self._refresh, None
        if refresh is None:
            return None
        try:
            self._token = refresh()
        except AzureMLError:  # the refusal of the old token names the remedy
            return None
        return self._token


def _message_of(response: Any) -> str:
    """Return the message in a refusal's body."""
    try:
        body = response.json()
        return str(body.get("error", body)["message"])
    except Exception:  # a body of another kind, or one that was not read
        return ""
