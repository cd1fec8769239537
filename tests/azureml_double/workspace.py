"""The workspace of the double: its names and addresses."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

REGION = "eastus"
API_HOST = f"{REGION}.api.azureml.ms"
ARM_HOST = "management.azure.com"
LOGIN_HOST = "login.microsoftonline.com"
BLOB_SUFFIX = ".blob.core.windows.net"

API_URL = f"https://{API_HOST}"


def _guid() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Workspace:
    """The workspace.

    Identifiers are new for each double, so that nothing cached from another one fits.

    Attributes:
        subscription_id: The subscription.
        resource_group: The resource group's name.
        name: The workspace's name.
        workspace_id: The workspace's own identifier.
        tenant_id: The directory that issues tokens.
        client_id: The service principal that may log in.
        client_secret: Its password.
    """

    subscription_id: str = field(default_factory=_guid)
    resource_group: str = "double-group"
    name: str = "double-workspace"
    workspace_id: str = field(default_factory=_guid)
    tenant_id: str = field(default_factory=_guid)
    client_id: str = field(default_factory=_guid)
    client_secret: str = field(default_factory=lambda: f"secret-{uuid.uuid4().hex}")

    @property
    def scope(self) -> str:
        """The resource id, as in the path of most requests."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )

    @property
    def discovery_url(self) -> str:
        """The URL of the list of services."""
        return f"{API_URL}/discovery/workspaces/{self.workspace_id}"

    @property
    def tracking_uri(self) -> str:
        """The workspace as an MLflow tracking store."""
        return f"azureml://{API_HOST}/mlflow/v2.0{self.scope}"
