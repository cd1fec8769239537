"""Forward requests to another server on this machine."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

from .messages import Request, Response

_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}


def forward(
    request: Request,
    address: tuple[str, int],
    target: str,
    changed: Mapping[str, str | None],
    timeout: float = 120,
) -> Response:
    """Forward a request and return the response.

    Args:
        request: The request to pass on.
        address: Host and port of the other server, which speaks plain HTTP.
        target: The request target to use there.
        changed: Headers to replace, or with None to leave out; names in lower case.
        timeout: Seconds to wait for the other server.

    Returns:
        Its answer, without the headers that belong to the connection; 502 when there was none.
    """
    headers = {**request.headers, **changed}
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if value is not None and name not in _HOP_BY_HOP | {"content-length"}:
                connection.putheader(name, value)
        if request.body or request.method not in ("GET", "HEAD"):
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        body = answer.read()
        dropped = _HOP_BY_HOP if request.method == "HEAD" else _HOP_BY_HOP | {"content-length"}
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
        return Response(answer.status, body, kept)
    except (OSError, http.client.HTTPException) as error:
        return Response(502, f"The server behind the double did not answer: {error!r}".encode())
    finally:
        connection.close()
