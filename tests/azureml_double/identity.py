"""The directory service, which logs in service principals."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from .messages import Request, Response, ServiceError
from .routing import Handler, Route
from .tokens import LIFETIME, NO_TOKEN, USER, TokenIssuer
from .workspace import LOGIN_HOST, Workspace


class OAuthError(ServiceError):
    """A refusal by the directory, which has the error body of OAuth 2."""

    def response(self) -> Response:
        """The response of this refusal."""
        body = {"error": self.code, "error_description": self.message}
        return Response.of_json(body, self.status)


class Directory:
    """Logs service principals in (OAuth 2, client credentials)."""

    def __init__(self, workspace: Workspace, tokens: TokenIssuer) -> None:
        """Serve one tenant with one service principal."""
        self._workspace = workspace
        self._tokens = tokens

    def routes(self) -> list[Route]:
        """The operations of this service."""

        def route(method: str, pattern: str, handler: Handler) -> Route:
            return Route(method, pattern, handler, NO_TOKEN, LOGIN_HOST)

        openid = r"(/v2\.0)?/\.well-known/openid-configuration"
        return [
            route("GET", "/common/discovery/instance", self._instances),
            route("GET", f"/(?P<tenant>[^/]+){openid}", self._configuration),
            route("POST", r"/(?P<tenant>[^/]+)/oauth2(/v2\.0)?/token", self._token),
        ]

    def _instances(self, request: Request, groups: Mapping[str, str]) -> Response:
        tenant = f"https://{LOGIN_HOST}/{self._workspace.tenant_id}"
        aliases = [LOGIN_HOST, "login.windows.net"]
        clouds = [
            {"preferred_network": LOGIN_HOST, "preferred_cache": aliases[1], "aliases": aliases}
        ]
        return Response.of_json(
            {
                "tenant_discovery_endpoint": f"{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": clouds,
            }
        )

    def _configuration(self, request: Request, groups: Mapping[str, str]) -> Response:
        self._check_tenant(groups["tenant"])
        tenant = f"https://{LOGIN_HOST}/{groups['tenant']}"
        return Response.of_json(
            {
                "issuer": f"{tenant}/v2.0",
                "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                "token_endpoint": f"{tenant}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{tenant}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{tenant}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    def _token(self, request: Request, groups: Mapping[str, str]) -> Response:
        self._check_tenant(groups["tenant"])
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        own = self._workspace
        if form.get("grant_type") != "client_credentials":
            raise OAuthError(400, "unsupported_grant_type", "AADSTS70003: no such grant")
        if form.get("client_id") != own.client_id:
            raise OAuthError(400, "unauthorized_client", "AADSTS700016: no such application")
        if form.get("client_secret") != own.client_secret:
            raise OAuthError(401, "invalid_client", "AADSTS7000215: invalid client secret")
        lifetime = int(LIFETIME)
        token = self._tokens.issue(USER, own.client_id, lifetime)
        return Response.of_json(
            {
                "token_type": "Bearer",
                "expires_in": lifetime,
                "ext_expires_in": lifetime,
                "access_token": token,
            }
        )

    def _check_tenant(self, tenant: str) -> None:
        if tenant != self._workspace.tenant_id:
            raise OAuthError(400, "invalid_tenant", f"AADSTS90002: no tenant {tenant}")
