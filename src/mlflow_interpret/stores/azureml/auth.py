"""Tokens for Azure by azure-identity, without asking a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.runtime.timeouts import call_with_timeout
from mlflow_interpret.stores.azureml import sdk_internals

SCOPE = "https://management.azure.com/.default"
_REMEDY = (
    "log in with `az login`, or set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET of a "
    "service principal"
)
_SECONDS = 30.0
_INTERACTIVE = {"InteractiveBrowserCredential", "DeviceCodeCredential", "BrokerCredential"}


@dataclass(frozen=True)
class Login:
    """A token and its source.

    Attributes:
        token: The bearer token.
        source: The class of azure-identity that gave it, such as ``AzureCliCredential``.
    """

    token: str = field(repr=False)
    source: str


def log_in(seconds: float = _SECONDS, chain: Sequence[Any] | None = None) -> Login:
    """Return a token of the identity that this machine is logged in with.

    The sources are those of azure-identity's DefaultAzureCredential that ask nobody: environment
    variables, workload and managed identity, and the log-ins of the command line tools. No browser
    is opened, and no device code is shown.

    Args:
        seconds: The time to try.
        chain: Credentials to try one after the other; those that ask a person are left out.
            Default: the sources above.

    Raises:
        AzureMLError: There is no token; the message names the remedy.
    """
    try:
        return call_with_timeout(seconds, lambda: _first_token(chain))
    except TimeoutError:
        raise AzureMLError(
            f"the log-in to Azure did not respond within {seconds:.3g} seconds; {_REMEDY}"
        ) from None
    except ModuleNotFoundError:
        raise AzureMLError(
            "azure-identity is not installed: pip install 'mlflow-interpret[azure]'"
        ) from None
    except Exception as error:
        raise AzureMLError(
            f"no Azure credentials were found: {_first_line(error)}; {_REMEDY}"
        ) from None


def _first_token(chain: Sequence[Any] | None) -> Login:
    credential = _default_credential() if chain is None else _without_interactive(chain)
    token = credential.get_token(SCOPE).token
    source = sdk_internals.credential_source(credential) or credential
    return Login(token, type(source).__name__)


def _without_interactive(chain: Sequence[Any]) -> Any:
    from azure.identity import ChainedTokenCredential

    return ChainedTokenCredential(
        *(credential for credential in chain if type(credential).__name__ not in _INTERACTIVE)
    )


def _default_credential() -> Any:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(
        exclude_interactive_browser_credential=True,
        exclude_broker_credential=True,  # it shows a window
        retry_total=1,
    )


def _first_line(error: BaseException) -> str:
    """Return the first line; the further ones list the failure of each credential of a chain."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return redact(lines[0]).rstrip(".:")
