"""A real MLflow server for as long as a test needs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 180


@contextmanager
def mlflow_server(database: Path, folder: Path) -> Iterator[str]:
    """The URL of a server on a SQLite store that has its tables; it keeps artifacts in ``folder``."""
    command = ["server", "--workers", "1", "--serve-artifacts"]
    command += ["--backend-store-uri", f"sqlite:///{database}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # half a dozen idle processes
    with _running(command, environment, folder, "health") as url:
        yield url


@contextmanager
def model_server(uri: str, store: str, folder: Path) -> Iterator[str]:
    """The URL of a server of a logged model, in an environment like that of this process."""
    scripts = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow calls uvicorn
    )
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "PATH": scripts}
    command = ["models", "serve", "--model-uri", uri, "--env-manager", "local", "--workers", "1"]
    with _running(command, environment, folder, "ping") as url:
        yield url


@contextmanager
def _running(
    command: list[str], environment: dict[str, str], folder: Path, health: str
) -> Iterator[str]:
    """The URL of a command of MLflow that serves HTTP until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", *command, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(f"{url}/{health}", server, folder / "server.log")
            yield url
        finally:
            _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server with its workers, which are in the session it was started in."""
    if not hasattr(os, "killpg"):  # Windows
        server.terminate()
    elif server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:  # a busy machine
        server.kill()
        server.wait(30)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise RuntimeError(f"the MLflow server did not start: {log.read_text()}")
