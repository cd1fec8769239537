"""The double and its interface for tests."""

from __future__ import annotations

import contextlib
import re
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import trustme

from .artifacts import blob_name
from .azurite import find_azurite
from .cloud import Cloud
from .environments import Environments
from .faults import Fault
from .history import RunHistory
from .messages import RequestRecord
from .server import ProxyServer
from .tokens import LIFETIME, RUN
from .workspace import ARM_HOST, BLOB_SUFFIX, LOGIN_HOST, Workspace

if TYPE_CHECKING:
    from typing_extensions import Self


class AzureMLDouble:
    """A stand-in for Azure ML's cloud, for the real SDK in another process.

    It is a proxy: the processes that are to meet it get ``HTTPS_PROXY`` and a certificate
    authority to trust, and go on using Azure's own host names. Nothing else is reachable through
    the proxy; plain calls to this machine go past it.

    In a test::

        with AzureMLDouble(blobs="memory") as double:
            run_id = double.create_run()
            subprocess.run(command, env=double.job_environment(run_id, tmp_path), check=True)
            assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
            assert double.unknown_requests == []

    Attributes:
        workspace_coordinates: Subscription, resource group, name, tenant, client id and secret.
        secrets: Each token, signature and password handed out.
        blob_backend: ``azurite`` or ``memory``.
    """

    def __init__(
        self,
        mlflow_server: str | None = None,
        blobs: Literal["azurite", "memory"] | None = None,
    ) -> None:
        """Prepare a double; it serves from ``start`` or the ``with`` statement on.

        Args:
            mlflow_server: Base URL of a running MLflow server (plain HTTP) that is to be the
                workspace's tracking store. Without it, MLflow's calls are unknown requests.
            blobs: Where blobs are kept: by the emulator Azurite, or in memory. None takes
                Azurite where it is installed.
        """
        if blobs not in (None, "azurite", "memory"):
            raise ValueError(f"blobs must be 'azurite', 'memory' or None, got {blobs!r}.")
        self.blob_backend = blobs or ("azurite" if find_azurite() else "memory")
        self.workspace_coordinates = Workspace()
        self.secrets: set[str] = {self.workspace_coordinates.client_secret}
        self._cloud = Cloud(self.workspace_coordinates, mlflow_server, self.secrets)
        self._exit = contextlib.ExitStack()
        self._environments: Environments | None = None

    def __enter__(self) -> Self:
        """Start to serve."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self.stop()

    def start(self) -> None:
        """Start to serve, on a free port of the loopback interface."""
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._cloud.open_blobs(self.blob_backend)
            stack.callback(self._cloud.close_blobs)
            ca_file = directory / "ca.pem"
            server = ProxyServer(self._cloud.answer, _certificate(ca_file))
            stack.callback(server.stop)
            # Last in, first out: requests that hang continue before the server stops.
            stack.callback(self.heal)
            server.start()
            self._environments = Environments(
                self.workspace_coordinates, self._cloud.tokens, server.port, ca_file
            )
            self._exit = stack.pop_all()

    def stop(self) -> None:
        """Stop serving. The received data stay readable, except blobs in Azurite."""
        self._exit.close()
        self._environments = None

    @property
    def port(self) -> int:
        """The port of the proxy; plain HTTP to it reaches the services too."""
        return self._running().port

    @property
    def ca_file(self) -> Path:
        """The certificate authority to trust (PEM); deleted on ``stop``."""
        return self._running().ca_file

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests, in the order of their responses."""
        return self._cloud.requests

    @property
    def unknown_requests(self) -> list[RequestRecord]:
        """Requests that no service serves, and tunnels to hosts outside of Azure ML."""
        return self._cloud.unknown_requests

    @property
    def history(self) -> RunHistory:
        """Runs, experiments, metrics and events in detail."""
        return self._cloud.history

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """The runs by their ids, as the service describes them, with tags and properties."""
        return self.history.runs

    @property
    def assets(self) -> list[dict[str, Any]]:
        """All assets, oldest first."""
        return self._cloud.assets.assets

    def artifacts(self, run_id: str) -> list[str]:
        """The names of a run's artifacts, sorted.

        A name is there from its reservation on, whether or not its content ever arrived.
        """
        return self._cloud.artifacts.paths(self.runs[run_id]["dataContainerId"])

    def read_artifact(self, run_id: str, path: str) -> bytes:
        """Read an artifact.

        Raises:
            FileNotFoundError: When there is no such artifact, or its content never arrived.
        """
        return self._cloud.blobs.read(blob_name(self.runs[run_id]["dataContainerId"], path))

    def create_run(self, experiment: str = "double-experiment", run_id: str | None = None) -> str:
        """Create a run, as the service does for a submitted job.

        Args:
            experiment: The name of its experiment, made where it is missing.
            run_id: Its identifier; not to be chosen where an MLflow server keeps the runs.

        Returns:
            The run's identifier.
        """
        return self._cloud.create_run(experiment, run_id)

    def issue_token(self, run_id: str, lifetime: float = LIFETIME) -> str:
        """Issue a run's token.

        Args:
            run_id: The run.
            lifetime: Seconds until it expires; negative for one that has expired.
        """
        return self._cloud.tokens.issue(RUN, run_id, lifetime)

    def job_environment(
        self,
        run_id: str,
        home: Path | str,
        *,
        mlflow: bool = False,
        token_lifetime: float = LIFETIME,
    ) -> dict[str, str]:
        """Return the environment of an Azure ML job.

        It is this process's environment without its own Azure, MLflow and proxy variables, and
        with those of the job; ``env=`` of a subprocess takes it as it is.

        Args:
            run_id: The run the job is.
            home: Its home directory, where the SDK caches addresses: a new one for each double.
            mlflow: Also set MLflow up for the run (``MLFLOW_TRACKING_URI`` and its companions).
            token_lifetime: Seconds until the run's token expires.
        """
        run = self.runs[run_id]
        experiment = self.history.experiments[run["experimentId"]]["name"]
        return self._running().job(
            run, experiment, Path(home), mlflow=mlflow, token_lifetime=token_lifetime
        )

    def laptop_environment(self, home: Path | str) -> dict[str, str]:
        """Return the environment of a process outside of Azure that logs in as a service principal.

        Args:
            home: Its home directory: a new one for each double.
        """
        return self._running().laptop(Path(home))

    def fail(
        self,
        method: str,
        pattern: str,
        *,
        status: int | None = None,
        hang: float | None = None,
        drop: bool = False,
        lose_answer: bool = False,
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
        skip: int = 0,
    ) -> Fault:
        """Add a fault for later requests.

        Args:
            method: The HTTP verb to hit, or ``*``. ``CONNECT`` hits whole tunnels, whose path is
                empty.
            pattern: Regular expression, searched for in host + path (decoded, without query).
            status: Answer with this status; the request is not carried out.
            hang: Seconds without a response; without another fault, the request is served then.
            drop: Close the connection; the request is not carried out.
            lose_answer: Carry the request out, then close the connection without an answer.
            headers: Headers of the answer with ``status``, such as ``Retry-After``.
            times: Number of requests to hit; None for all.
            skip: Number of requests that pass first.

        Returns:
            The fault, whose ``hits`` counts the requests it has hit.
        """
        if status is None and hang is None and not drop and not lose_answer:
            raise ValueError("fail needs one of status, hang, drop and lose_answer.")
        fault = Fault(
            method,
            re.compile(pattern),
            status=status,
            hang=hang,
            drop=drop,
            lose_answer=lose_answer,
            headers=headers or {},
            times=times,
            skip=skip,
        )
        self._cloud.faults.add(fault)
        return fault

    def heal(self) -> None:
        """Remove all faults; requests that hang are served at once."""
        self._cloud.faults.clear()

    def _running(self) -> Environments:
        if self._environments is None:
            raise RuntimeError("The double is not running: use it in a with statement.")
        return self._environments


def _certificate(ca_file: Path) -> ssl.SSLContext:
    """Create an authority, write its file, and return a certificate for all hosts of the double."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    names = ("*.api.azureml.ms", ARM_HOST, LOGIN_HOST, f"*{BLOB_SUFFIX}", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
