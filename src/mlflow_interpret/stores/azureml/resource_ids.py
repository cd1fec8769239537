"""What names a run or a workspace of Azure ML, told by its looks: nothing of Azure is imported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

FORMS = (
    "an azureml:// tracking URI, a workspace's resource id (/subscriptions/.../workspaces/NAME) or "
    "the path of its config.json"
)
_SCOPE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<resource_group>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<name>[^/?]+)",
    re.IGNORECASE,  # as the resource manager itself
)


_RUN = re.compile(r"/experiments/(?P<experiment>[^/]+)/runs/(?P<run>[^/]+)$")
_PLACES = {  # the attributes of a workspace that say which it is
    "azureml.core": ("subscription_id", "resource_group", "name"),
    "azure.ai.ml": ("subscription_id", "resource_group_name", "workspace_name"),
}


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


def parse_workspace_id(text: str) -> dict[str, str] | None:
    """The subscription, resource group and name of the workspace that a text names, if any."""
    match = _SCOPE.search(text)
    return None if match is None else match.groupdict()


def parse_run_id(text: str) -> tuple[str, str] | None:
    """The experiment and the id of the run that a text names behind its workspace, if any."""
    match = _RUN.search(text)
    return None if match is None else (unquote(match["experiment"]), unquote(match["run"]))


def address_of_run(scope: str, experiment: str, run_id: str) -> str:
    """A run, as `parse_run_id` reads it."""
    return f"{scope}/experiments/{quote(experiment, safe='')}/runs/{quote(run_id, safe='')}"


def place_of(value: Any) -> str | bool:
    """What the option ``azureml`` is as text, for files and commands: without what opens it.

    A workspace or run becomes its resource id, a path an absolute one; ``"auto"`` and False stay.
    """
    if is_path(value):
        return str(Path(value).absolute())
    if isinstance(value, str) and value.startswith("azureml://"):
        parts = urlsplit(value)
        return f"azureml://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if isinstance(value, (str, bool)):
        return value
    kind = kind_of(value)
    if kind is not None:
        return _scope(value, kind)
    scope = _scope(value.experiment.workspace, "azureml.core")
    return address_of_run(scope, value.experiment.name, value.id)


def _scope(workspace: Any, kind: str) -> str:
    return scope_of(*(str(getattr(workspace, name)) for name in _PLACES[kind]))


def is_workspace(value: Any) -> bool:
    """Whether a value is a workspace, or a text or path that names one."""
    if is_path(value) or kind_of(value) is not None:
        return True
    return isinstance(value, str) and parse_workspace_id(value) is not None


def kind_of(value: Any) -> str | None:
    """``azureml.core`` for a Workspace of SDK v1, ``azure.ai.ml`` for a MLClient of v2."""
    further = {"azureml.core": "service_context", "azure.ai.ml": "workspaces"}
    for kind, names in _PLACES.items():
        if all(hasattr(value, name) for name in (*names, further[kind])):
            return kind
    return None
