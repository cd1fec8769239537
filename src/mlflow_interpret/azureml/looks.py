"""What names a run or a workspace of Azure ML, told by its looks: nothing of Azure is imported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

FORMS = (
    "an azureml:// tracking URI, a workspace's resource id (/subscriptions/.../workspaces/NAME) or "
    "the path of its config.json"
)
_SCOPE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<resource_group>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<name>[^/?]+)",
    re.IGNORECASE,  # as the resource manager itself
)


def is_run(value: Any) -> bool:
    """Whether a value is an ``azureml.core.Run`` of a workspace."""
    return all(hasattr(value, name) for name in ("id", "experiment"))


def is_path(value: Any) -> bool:
    """Whether a value is the path of a ``config.json``."""
    return isinstance(value, Path) or (isinstance(value, str) and value.endswith(".json"))


def scope_of(subscription: str, resource_group: str, name: str) -> str:
    """A workspace's resource id, each part quoted for a URL."""
    return (
        f"/subscriptions/{quote(subscription)}/resourceGroups/{quote(resource_group)}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{quote(name)}"
    )


def named_in(text: str) -> dict[str, str] | None:
    """The subscription, resource group and name of the workspace that a text names, if any."""
    match = _SCOPE.search(text)
    return None if match is None else match.groupdict()


def is_workspace(value: Any) -> bool:
    """Whether a value is a workspace, or a text or path that names one."""
    if is_path(value) or kind_of(value) is not None:
        return True
    return isinstance(value, str) and named_in(value) is not None


def kind_of(value: Any) -> str | None:
    """``azureml.core`` for a Workspace of SDK v1, ``azure.ai.ml`` for a MLClient of v2."""
    looks = {
        "azureml.core": ("subscription_id", "resource_group", "name", "service_context"),
        "azure.ai.ml": ("subscription_id", "resource_group_name", "workspace_name", "workspaces"),
    }
    for kind, names in looks.items():
        if all(hasattr(value, name) for name in names):
            return kind
    return None
