"""Azure Resource Manager and discovery: the workspaces and the addresses of their services."""

from __future__ import annotations

from collections.abc import Mapping

from .messages import Request, Response
from .routing import SCOPE, Route
from .tokens import NO_TOKEN, ONLY_USERS
from .workspace import API_URL, ARM_HOST, LOGIN_HOST, REGION, Workspace


class ResourceManager:
    """The subscription, the workspace and the addresses of its services."""

    def __init__(self, workspace: Workspace) -> None:
        """Serve one workspace."""
        self._workspace = workspace

    def routes(self) -> list[Route]:
        """The operations of this service, and of discovery."""
        return [
            Route("GET", "/metadata/endpoints", self._clouds, NO_TOKEN, ARM_HOST),
            Route("GET", "/subscriptions", self._subscriptions, ONLY_USERS, ARM_HOST),
            Route("GET", SCOPE, self._get, ONLY_USERS, ARM_HOST),
            Route("GET", f"/rp/workspaces{SCOPE}", self._get),
            Route("GET", "/discovery(/workspaces/[^/]+)?", self._discover, NO_TOKEN),
        ]

    def _subscriptions(self, request: Request, groups: Mapping[str, str]) -> Response:
        own = self._workspace
        subscription = {
            "id": f"/subscriptions/{own.subscription_id}",
            "subscriptionId": own.subscription_id,
            "displayName": "Double",
            "state": "Enabled",
            "tenantId": own.tenant_id,
        }
        return Response.of_json({"value": [subscription]})

    def _get(self, request: Request, groups: Mapping[str, str]) -> Response:
        own = self._workspace
        properties = {
            "workspaceId": own.workspace_id,
            "discoveryUrl": own.discovery_url,
            "provisioningState": "Succeeded",
            "friendlyName": own.name,
            "hbiWorkspace": False,
        }
        return Response.of_json(
            {
                "id": own.scope,
                "name": own.name,
                "location": REGION,
                "type": "Microsoft.MachineLearningServices/workspaces",
                "sku": {"name": "Basic", "tier": "Basic"},
                "tags": {},
                "properties": properties,
            }
        )

    def _discover(self, request: Request, groups: Mapping[str, str]) -> Response:
        services = ("api", "experimentation", "history", "hyperdrive", "modelmanagement", "studio")
        return Response.of_json(dict.fromkeys(services, API_URL))

    def _clouds(self, request: Request, groups: Mapping[str, str]) -> Response:
        audience = "https://management.core.windows.net/"
        cloud = {
            "name": "AzureCloud",
            "portal": "https://portal.azure.com",
            "authentication": {
                "loginEndpoint": f"https://{LOGIN_HOST}/",
                "audiences": [audience, f"https://{ARM_HOST}/"],
                "tenant": "common",
                "identityProvider": "AAD",
            },
            "resourceManager": f"https://{ARM_HOST}/",
            "suffixes": {"storage": "core.windows.net", "keyVaultDns": "vault.azure.net"},
        }
        return Response.of_json([cloud])
