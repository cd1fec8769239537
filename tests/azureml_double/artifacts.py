"""The artifact service: names of files, and links to read and write them."""

from __future__ import annotations

import posixpath
import threading
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from .history import EXPERIMENT, RunHistory
from .messages import Request, Response, ServiceError, now
from .routing import SCOPE, Route
from .sas import SharedAccess

ORIGIN = "ExperimentRun"
MAX_PATHS = 50
"""The most names of a request."""

_BASE = f"/artifact/v2.0{SCOPE}/artifacts"
_CONTAINER = f"{ORIGIN}/(?P<container>[^/]+)"


def blob_name(container: str, path: str) -> str:
    """Return the name of an artifact's blob."""
    return f"{ORIGIN}/{container}/{path}"


class Artifacts:
    """The artifacts of all runs: by container, as in the SDK, and by run, as in MLflow."""

    def __init__(self, history: RunHistory, access: SharedAccess) -> None:
        """Start without artifacts.

        Args:
            history: Knows the runs.
            access: Makes the links.
        """
        self._history = history
        self._access = access
        self._lock = threading.Lock()
        self._artifacts: dict[str, dict[str, dict[str, Any]]] = {}

    def paths(self, container: str) -> list[str]:
        """The reserved names in a container, sorted."""
        return sorted(self._artifacts.get(container, {}))

    def routes(self) -> list[Route]:
        """The operations of this service, and of its counterpart below a run."""
        facade = f"/history/v1.0{SCOPE}/{EXPERIMENT}/runs/(?P<run>[^/]+)/artifacts"
        return [
            Route("POST", f"{_BASE}/batch/metadata/{_CONTAINER}", self._reserve),
            Route("GET", f"{_BASE}/prefix/contentinfo/{_CONTAINER}/(?P<path>.*)", self._links),
            Route("GET", f"{_BASE}/contentinfo/{_CONTAINER}/(?P<path>.+)", self._link),
            Route("GET", f"{_BASE}/{_CONTAINER}", self._list),
            Route("POST", f"{facade}/batch/metadata", self._reserve),
            Route("GET", f"{facade}/prefix/contentinfo", self._links),
            Route("GET", f"{facade}/contentinfo", self._link),
            Route("GET", facade, self._list),
        ]

    def _reserve(self, request: Request, groups: Mapping[str, str]) -> Response:
        container = self._container(groups)
        wanted = [str(item["path"]) for item in request.json()["paths"]]
        if len(wanted) > MAX_PATHS:
            message = f"At most {MAX_PATHS} paths in one call, got {len(wanted)}."
            raise ServiceError(400, "UserError", message)
        made, links, errors = {}, {}, {}
        with self._lock:
            known = self._artifacts.setdefault(container, {})
            for sent in wanted:
                # Responses have the name as sent as a key, but "./name" is stored as "name".
                path = _normalise(sent)
                if path in known:
                    errors[sent] = _conflict(container, path)
                    continue
                known[path] = made[sent] = _describe(container, path)
                links[sent] = self._content(container, path, "rcw")
        answer = {"artifacts": made, "artifactContentInformation": links, "errors": errors}
        return Response.of_json(answer)

    def _links(self, request: Request, groups: Mapping[str, str]) -> Response:
        container = self._container(groups)
        prefix = _asked_path(request, groups)
        found = [path for path in self.paths(container) if path.startswith(prefix)]
        return _page(self._content(container, path, "r") for path in found)

    def _link(self, request: Request, groups: Mapping[str, str]) -> Response:
        container = self._container(groups)
        path = _normalise(_asked_path(request, groups))
        if path not in self._artifacts.get(container, {}):
            message = f"Artifact {blob_name(container, path)} was not found."
            raise ServiceError(404, "UserError", message)
        return Response.of_json(self._content(container, path, "r"))

    def _list(self, request: Request, groups: Mapping[str, str]) -> Response:
        container = self._container(groups)
        known = self._artifacts.get(container, {})
        return _page(known[path] for path in self.paths(container))

    def _content(self, container: str, path: str, permissions: str) -> dict[str, Any]:
        link = self._access.link(blob_name(container, path), permissions)
        return {"contentUri": link, "origin": ORIGIN, "container": container, "path": path}

    def _container(self, groups: Mapping[str, str]) -> str:
        """Return the container of a path, which names it or its run."""
        if groups.get("run"):
            return str(self._history.run(groups)["dataContainerId"])
        container = groups["container"]
        known = {run["dataContainerId"] for run in list(self._history.runs.values())}
        if container not in known:
            raise ServiceError(404, "UserError", f"Container {container} was not found.")
        return container


def _asked_path(request: Request, groups: Mapping[str, str]) -> str:
    return groups["path"] if "path" in groups else request.query.get("path", "")


def _normalise(path: str) -> str:
    return posixpath.normpath(path).lstrip("/")


def _describe(container: str, path: str) -> dict[str, Any]:
    return {
        "artifactId": blob_name(container, path),
        "origin": ORIGIN,
        "container": container,
        "path": path,
        "etag": str(uuid.uuid4()),
        "createdTime": now(),
        "dataPath": None,
        "tags": {},
    }


def _conflict(container: str, path: str) -> dict[str, Any]:
    message = f"Resource Conflict: ArtifactId {blob_name(container, path)} already exists."
    return {"error": {"code": "UserError", "message": message}}


def _page(values: Iterable[dict[str, Any]]) -> Response:
    # All entries are on one page.
    page = {"value": list(values), "continuationToken": None, "nextLink": None}
    return Response.of_json(page)
