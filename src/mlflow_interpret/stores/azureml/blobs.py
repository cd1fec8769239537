"""Upload and download of files by the links that Azure ML gives, with azure-storage-blob.

A link holds the signature that opens its blob, so no message and no log record contains one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.stores.azureml.http import INSTALL, HttpClient

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

_CHUNK_SIZE = 4 * 1024 * 1024  # bytes in memory, and in a request
_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")  # log whole addresses at DEBUG


def upload(client: HttpClient, operation: str, url: str, path: Path) -> None:
    """Upload a file: in one request, or in chunks if it is large.

    An existing blob is replaced: its name is reserved for this upload, so it can only be of an
    attempt whose response was lost.

    Args:
        client: Has the deadline, and repeats requests that fail temporarily.
        operation: The operation, for messages.
        url: The link.
        path: The file.

    Raises:
        AzureMLError: The upload was refused, or there was no response in time.
    """
    blob = _blob_client(client, operation, url)
    with path.open("rb") as file, client.errors_of(operation, url):
        blob.upload_blob(file, overwrite=True)


def download(client: HttpClient, operation: str, url: str, limit: int) -> bytes:
    """Download a blob.

    Args:
        client: Has the deadline, and repeats requests that fail temporarily.
        operation: The operation, for messages.
        url: The link.
        limit: The most bytes that the blob may have.

    Raises:
        AzureMLError: The download was refused, there was no response in time, or the blob is too
            large.
    """
    blob = _blob_client(client, operation, url)
    with client.errors_of(operation, url):
        stream = blob.download_blob()
        if stream.size <= limit:
            return stream.readall()
    raise AzureMLError(f"{operation} failed: the file has more than the {limit:,} bytes allowed")


def _blob_client(client: HttpClient, operation: str, url: str) -> BlobClient:
    if not url.startswith("https://"):
        raise AzureMLError(f"{operation} failed: the service gave a link without encryption")
    try:
        from azure.storage.blob import BlobClient
    except ImportError:
        raise AzureMLError(f"azure-storage-blob is not installed: {INSTALL}") from None
    return BlobClient.from_blob_url(
        url,
        transport=client.transport,
        retry_policy=client.blob_policy,
        permit_redirects=False,
        max_single_put_size=_CHUNK_SIZE,
        max_block_size=_CHUNK_SIZE,
    )


@contextmanager
def redacted_logs() -> Iterator[None]:
    """Remove signatures from the log records of urllib3 inside the context."""

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
