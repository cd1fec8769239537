"""The server: one port that is an HTTPS proxy, the end of its tunnels, and a plain HTTP server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from .messages import Request, Response

Answer = Callable[[Request], "Response | None"]
"""Answers a request; None closes the connection without a response."""

_STOP_TIMEOUT = 5.0


class ProxyServer(ThreadingHTTPServer):
    """Serves plain HTTP, and HTTPS after ``CONNECT``.

    A tunnel is not led to a second port: TLS is spoken on the connection it came on, in the name
    of the host it was asked for.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Answer, tls: ssl.SSLContext) -> None:
        """Open a port on the loopback interface.

        Args:
            answer: Answers the requests, and says for ``CONNECT`` whether a host is served.
            tls: The certificate to show.
        """
        super().__init__(("127.0.0.1", 0), Connection)
        self.answer = answer
        self.tls = tls
        self._open: set[Connection] = set()
        self._changed = threading.Condition()
        self._loop = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """The port."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._loop.start()

    def stop(self) -> None:
        """Stop serving: close the port and all connections, and wait for their threads."""
        self.shutdown()
        self._loop.join()
        deadline = time.monotonic() + _STOP_TIMEOUT
        with self._changed:
            while self._open and time.monotonic() < deadline:
                # More than once: a connection may just be beginning, or changing to TLS.
                for connection in self._open:
                    connection.cut()
                self._changed.wait(0.1)
        self.server_close()

    def opened(self, connection: Connection) -> None:
        """Register a new connection."""
        with self._changed:
            self._open.add(connection)

    def closed(self, connection: Connection) -> None:
        """Remove a closed connection."""
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect or do not trust the certificate; report other errors.

        Args:
            request: The socket.
            client_address: Its other end.
        """
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Connection(BaseHTTPRequestHandler):
    """One connection, kept open for as many requests as the client likes."""

    protocol_version = "HTTP/1.1"
    # Answers are written in two pieces: without these, each would wait for the other side's
    # delayed acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    _tunnel_host: str | None = None

    def setup(self) -> None:
        """Begin."""
        super().setup()
        self._server.opened(self)

    def finish(self) -> None:
        """End."""
        try:
            with contextlib.suppress(OSError):
                super().finish()
            self.connection.close()
        finally:
            self._server.closed(self)

    def cut(self) -> None:
        """Close the connection from another thread; a pending read ends."""
        with contextlib.suppress(OSError):
            # Not the method of a TLS socket, which would take the TLS state away from the reader.
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

    @property
    def _server(self) -> ProxyServer:
        return cast(ProxyServer, self.server)

    def _open_tunnel(self) -> None:
        host = self.path.rpartition(":")[0]
        answer = self._server.answer(Request("CONNECT", host, "", self._headers()))
        if answer is None or answer.status != HTTPStatus.OK:
            self._send(answer)
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        # The handshake comes later, so that another thread can close a connection without one.
        tunnel = self._server.tls.wrap_socket(
            self.connection, server_side=True, do_handshake_on_connect=False
        )
        self.connection = tunnel
        tunnel.do_handshake()
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", -1)
        self._tunnel_host = host
        # A client may request the tunnel with HTTP/1.0 and keep it open.
        self.close_connection = False

    def serve(self) -> None:
        """Read and answer a request."""
        if self.command == "CONNECT":
            self._open_tunnel()
            return
        host = self._tunnel_host or self.headers.get("Host", "").partition(":")[0]
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self._send(Response(411))
            self.close_connection = True
            return
        self._acknowledge()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, host, self.path, self._headers(), body)
        self._send(self._server.answer(request))

    def _acknowledge(self) -> None:
        """Answer ``Expect: 100-continue``.

        Behind a proxy, urllib3 leaves Nagle's algorithm on: the body waits for this.
        """
        if hasattr(socket, "TCP_QUICKACK"):  # Linux
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _send(self, answer: Response | None) -> None:
        if answer is None:
            self.close_connection = True
            self.cut()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("date", "server"):
                self.send_header(name, value)
        if "content-length" not in {name.lower() for name in answer.headers}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, *args: Any, **named: Any) -> None:
        """Write no log; the double records requests itself."""


for _verb in ("CONNECT", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(Connection, f"do_{_verb}", Connection.serve)
