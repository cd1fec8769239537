"""A proxy in front of an MLflow server that delays answers, or fails at chosen requests."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("500", "503", "drop before", "drop after", "hang")
"""The faults: an error, a connection that is closed before or after the server has carried out the
request, and no answer."""


class Proxy(ThreadingHTTPServer):
    """Forwards requests to a server.

    Args:
        url: The server.
        seconds: The delay of each answer.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, url: str, seconds: float = 0.0):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.seconds = urlsplit(url).netloc, seconds
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._lock = threading.Lock()
        self._faults: Mapping[int, str] = {}
        self.requests: list[str] = []
        self._released = threading.Event()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve in a thread during a block."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            self.disarm()
            self.shutdown()

    def arm(self, faults: Mapping[int, str]) -> None:
        """Let the given requests, counted from now on, fail."""
        with self._lock:
            self._faults, self.requests = dict(faults), []
            self._released = threading.Event()

    def disarm(self) -> list[str]:
        """Let no request fail; return the requests since `arm`."""
        with self._lock:
            self._faults = {}
            self._released.set()
            return list(self.requests)

    def next_fault(self, request: str) -> tuple[str | None, threading.Event]:
        """Count a request and return its fault."""
        with self._lock:
            self.requests.append(request)
            return self._faults.get(len(self.requests) - 1), self._released

    def forwarded(self, path: str) -> AbstractContextManager[None]:
        """Return a context for a request that is being forwarded."""
        return nullcontext()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        fault, released = self.server.next_fault(f"{self.command} {path}")
        if fault in ("500", "503"):
            self._answer(int(fault), {"Content-Type": "application/json"}, b"{}")
            return
        if fault == "hang":
            released.wait(60)
        if fault in ("hang", "drop before"):
            self.close_connection = True
            return
        with self.server.forwarded(self.path):
            time.sleep(self.server.seconds)
            connection = http.client.HTTPConnection(self.server.target, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
        if fault == "drop after":
            self.close_connection = True
            return
        names = ("Content-Type", "Location")
        sent = {name: answer.headers[name] for name in names if answer.headers.get(name)}
        self._answer(answer.status, sent, content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
