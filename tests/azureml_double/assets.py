"""The asset service: the registered explanations."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import Any

from .messages import AssetError, Request, Response, now
from .routing import SCOPE, Route

_BASE = f"/modelmanagement/v1.0{SCOPE}/assets"


class Assets:
    """The assets of the workspace.

    Attributes:
        assets: All assets, oldest first.
    """

    def __init__(self) -> None:
        """Start without assets."""
        self._lock = threading.Lock()
        self.assets: list[dict[str, Any]] = []

    def routes(self) -> list[Route]:
        """The operations of this service."""
        return [
            Route("POST", _BASE, self._create),
            Route("GET", _BASE, self._list),
            Route("GET", f"{_BASE}/(?P<asset>[^/]+)", self._get),
            Route("DELETE", f"{_BASE}/(?P<asset>[^/]+)", self._delete),
        ]

    def _create(self, request: Request, groups: Mapping[str, str]) -> Response:
        given = request.json()
        if not given.get("name"):
            raise AssetError(400, "BadRequest", "An asset needs a name.")
        # Null properties are stored: clients index them without a check.
        asset = {
            "description": None,
            "meta": {},
            "tags": [],
            "kvTags": {},
            "properties": {},
            "artifacts": [],
            **given,
            "id": str(uuid.uuid4()),
            "createdTime": now(),
            "modifiedTime": now(),
            "version": 1,
        }
        with self._lock:
            self.assets.append(asset)
        return Response.of_json(asset)

    def _get(self, request: Request, groups: Mapping[str, str]) -> Response:
        for asset in self.assets:
            if asset["id"] == groups["asset"]:
                return Response.of_json(asset)
        raise AssetError(404, "NotFound", f"Asset {groups['asset']} was not found.")

    def _delete(self, request: Request, groups: Mapping[str, str]) -> Response:
        with self._lock:
            kept = [asset for asset in self.assets if asset["id"] != groups["asset"]]
            found, self.assets[:] = len(kept) < len(self.assets), kept
        # The SDK accepts 200 and 204.
        return Response(200 if found else 204)

    def _list(self, request: Request, groups: Mapping[str, str]) -> Response:
        query = request.query
        found = [asset for asset in list(self.assets) if _matches(asset, query)]
        if query.get("orderby", "").lower() == "createdatdesc":
            found.reverse()
        return Response.of_json({"value": found, "nextLink": None})


def _matches(asset: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    for parameter, name in (("runId", "runid"), ("type", "type"), ("name", "name")):
        if query.get(parameter) and asset.get(name) != query[parameter]:
            return False
    # "a=1,b=2"; the parameter may be empty.
    for pair in filter(None, query.get("properties", "").split(",")):
        name, _, value = pair.partition("=")
        if asset["properties"].get(name) != value:
            return False
    return True
