"""The token of a job, kept alive: what the environment has may expire while a model is trained.

Only a token that is still valid gets another one, so it is asked for ahead of time, as the SDK does
in a process that uses it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import closing

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml.http import HttpClient
from mlflow_interpret.stores.azureml.service import Service, of_job
from mlflow_interpret.stores.azureml.tokens import expiry_of

_AHEAD = 600.0  # seconds before it expires at which a token is renewed
_PERIOD = 30.0  # seconds between two looks
_SECONDS = 10.0  # for one request

_logger = logging.getLogger(__name__)
_guard = threading.Lock()


class _Kept:
    """What this process knows of its job's token."""

    token: str | None = None
    keeper: threading.Thread | None = None


def keep() -> None:
    """From now on, renew the token of the job that this process is before it expires."""
    with _guard:
        if _Kept.keeper is None or not _Kept.keeper.is_alive():
            _Kept.keeper = threading.Thread(
                target=_watch, name="mlflow-interpret-token", daemon=True
            )
            _Kept.keeper.start()


def current() -> str | None:
    """The renewed token, None as long as that of the environment is good."""
    return _Kept.token


def fresh_token(service: Service) -> str:
    """Another token for a run whose token expires; the run's own asks for it.

    Raises:
        AzureMLError: There is none; the old one may have expired.
    """
    with closing(HttpClient(service.token, _SECONDS)) as calls:
        answer = calls.ask("Renewing the token", "GET", f"{service.run_url}/token")
    return str(answer["token"])


def _watch() -> None:
    while True:
        try:
            service = of_job(os.environ["AZUREML_RUN_ID"], _Kept.token)
            expiry = expiry_of(service.token)
            if expiry is not None and expiry - time.time() < _AHEAD:
                _Kept.token = fresh_token(service)
        except (AzureMLError, KeyError, TypeError):  # the next look may find the service again
            _logger.debug("The job's token could not be renewed", exc_info=True)
        time.sleep(_PERIOD)
