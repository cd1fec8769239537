"""The MLflow service: a real MLflow server behind the paths of Azure ML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from .forwarding import forward
from .history import RunHistory
from .messages import Json, Request, Response
from .mlflow_limits import RunLimits
from .routing import SCOPE, Route
from .workspace import Workspace

_API = "/api/2.0/mlflow/"
_STATUS = {"RUNNING": "Running", "FINISHED": "Completed", "FAILED": "Failed", "KILLED": "Canceled"}


class MlflowProxy:
    """Forwards MLflow's requests and updates run history: a run has one id in both."""

    def __init__(self, server: str, workspace: Workspace, history: RunHistory) -> None:
        """Forward to a server.

        Args:
            server: Its base URL, plain HTTP.
            workspace: The workspace it plays.
            history: Told of runs and experiments.
        """
        split = urlsplit(server)
        if split.scheme != "http" or not split.hostname:
            raise ValueError(f"mlflow_server must be an http:// URL, got {server!r}.")
        self._address = (split.hostname, split.port or 80)
        self._workspace = workspace
        self._history = history
        self._limits = RunLimits(history)
        history.new_experiment_id = self.experiment_id
        history.on_tags = self._set_tags

    def routes(self) -> list[Route]:
        """The operations of this service."""
        return [Route("*", rf"/mlflow/v[12]\.0{SCOPE}(?P<rest>/.*)", self._answer)]

    def experiment_id(self, name: str) -> str:
        """Return an experiment of the server by name; create it if it does not exist."""
        found = self._ask("GET", f"experiments/get-by-name?experiment_name={quote(name)}")
        if found is not None:
            return str(found["experiment"]["experiment_id"])
        made = self._ask("POST", "experiments/create", {"name": name})
        if made is None:
            raise RuntimeError(f"The MLflow server did not make the experiment {name!r}.")
        return str(made["experiment_id"])

    def create_run(self, experiment_id: str) -> str:
        """Create a run in the server and in run history.

        Returns:
            Its id.
        """
        made = self._ask("POST", "runs/create", {"experiment_id": experiment_id})
        if made is None:
            raise RuntimeError("The MLflow server did not make a run.")
        self._keep_in_step("runs/create", made)
        return str(made["run"]["info"]["run_id"])

    def _answer(self, request: Request, groups: Mapping[str, str]) -> Response:
        operation = groups["rest"].partition("/mlflow/")[2]
        if operation.startswith("logged-models"):
            # Not served by Azure ML: an empty 404.
            return Response(404)
        written = request.method in ("POST", "PATCH") and operation.startswith("runs/")
        body = request.json() if written else {}
        self._limits.check(operation, body)
        target = request.target.partition(f"/workspaces/{self._workspace.name}")[2]
        # Azure ML's plug-in has a batch call of its own, which a plain server does not know. An
        # answer without tracking id means that the plug-in does not wait.
        target = target.replace("preview/mlflow/runs/log-batch-async", "mlflow/runs/log-batch")
        answer = self._forward(request, target)
        if answer.status != HTTPStatus.OK:
            return answer
        self._limits.count(operation, body)
        try:
            value = json.loads(answer.body)
        except ValueError:
            return answer
        self._keep_in_step(operation, value)
        return Response.of_json(self._with_own_uris(value))

    def _keep_in_step(self, operation: str, answer: Json) -> None:
        if operation == "runs/create":
            info, data = answer["run"]["info"], answer["run"].get("data", {})
            self._experiment_name(info["experiment_id"])
            self._history.add_run(
                info["experiment_id"],
                info["run_id"],
                displayName=info.get("run_name"),
                tags={tag["key"]: tag["value"] for tag in data.get("tags", [])},
            )
        elif operation == "runs/update":
            info = answer["run_info"]
            run = self._history.runs.get(info["run_id"])
            if run is not None:
                run.update(status=_STATUS.get(info["status"], info["status"]))

    def _with_own_uris(self, value: Json) -> Json:
        """Return the response with the artifact URIs of the workspace."""
        if isinstance(value, list):
            return [self._with_own_uris(item) for item in value]
        if not isinstance(value, dict):
            return value
        changed: dict[str, Any] = {key: self._with_own_uris(item) for key, item in value.items()}
        if {"artifact_uri", "run_id", "experiment_id"} <= changed.keys():
            name = self._experiment_name(changed["experiment_id"])
            run = f"/experiments/{name}/runs/{changed['run_id']}/artifacts"
            changed["artifact_uri"] = self._workspace.tracking_uri + run
        return changed

    def _experiment_name(self, experiment_id: str) -> str:
        known = self._history.experiments.get(experiment_id)
        if known is None:
            found = self._ask("GET", f"experiments/get?experiment_id={experiment_id}")
            if found is None:
                raise RuntimeError(f"The MLflow server has no experiment {experiment_id!r}.")
            known = self._history.add_experiment(found["experiment"]["name"], experiment_id)
        return str(known["name"])

    def _set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        # MLflow does not know all runs, so errors are ignored.
        for key, value in tags.items():
            self._ask("POST", "runs/set-tag", {"run_id": run_id, "key": key, "value": value})

    def _ask(self, method: str, call: str, body: Json = None) -> Json:
        """Send a request of the double itself; return None if the server refuses it."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = Request(method, self._address[0], _API + call, headers, content)
        answer = self._forward(request, request.target)
        return json.loads(answer.body) if answer.status == HTTPStatus.OK else None

    def _forward(self, request: Request, target: str) -> Response:
        host, port = self._address
        changed = {"host": f"{host}:{port}", "authorization": None, "accept-encoding": "identity"}
        return forward(request, self._address, target, changed)
