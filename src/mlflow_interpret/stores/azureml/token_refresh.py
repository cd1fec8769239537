"""Refresh of a job's token, which may expire while a model is trained.

Only a valid token is exchanged for another one, so it is refreshed ahead of time, as the SDK does.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import closing

from mlflow_interpret.runtime.forks import ForkSafeLock
from mlflow_interpret.stores.azureml.http import HttpClient
from mlflow_interpret.stores.azureml.workspace import AzureRun, job_run

_AHEAD = 600.0  # seconds between the refresh and the expiry
_PERIOD = 30.0  # seconds between two checks
_SECONDS = 10.0  # for a request

_logger = logging.getLogger(__name__)


class TokenKeeper:
    """Keeps a token of this process's job valid, in a thread of its own.

    Args:
        period: Seconds between two checks.

    Attributes:
        token: The refreshed token; None while that of the environment is valid.
    """

    def __init__(self, period: float = _PERIOD) -> None:
        self.token: str | None = None
        self._period = period
        self._thread: threading.Thread | None = None
        self._guard = ForkSafeLock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the thread, unless it runs already."""
        with self._guard:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._watch, name="mlflow-interpret-token", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                run = job_run(os.environ["AZUREML_RUN_ID"], self.token)
                expiry = expiry_of(run.workspace.token)
                if expiry is not None and expiry - time.time() < _AHEAD:
                    self.token = fresh_token(run)
            except Exception:  # the next check may succeed
                _logger.debug("The job's token could not be refreshed", exc_info=True)
            self._stopped.wait(self._period)


job_token = TokenKeeper()
"""The keeper of this process."""


def expiry_of(token: str) -> float | None:
    """Return the expiry of a JSON web token in seconds since 1970, None if it is not known."""
    try:
        import jwt

        # The signature is for the service to verify.
        return float(jwt.decode(token, options={"verify_signature": False})["exp"])
    except Exception:  # no PyJWT, another kind of token, or a token without expiry
        return None


def fresh_token(run: AzureRun) -> str:
    """Request another token for a job's run.

    Raises:
        AzureMLError: There is none; the old one may have expired.
    """
    with closing(HttpClient(run.workspace.token, _SECONDS)) as client:
        response = client.request("Refreshing the token", "GET", f"{run.url}/token")
    return str(response["token"])
