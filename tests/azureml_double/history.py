"""Run history: experiments, runs, and the events and metrics of jobs."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from .messages import Json, Request, Response, ServiceError, now
from .routing import SCOPE, Route
from .tokens import RUN, TokenIssuer

EXPERIMENT = "(experiments/(?P<experiment>[^/]+)|experimentids/(?P<experiment_id>[^/]+))"
"""Pattern of the part of a path that names an experiment by name or by id."""

MAX_TAGS = 50
MAX_TAG_VALUE = 1000

_BASE = f"/history/v1.0{SCOPE}"
_ENDINGS = ("Completed", "Failed", "Canceled")


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags beyond the service's limits.

    Args:
        tags: All tags the run would have.

    Raises:
        ServiceError: With status 400.
    """
    if len(tags) > MAX_TAGS:
        message = f"A run has at most {MAX_TAGS} tags, got {len(tags)}."
        raise ServiceError(400, "ValidationError", message)
    for name, value in tags.items():
        if value is not None and len(str(value)) > MAX_TAG_VALUE:
            message = f"The value of tag {name!r} has more than {MAX_TAG_VALUE} characters."
            raise ServiceError(400, "ValidationError", message)


class RunHistory:
    """The experiments and runs of the workspace.

    Attributes:
        runs: Run id -> the run as the service describes it.
        experiments: Experiment id -> the experiment as the service describes it.
        metrics: Run id -> the metric values received through the service's own metric call.
        events: Run id -> the events received.
        on_tags: Called with a run id and the tags that were set through this service.
        new_experiment_id: Gives the identifier of a new experiment, from its name.
    """

    def __init__(self, tokens: TokenIssuer) -> None:
        """Start without experiments.

        Args:
            tokens: Issues the fresh tokens that jobs ask for.
        """
        self._tokens = tokens
        self._lock = threading.RLock()
        self.runs: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.metrics: dict[str, list[Json]] = {}
        self.events: dict[str, list[Json]] = {}
        self.on_tags: Callable[[str, Mapping[str, str]], None] = lambda _run_id, _tags: None
        self.new_experiment_id: Callable[[str], str] = lambda _name: str(uuid.uuid4())

    def add_experiment(self, name: str, experiment_id: str | None = None) -> dict[str, Any]:
        """Return an experiment by name; create it if it does not exist."""
        with self._lock:
            for experiment in self.experiments.values():
                if experiment["name"] == name:
                    return experiment
            experiment_id = experiment_id or self.new_experiment_id(name)
            experiment = {
                "experimentId": experiment_id,
                "name": name,
                "description": None,
                "createdUtc": now(),
                "archivedTime": None,
                "tags": {},
            }
            self.experiments[experiment_id] = experiment
            return experiment

    def add_run(self, experiment_id: str, run_id: str, **given: Any) -> dict[str, Any]:
        """Create a run.

        Args:
            experiment_id: The experiment it belongs to.
            run_id: Its identifier.
            given: Fields that replace the usual ones.
        """
        with self._lock:
            run: dict[str, Any] = {
                "runId": run_id,
                "rootRunId": run_id,
                "parentRunId": None,
                "runNumber": len(self.runs) + 1,
                "experimentId": experiment_id,
                "dataContainerId": f"dcid.{run_id}",
                "name": run_id,
                "displayName": run_id,
                "status": "Running",
                "runType": "azureml.scriptrun",
                "runTypeV2": {"orchestrator": "Execution", "traits": []},
                "heartbeatEnabled": False,
                "target": "local",
                "createdUtc": now(),
                "startTimeUtc": now(),
                "endTimeUtc": None,
                "error": None,
                "warnings": None,
                "tags": {},
                "properties": {},
            }
            run.update(given)
            self.runs[run_id] = run
            return run

    def run(self, groups: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the run of a path.

        Args:
            groups: ``run``, and ``experiment`` or ``experiment_id`` where the path has one.

        Raises:
            ServiceError: With status 404, when there is no such run in that experiment.
        """
        run = self.runs.get(groups["run"] or "")
        if run is None:
            raise ServiceError(404, "UserError", f"Run {groups['run']} was not found.")
        placed = groups.get("experiment") or groups.get("experiment_id")
        if placed and run["experimentId"] != self.experiment(groups)["experimentId"]:
            message = f"Run {run['runId']} was not found in experiment {placed}."
            raise ServiceError(404, "UserError", message)
        return run

    def experiment(self, groups: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the experiment of a path, by name or by id.

        Raises:
            ServiceError: With status 404, when there is none.
        """
        name, experiment_id = groups.get("experiment"), groups.get("experiment_id")
        for experiment in list(self.experiments.values()):
            if name == experiment["name"] or experiment_id == experiment["experimentId"]:
                return experiment
        message = f"Experiment {name or experiment_id} was not found."
        raise ServiceError(404, "UserError", message)

    def merge_tags(self, run: dict[str, Any], tags: Mapping[str, str]) -> None:
        """Add tags to a run; other tags do not change.

        Raises:
            ServiceError: With status 400, when that would break a limit.
        """
        with self._lock:
            merged = {**run["tags"], **tags}
            check_tags(merged)
            run["tags"] = merged

    def routes(self) -> list[Route]:
        """The operations of this service."""
        run = f"{_BASE}/{EXPERIMENT}/runs/(?P<run>[^/]+)"
        named = f"{_BASE}/experiments/(?P<experiment>[^/]+)"
        metrics = f"/metric/v2.0{SCOPE}/runs/(?P<run>[^/]+)/batch"
        return [
            Route("GET", run, self._get_run),
            Route("GET", f"{_BASE}/runs/(?P<run>[^/]+)", self._get_run),
            Route("PATCH", run, self._patch_run),
            Route("GET", f"{run}/token", self._fresh_token),
            Route("POST", f"{run}/events", self._take_event),
            Route("GET", f"{run}/metricsingest/wait", self._flush),
            Route("GET", f"{_BASE}/{EXPERIMENT}", self._get_experiment),
            Route("POST", named, self._create_experiment),
            Route("POST", metrics, self._take_metrics),
        ]

    def _get_run(self, request: Request, groups: Mapping[str, str]) -> Response:
        return Response.of_json(self.run(groups))

    def _patch_run(self, request: Request, groups: Mapping[str, str]) -> Response:
        change = request.json()
        with self._lock:
            if groups["experiment"] and groups["run"] not in self.runs:
                # By experiment name, the same verb also creates.
                run = self.add_run(self.experiment(groups)["experimentId"], groups["run"])
            else:
                run = self.run(groups)
            tags = change.pop("tags", None) or {}
            self.merge_tags(run, tags)
            run["properties"].update(change.pop("properties", None) or {})
            fixed = ("runId", "dataContainerId", "rootRunId", "runNumber", "experimentId")
            run.update({name: value for name, value in change.items() if name not in fixed})
        if tags:
            self.on_tags(run["runId"], tags)
        return Response.of_json(run)

    def _fresh_token(self, request: Request, groups: Mapping[str, str]) -> Response:
        token, expiry = self._tokens.issue_dated(RUN, self.run(groups)["runId"])
        return Response.of_json({"token": token, "expiryTimeUtc": expiry})

    def _take_event(self, request: Request, groups: Mapping[str, str]) -> Response:
        run, event = self.run(groups), request.json()
        self.events.setdefault(run["runId"], []).append(event)
        ending = str(event.get("name", "")).rpartition(".")[2]
        if ending in _ENDINGS:
            run.update(status=ending, endTimeUtc=now())
        return Response.of_json({})

    def _flush(self, request: Request, groups: Mapping[str, str]) -> Response:
        self.run(groups)
        return Response.of_json({})

    def _get_experiment(self, request: Request, groups: Mapping[str, str]) -> Response:
        return Response.of_json(self.experiment(groups))

    def _create_experiment(self, request: Request, groups: Mapping[str, str]) -> Response:
        return Response.of_json(self.add_experiment(groups["experiment"]))

    def _take_metrics(self, request: Request, groups: Mapping[str, str]) -> Response:
        run = self.run(groups)
        self.metrics.setdefault(run["runId"], []).extend(request.json().get("values", []))
        return Response.of_json({})
