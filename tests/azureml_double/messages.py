"""Requests and responses of the double's services, and their records."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

Json = Any
"""A decoded JSON value."""


def now() -> str:
    """The current time as the service writes it: ISO 8601 in UTC, with microseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        method: The HTTP verb.
        host: The host name the client meant, without port.
        target: The request target exactly as sent: still encoded, with the query.
        headers: All headers, with names in lower case.
        body: The whole body.
    """

    method: str
    host: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The decoded query; of a repeated name, the last value."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def json(self) -> Json:
        """The body as JSON.

        Raises:
            ServiceError: With status 400, when the body is not JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ServiceError(400, "UserError", f"The body is not valid JSON: {error}") from error


@dataclass(frozen=True)
class Response:
    """A response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: Json, status: int = 200) -> Response:
        """An answer with a JSON body."""
        kind = {"Content-Type": "application/json; charset=utf-8"}
        return cls(status, json.dumps(value).encode(), kind)


class ServiceError(Exception):
    """A refusal, answered with the error body of the run history and artifact services."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Set the fields of the response.

        Args:
            status: The HTTP status.
            code: The service's error code, such as ``UserError``.
            message: The text for people.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> Response:
        """The response of this refusal."""
        body = {
            "error": {"code": self.code, "message": self.message},
            "correlation": {},
            "environment": "",
            "location": "",
            "time": now(),
            "componentName": "",
        }
        return Response.of_json(body, self.status)


class AssetError(ServiceError):
    """A refusal by the asset service, which has a body of its own."""

    def response(self) -> Response:
        """The response of this refusal."""
        body = {
            "code": self.code,
            "statusCode": self.status,
            "message": self.message,
            "details": [],
            "correlation": {},
        }
        return Response.of_json(body, self.status)


class BlobError(ServiceError):
    """A refusal by blob storage, in XML and in a header."""

    def response(self) -> Response:
        """The response of this refusal."""
        body = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
        )
        headers = {
            **blob_headers(),
            "x-ms-error-code": self.code,
            "Content-Type": "application/xml",
        }
        return Response(self.status, body.encode(), headers)


def blob_headers() -> dict[str, str]:
    """The headers of every answer of blob storage."""
    return {"x-ms-request-id": str(uuid.uuid4()), "x-ms-version": "2021-08-06"}


@dataclass(frozen=True)
class RequestRecord:
    """The record of a request.

    Attributes:
        method: The HTTP verb.
        host: The host name the client meant, without port.
        path: The decoded path.
        query: The decoded query.
        status: The status answered; 0 when the connection was dropped instead.
        headers: All request headers, with names in lower case.
        body_size: Bytes in the body.
        body: The decoded body where it was JSON, otherwise None.
    """

    method: str
    host: str
    path: str
    query: dict[str, str]
    status: int
    headers: Mapping[str, str]
    body_size: int
    body: Json = None

    @classmethod
    def of(cls, request: Request, status: int) -> RequestRecord:
        """The record of a request that was answered with a status."""
        body = None
        if request.body and "json" in request.headers.get("content-type", ""):
            try:
                body = json.loads(request.body)
            except ValueError:
                body = None
        return cls(
            request.method,
            request.host,
            request.path,
            request.query,
            status,
            request.headers,
            len(request.body),
            body,
        )
