"""Blob storage in memory: the few operations that artifact clients use."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Protocol

from .messages import BlobError, Request, Response, blob_headers
from .sas import CONTAINER, SharedAccess


class BlobBackend(Protocol):
    """A storage of blobs."""

    def answer(self, request: Request) -> Response:
        """Answer a request to the blob host."""

    def read(self, blob: str) -> bytes:
        """Read a blob.

        Raises:
            FileNotFoundError: When there is no blob of that name.
        """

    def close(self) -> None:
        """Release the resources of the storage."""


@dataclass(frozen=True)
class Blob:
    """A committed blob."""

    content: bytes
    content_type: str
    etag: str
    modified: str


class MemoryBlobs:
    """Blobs in memory, with the checks of links, conditions and ranges of blob storage."""

    def __init__(self, access: SharedAccess) -> None:
        """Start empty.

        Args:
            access: Checks the links of the requests.
        """
        self._access = access
        self._lock = threading.Lock()
        self._blobs: dict[str, Blob] = {}
        self._blocks: dict[str, dict[str, bytes]] = {}

    def answer(self, request: Request) -> Response:
        """Answer a request to the blob host."""
        try:
            return self._route(request)
        except BlobError as error:
            return error.response()

    def read(self, blob: str) -> bytes:
        """Read a blob.

        Raises:
            FileNotFoundError: When there is no blob of that name.
        """
        found = self._blobs.get(blob)
        if found is None:
            raise FileNotFoundError(blob)
        return found.content

    def close(self) -> None:
        """Nothing to free."""

    def _route(self, request: Request) -> Response:
        container, _, name = request.path.lstrip("/").partition("/")
        operation = request.query.get("comp")
        if container != CONTAINER or not name:
            raise BlobError(404, "ResourceNotFound", "There is no such container or blob.")
        self._access.check(request, name, "r" if request.method in ("GET", "HEAD") else "cw")
        if request.method in ("GET", "HEAD") and operation is None:
            return self._get(name, request)
        if request.method == "PUT" and operation is None:
            return self._put(name, request, request.body)
        if request.method == "PUT" and operation == "block":
            with self._lock:
                blocks = self._blocks.setdefault(name, {})
                blocks[request.query["blockid"]] = request.body
            return Response(201, headers=blob_headers())
        if request.method == "PUT" and operation == "blocklist":
            return self._put(name, request, self._assemble(name, request))
        raise BlobError(400, "UnsupportedQueryParameter", "The double does not do this.")

    def _assemble(self, name: str, request: Request) -> bytes:
        blocks = self._blocks.get(name, {})
        wanted = re.findall(r"<(?:Latest|Uncommitted)>(.*?)</", request.body.decode())
        if any(block not in blocks for block in wanted):
            raise BlobError(400, "InvalidBlockList", "A block of the list is not there.")
        return b"".join(blocks[block] for block in wanted)

    def _put(self, name: str, request: Request, content: bytes) -> Response:
        kind = request.headers.get("x-ms-blob-content-type") or request.headers.get(
            "content-type", "application/octet-stream"
        )
        modified = format_datetime(datetime.now(timezone.utc), usegmt=True)
        blob = Blob(content, kind, f'"0x{uuid.uuid4().hex[:15].upper()}"', modified)
        with self._lock:
            if name in self._blobs and request.headers.get("if-none-match") == "*":
                raise BlobError(409, "BlobAlreadyExists", "The specified blob already exists.")
            self._blobs[name] = blob
            self._blocks.pop(name, None)
        return Response(
            201, headers={**blob_headers(), "ETag": blob.etag, "Last-Modified": modified}
        )

    def _get(self, name: str, request: Request) -> Response:
        blob = self._blobs.get(name)
        if blob is None:
            raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")
        headers = {
            **blob_headers(),
            "ETag": blob.etag,
            "Last-Modified": blob.modified,
            "Content-Type": blob.content_type,
            "x-ms-blob-type": "BlockBlob",
            "Accept-Ranges": "bytes",
        }
        size = len(blob.content)
        if request.method == "HEAD":
            return Response(200, headers={**headers, "Content-Length": str(size)})
        span = _range(request.headers)
        if span is None:
            return Response(200, blob.content, headers)
        first, last = span[0], min(span[1], size - 1)
        if first >= size:
            raise BlobError(416, "InvalidRange", "The range is not within the blob.")
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return Response(206, blob.content[first : last + 1], headers)


def _range(headers: Mapping[str, str]) -> tuple[int, int] | None:
    text = headers.get("x-ms-range") or headers.get("range") or ""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", text)
    if found is None:
        return None
    return int(found[1]), int(found[2]) if found[2] else 2**62
