"""Faults on request of a test: a status, no response, or a dropped connection."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from .messages import AssetError, BlobError, Request, Response, ServiceError
from .workspace import BLOB_SUFFIX


@dataclass
class Fault:
    """A fault.

    Attributes:
        method: The HTTP verb it hits, or ``*`` for any.
        pattern: Searched for in host + path.
        status: Status of the response, in place of the service's response.
        hang: Seconds without a response, before any other fault.
        drop: Close the connection; the request is not carried out.
        lose_answer: Carry the request out, then close the connection without an answer.
        headers: Headers of the answer with ``status``, such as ``Retry-After``.
        times: Number of requests that it hits; None for all.
        skip: Number of requests that pass first.
        passed: Number of requests that have passed.
        hits: Number of requests that it has hit.
    """

    method: str
    pattern: re.Pattern[str]
    status: int | None = None
    hang: float | None = None
    drop: bool = False
    lose_answer: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int | None = None
    skip: int = 0
    passed: int = 0
    hits: int = 0

    def matches(self, request: Request) -> bool:
        """Return whether the fault applies to a request; count the requests that pass."""
        if self.times is not None and self.hits >= self.times:
            return False
        meant = self.method in ("*", request.method) and bool(
            self.pattern.search(request.host + request.path)
        )
        if meant and self.passed < self.skip:
            self.passed += 1
            return False
        return meant

    def response(self, request: Request) -> Response | None:
        """Return the response instead of the service's, if any, in the format of that service."""
        if self.status is None:
            return None
        form = ServiceError
        if request.host.endswith(BLOB_SUFFIX):
            form = BlobError
        elif request.path.startswith("/modelmanagement/"):
            form = AssetError
        plain = form(self.status, "InjectedFault", "The test asked for this.").response()
        return Response(plain.status, plain.body, {**plain.headers, **self.headers})


class Faults:
    """The active faults; the first that matches applies."""

    def __init__(self) -> None:
        """Start without faults."""
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._healed = threading.Event()

    def add(self, fault: Fault) -> None:
        """Turn a fault on."""
        with self._lock:
            if self._healed.is_set():
                # Requests that hang wait for the previous event.
                self._healed = threading.Event()
            self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults and continue the requests that hang."""
        with self._lock:
            self._faults.clear()
            self._healed.set()

    def hit(self, request: Request) -> Fault | None:
        """Return the fault of a request, after the time that it hangs.

        Returns:
            The fault that hits the request, or None.
        """
        with self._lock:
            fault = next((fault for fault in self._faults if fault.matches(request)), None)
            if fault is None:
                return None
            fault.hits += 1
            healed = self._healed
        if fault.hang is not None:
            healed.wait(fault.hang)
        return fault
