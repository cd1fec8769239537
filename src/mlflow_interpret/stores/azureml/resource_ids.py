"""Resource ids of Azure ML, and runs and workspaces recognised without importing an Azure SDK."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

WORKSPACE_FORMS = (
    "an azureml:// tracking URI, a workspace's resource id (/subscriptions/.../workspaces/NAME) or "
    "the path of its config.json"
)
_WORKSPACE_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<resource_group>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<name>[^/?]+)",
    re.IGNORECASE,  # as in Azure Resource Manager
)
_RUN_ID = re.compile(r"/experiments/(?P<experiment>[^/]+)/runs/(?P<run>[^/]+)$")
_WORKSPACE_ATTRIBUTES = {  # subscription, resource group, name
    "azureml.core": ("subscription_id", "resource_group", "name"),
    "azure.ai.ml": ("subscription_id", "resource_group_name", "workspace_name"),
}
_DISTINCTIVE_ATTRIBUTE = {"azureml.core": "service_context", "azure.ai.ml": "workspaces"}


def is_sdk_run(value: Any) -> bool:
    """Return whether a value is an ``azureml.core.Run``."""
    return all(hasattr(value, name) for name in ("id", "experiment"))


def is_config_path(value: Any) -> bool:
    """Return whether a value is the path of a ``config.json``."""
    return isinstance(value, Path) or (isinstance(value, str) and value.endswith(".json"))


def is_workspace(value: Any) -> bool:
    """Return whether a value is a workspace, or a text or path that names one."""
    if is_config_path(value) or sdk_of(value) is not None:
        return True
    return isinstance(value, str) and parse_workspace_id(value) is not None


def sdk_of(value: Any) -> str | None:
    """Return the SDK of a workspace.

    Returns:
        ``azureml.core`` for a Workspace of SDK v1, ``azure.ai.ml`` for an MLClient of v2, None for
        other values.
    """
    for sdk, names in _WORKSPACE_ATTRIBUTES.items():
        if all(hasattr(value, name) for name in (*names, _DISTINCTIVE_ATTRIBUTE[sdk])):
            return sdk
    return None


def workspace_id(subscription: str, resource_group: str, name: str) -> str:
    """Return a workspace's resource id, each part quoted for a URL."""
    return (
        f"/subscriptions/{quote(subscription)}/resourceGroups/{quote(resource_group)}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{quote(name)}"
    )


def parse_workspace_id(text: str) -> dict[str, str] | None:
    """Return the subscription, resource group and name of a workspace in a text, or None."""
    match = _WORKSPACE_ID.search(text)
    return None if match is None else match.groupdict()


def run_resource_id(workspace: str, experiment: str, run_id: str) -> str:
    """Return a run's resource id, as `parse_run_id` reads it.

    Args:
        workspace: The workspace's resource id.
        experiment: The experiment's name.
        run_id: The run's id.
    """
    return f"{workspace}/experiments/{quote(experiment, safe='')}/runs/{quote(run_id, safe='')}"


def parse_run_id(text: str) -> tuple[str, str] | None:
    """Return the experiment and the id of a run from its resource id, or None."""
    match = _RUN_ID.search(text)
    return None if match is None else (unquote(match["experiment"]), unquote(match["run"]))


def location_of(value: Any) -> str | bool:
    """Return the value of the option ``azureml`` as text for files and commands.

    A workspace or run becomes its resource id and a path an absolute path; ``"auto"`` and False
    stay. Credentials are not part of it.
    """
    if is_config_path(value):
        return str(Path(value).absolute())
    if isinstance(value, str) and value.startswith("azureml://"):
        parts = urlsplit(value)
        return f"azureml://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if isinstance(value, (str, bool)):
        return value
    sdk = sdk_of(value)
    if sdk is not None:
        return _id_of(value, sdk)
    experiment = value.experiment
    return run_resource_id(_id_of(experiment.workspace, "azureml.core"), experiment.name, value.id)


def _id_of(workspace: Any, sdk: str) -> str:
    names = _WORKSPACE_ATTRIBUTES[sdk]
    return workspace_id(*(str(getattr(workspace, name)) for name in names))
