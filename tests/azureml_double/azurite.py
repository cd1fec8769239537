"""Blob storage by Azurite, Microsoft's emulator, run as a child process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from .forwarding import forward
from .messages import Request, Response
from .sas import CONTAINER, SharedAccess

_START_TIMEOUT = 60.0


def find_azurite() -> str | None:
    """Find the emulator.

    Returns:
        The path in ``AZURITE_BLOB``, else ``azurite-blob`` on the search path, else the one in
        ``node_modules`` of a directory above this file, else None.
    """
    given = os.environ.get("AZURITE_BLOB")
    if given:
        return given
    return shutil.which("azurite-blob") or next(_installed_locally(), None)


def _installed_locally() -> Iterator[str]:
    for directory in Path(__file__).resolve().parents:
        found = shutil.which("azurite-blob", path=str(directory / "node_modules" / ".bin"))
        if found:
            yield found


class AzuriteBlobs:
    """Forwards blob requests to Azurite, which checks links, conditions and ranges."""

    def __init__(self, access: SharedAccess) -> None:
        """Start the emulator, and make the container.

        Args:
            access: Account and key the emulator is to serve.

        Raises:
            RuntimeError: When the emulator is missing or does not start.
        """
        program = find_azurite()
        if program is None:
            raise RuntimeError(
                "Azurite is not installed: npm install azurite, or set AZURITE_BLOB to its path."
            )
        self._access = access
        self._address = ("127.0.0.1", _free_port())
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = self._start(program)
        try:
            self._wait()
            self._make_container()
        except BaseException:
            self.close()
            raise

    def _start(self, program: str) -> subprocess.Popen[bytes]:
        command = [program, "--blobHost", self._address[0], "--blobPort", str(self._address[1])]
        command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
        environment = {
            **os.environ,
            # An account with its own key instead of the emulator's well-known one.
            "AZURITE_ACCOUNTS": f"{self._access.account}:{self._access.key}",
        }
        return subprocess.Popen(
            [*command, "--silent"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
        )

    def answer(self, request: Request) -> Response:
        """Answer a request to the blob host."""
        # The emulator takes the account from the first label of the host name.
        return forward(request, self._address, request.target, {"host": request.host})

    def read(self, blob: str) -> bytes:
        """Read a blob.

        Raises:
            FileNotFoundError: When there is no blob of that name.
        """
        link = self._access.link(blob, "r")
        target = link.partition(self._access.host)[2]
        answer = self.answer(Request("GET", self._access.host, target, {}))
        if answer.status == HTTPStatus.NOT_FOUND:
            raise FileNotFoundError(blob)
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"Azurite answered {answer.status}: {answer.body!r}")
        return answer.body

    def close(self) -> None:
        """Stop the emulator."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(self._address, 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        self._log.seek(0)
        output = self._log.read().decode(errors="replace")
        raise RuntimeError(f"Azurite did not start. It wrote:\n{output}")

    def _make_container(self) -> None:
        target = f"/{CONTAINER}?restype=container&{self._access.account_query()}"
        answer = self.answer(Request("PUT", self._access.host, target, {}))
        if answer.status != HTTPStatus.CREATED:
            raise RuntimeError(f"Azurite made no container: {answer.status} {answer.body!r}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
