"""Routes of requests to services, and the authorisation of callers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .messages import Request, Response, ServiceError
from .tokens import ANYBODY, TokenIssuer
from .workspace import ARM_HOST, LOGIN_HOST, Workspace

Handler = Callable[[Request, Mapping[str, str]], Response]
"""Answers a request, given the named groups of the route's pattern."""

SCOPE = (
    "/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[^/]+)"
)
"""Pattern of a workspace's scope, which is part of nearly every path."""


@dataclass(frozen=True)
class Route:
    """One operation of a service.

    Attributes:
        method: The HTTP verb, or ``*`` for any.
        pattern: Regular expression for the whole path.
        handler: What answers.
        audience: Kinds of token that are accepted; empty where none is asked for.
        host: The host that serves it; None for the workspace's own API host.
    """

    method: str
    pattern: str
    handler: Handler
    audience: frozenset[str] = ANYBODY
    host: str | None = None


class Router:
    """Finds the route of a request, checks the caller, and calls the handler."""

    def __init__(self, workspace: Workspace, tokens: TokenIssuer, routes: list[Route]) -> None:
        """Compile the routes.

        Args:
            workspace: The only workspace that exists.
            tokens: Checks what callers present.
            routes: All operations of all services; the first that matches is taken.
        """
        self._workspace = workspace
        self._tokens = tokens
        self._routes = [(route, re.compile(route.pattern)) for route in routes]

    def answer(self, request: Request) -> Response | None:
        """Answer a request.

        Returns:
            The answer, or None when no service knows the request.
        """
        for route, pattern in self._routes:
            if route.method not in ("*", request.method) or not _serves(route, request.host):
                continue
            found = pattern.fullmatch(request.path)
            if found:
                return self._call(route, request, found.groupdict())
        return None

    def _call(self, route: Route, request: Request, groups: Mapping[str, str]) -> Response:
        try:
            if route.audience:
                self._tokens.check(request.headers.get("authorization"), route.audience)
            if "workspace" in groups:
                self._check_scope(groups)
            return route.handler(request, groups)
        except ServiceError as error:
            return error.response()

    def _check_scope(self, groups: Mapping[str, str]) -> None:
        wanted = (groups["subscription"], groups["group"], groups["workspace"])
        own = self._workspace
        if wanted != (own.subscription_id, own.resource_group, own.name):
            message = f"The workspace {'/'.join(wanted)} was not found."
            raise ServiceError(404, "ResourceNotFound", message)


def _serves(route: Route, host: str) -> bool:
    if host not in (ARM_HOST, LOGIN_HOST):
        # Without the proxy, all services have one address.
        return route.host is None or not host.endswith(".azureml.ms")
    return route.host == host
