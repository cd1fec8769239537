"""Tokens for Azure by azure-identity, without ever asking a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.runtime.timeouts import call_with_timeout

SCOPE = "https://management.azure.com/.default"
REMEDY = (
    "log in with `az login`, or set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET of a "
    "service principal"
)
_SECONDS = 30.0
_ASKING = {"InteractiveBrowserCredential", "DeviceCodeCredential", "BrokerCredential"}


@dataclass(frozen=True)
class Login:
    """A token and where it is from.

    Attributes:
        token: The bearer token.
        source: The credential of azure-identity that gave it, as ``AzureCliCredential``.
    """

    token: str = field(repr=False)
    source: str


def log_in(seconds: float = _SECONDS, chain: Sequence[Any] | None = None) -> Login:
    """A token of the identity that this machine is logged in as.

    The sources are those of azure-identity's DefaultAzureCredential that ask nobody: environment
    variables, workload and managed identity, and what the command line tools are logged in as.
    No browser is opened, and no device code is shown.

    Args:
        seconds: How long to try.
        chain: Credentials to try one after the other, without those that ask somebody. Default:
            those named above.

    Raises:
        AzureMLError: There is no token; the message says what to do.
    """
    try:
        return call_with_timeout(seconds, lambda: _ask(chain))
    except TimeoutError:
        raise AzureMLError(
            f"Azure's log-in did not answer within {seconds:.3g} seconds; {REMEDY}"
        ) from None
    except ModuleNotFoundError:
        raise AzureMLError(
            "azure-identity is not installed: pip install 'mlflow-interpret[azure]'"
        ) from None
    except Exception as error:
        raise AzureMLError(f"no Azure credentials were found: {_short(error)}; {REMEDY}") from None


def _ask(chain: Sequence[Any] | None) -> Login:
    credential = _credential() if chain is None else _silent(chain)
    token = credential.get_token(SCOPE).token
    source = getattr(credential, "_successful_credential", None) or credential
    return Login(token, type(source).__name__)


def _silent(chain: Sequence[Any]) -> Any:
    from azure.identity import ChainedTokenCredential

    return ChainedTokenCredential(*(each for each in chain if type(each).__name__ not in _ASKING))


def _credential() -> Any:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(
        exclude_interactive_browser_credential=True,
        exclude_broker_credential=True,  # which shows a window
        retry_total=1,
    )


def _short(error: BaseException) -> str:
    """The first line: the chain lists what each of its credentials said."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return redact(lines[0]).rstrip(".:")
