"""All services behind one entrance, which records requests and applies faults."""

from __future__ import annotations

import traceback
import uuid
from http import HTTPStatus
from typing import Any, Literal

from .artifacts import Artifacts
from .assets import Assets
from .azurite import AzuriteBlobs
from .blobs import BlobBackend, MemoryBlobs
from .faults import Faults
from .history import RunHistory
from .identity import Directory
from .messages import Request, RequestRecord, Response, ServiceError
from .mlflow_proxy import MlflowProxy
from .resources import ResourceManager
from .routing import Router
from .sas import SharedAccess
from .tokens import TokenIssuer
from .workspace import API_HOST, ARM_HOST, BLOB_SUFFIX, LOGIN_HOST, Workspace

_HOSTS = (API_HOST, ARM_HOST, LOGIN_HOST)


class Cloud:
    """The services of one workspace.

    Attributes:
        requests: All requests answered, in the order of their answers.
        unknown_requests: Those that no service knew.
        faults: The trouble that was ordered.
        tokens: Issues tokens.
        history: Runs and experiments.
        artifacts: Names of files, and links to them.
        assets: What the studio knows of explanations.
    """

    def __init__(self, workspace: Workspace, mlflow_server: str | None, secrets: set[str]) -> None:
        """Create the services.

        Args:
            workspace: The workspace they serve.
            mlflow_server: Base URL of the MLflow server that is the tracking store, if any.
            secrets: Receives all issued secrets, which must not leak.
        """
        self.requests: list[RequestRecord] = []
        self.unknown_requests: list[RequestRecord] = []
        self.faults = Faults()
        self.tokens = TokenIssuer(workspace, secrets)
        self._access = SharedAccess("azuremldouble", secrets)
        self.history = RunHistory(self.tokens)
        self.artifacts = Artifacts(self.history, self._access)
        self.assets = Assets()
        services: list[Any] = [
            Directory(workspace, self.tokens),
            ResourceManager(workspace),
            self.history,
            self.artifacts,
            self.assets,
        ]
        self._mlflow: MlflowProxy | None = None
        if mlflow_server is not None:
            self._mlflow = MlflowProxy(mlflow_server, workspace, self.history)
            services.append(self._mlflow)
        routes = [route for service in services for route in service.routes()]
        self._router = Router(workspace, self.tokens, routes)
        self._blobs: BlobBackend | None = None

    @property
    def blobs(self) -> BlobBackend:
        """The storage of blobs.

        Raises:
            RuntimeError: Before ``open_blobs``.
        """
        if self._blobs is None:
            raise RuntimeError("The double has not been started.")
        return self._blobs

    def open_blobs(self, backend: Literal["azurite", "memory"]) -> None:
        """Start the storage of blobs."""
        if backend == "azurite":
            self._blobs = AzuriteBlobs(self._access)
        else:
            self._blobs = MemoryBlobs(self._access)

    def close_blobs(self) -> None:
        """Stop the storage of blobs."""
        self.blobs.close()

    def create_run(self, experiment: str, run_id: str | None) -> str:
        """Create a run in run history and in the MLflow server, if there is one.

        Args:
            experiment: The name of its experiment.
            run_id: Its identifier; not to be chosen where there is an MLflow server.

        Returns:
            Its identifier.
        """
        experiment_id = self.history.add_experiment(experiment)["experimentId"]
        if self._mlflow is None:
            run = self.history.add_run(experiment_id, run_id or str(uuid.uuid4()))
            return str(run["runId"])
        if run_id is not None:
            raise ValueError("run_id cannot be chosen: the MLflow server gives the identifier.")
        return self._mlflow.create_run(experiment_id)

    def answer(self, request: Request) -> Response | None:
        """Answer a request, or apply the fault for it.

        Returns:
            The answer, or None to close the connection without one.
        """
        fault = self.faults.hit(request)
        answer: Response | None = None
        if fault is None:
            answer = self._serve_safely(request)
        elif not fault.drop:
            answer = fault.response(request) or self._serve_safely(request)
            if fault.lose_answer:
                answer = None
        if request.method != "CONNECT" or answer is None or answer.status != HTTPStatus.OK:
            self.requests.append(RequestRecord.of(request, answer.status if answer else 0))
        return answer

    def _serve_safely(self, request: Request) -> Response:
        try:
            return self._serve(request)
        except Exception as error:
            # A defect of the double, or a body it did not expect: to be seen, and answered as the
            # service would answer its own defects.
            traceback.print_exc()
            return ServiceError(500, "InternalError", repr(error)).response()

    def _serve(self, request: Request) -> Response:
        if request.method == "CONNECT":
            served = request.host in _HOSTS or request.host.endswith(BLOB_SUFFIX)
            return Response(200) if served else self._unknown(request, 403)
        if request.host.endswith(BLOB_SUFFIX):
            return self.blobs.answer(request)
        return self._router.answer(request) or self._unknown(request, 404)

    def _unknown(self, request: Request, status: int) -> Response:
        self.unknown_requests.append(RequestRecord.of(request, status))
        text = f"The double does not know {request.method} {request.host}{request.path}"
        return ServiceError(status, "NotFound", text).response()
