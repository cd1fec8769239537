"""Files go to blobs and come from them by the links that Azure ML gives, with azure-storage-blob.

The links carry their own signature, which opens the blob: they stand in no message and no log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.stores.azureml.http import Answer, HttpClient, NoResponseError

_PIECE = 4 * 1024 * 1024  # bytes in memory at a time, and in a request
_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")  # tell whole addresses at DEBUG


def put(calls: HttpClient, what: str, url: str, path: Path) -> None:
    """Write a file to a blob: in one piece, or in blocks where it is large.

    There is no condition that the blob be new: it may be there from a try whose answer was lost,
    and its name is this upload's own.

    Args:
        calls: Has the deadline, and repeats what fails in passing.
        what: What is written, for messages.
        url: The link.
        path: The file.

    Raises:
        AzureMLError: It was refused, or there was no answer in time.
    """
    _check_encrypted(what, url)
    host = urlsplit(url).hostname
    blob = _client(calls, url)

    def send(operation: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        calls.repeat(what, host, lambda timeout: _once(operation, timeout, arguments, options))

    with path.open("rb") as file:
        first = file.read(_PIECE)
        if len(first) < _PIECE:
            send(blob.upload_blob, first, overwrite=True)
            return
        blocks: list[str] = []
        piece = first
        while piece:
            blocks.append(f"{len(blocks):08}")  # all ids of a blob have to be of one length
            send(blob.stage_block, blocks[-1], piece)
            piece = file.read(_PIECE)
    from azure.storage.blob import BlobBlock

    send(blob.commit_block_list, [BlobBlock(block) for block in blocks])


def get(calls: HttpClient, what: str, url: str, limit: int) -> bytes:
    """Read a blob.

    Args:
        calls: Has the deadline, and repeats what fails in passing.
        what: What is read, for messages.
        url: The link.
        limit: Bytes that it may have at most.

    Raises:
        AzureMLError: It was refused, there was no answer in time, or it is too large.
    """
    _check_encrypted(what, url)
    blob = _client(calls, url)

    def read(**options: Any) -> bytes | None:
        stream = blob.download_blob(**options)
        return stream.readall() if stream.size <= limit else None

    answer = calls.repeat(
        what, urlsplit(url).hostname, lambda timeout: _once(read, timeout, (), {})
    )
    content: bytes | None = None if answer is None else answer.value
    if content is None:
        raise AzureMLError(f"{what} failed: it has more than the {limit:,} bytes that are allowed")
    return content


def _check_encrypted(what: str, url: str) -> None:
    if not url.startswith("https://"):
        raise AzureMLError(f"{what} failed: the service gave a link that is not encrypted")


def _client(calls: HttpClient, url: str) -> Any:
    try:
        from azure.core.pipeline.transport import RequestsTransport
        from azure.storage.blob import BlobClient
    except ImportError:
        raise AzureMLError(
            "azure-storage-blob is not installed: pip install 'mlflow-interpret[azure]'"
        ) from None
    return BlobClient.from_blob_url(
        url,
        transport=RequestsTransport(session=calls.session, session_owner=False),
        retry_total=0,  # the calls repeat
        permit_redirects=False,
    )


def _once(
    operation: Callable[..., Any],
    timeout: tuple[float, float],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> Answer:
    from azure.core.exceptions import AzureError, HttpResponseError

    connect, silence = timeout
    try:
        value = operation(*arguments, **options, connection_timeout=connect, read_timeout=silence)
    except HttpResponseError as error:
        response: Any = error.response
        asked = "" if response is None else response.headers.get("Retry-After", "")
        code = str(getattr(error, "error_code", None) or error.reason or "")
        return Answer(error.status_code or 0, code, float(asked) if asked.isdigit() else 0.0)
    except AzureError as error:
        # Its text has the whole address in it.
        raise NoResponseError(type(error).__name__) from None
    return Answer(201, value=value)


@contextmanager
def unlogged() -> Iterator[None]:
    """Within it, the log records of the package that sends requests lose what opens a blob."""

    def clean(record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        return True

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(clean)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(clean)
