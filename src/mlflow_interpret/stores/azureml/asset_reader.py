"""Read explanations from Azure ML, uploaded by this package or by ExplanationClient.

Only JSON is read: nothing is unpickled, and nothing is written to disk. Names and sizes come from
the service, so they are checked before a file is downloaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mlflow_interpret.core.errors import AzureMLError, ExplanationNotFoundError, RunNotFoundError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores.azureml import asset_decoder, blobs
from mlflow_interpret.stores.azureml.http import HttpClient, RefusedError
from mlflow_interpret.stores.azureml.workspace import AzureWorkspace, asset_service

_SECONDS = 300.0
_VERSION = "azureml.v8.model.explanation"
_SUFFIX = ".interpret.json"
_MAX_BYTES = 500_000_000  # of all files of an explanation: 5,000 rows x 100 x 10 are 0.13 GB
_MAX_PAGES = 100
_NOT_FOUND = 404
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{7,}")
_FORBIDDEN = re.compile(r"[\\:\x00-\x1f]")  # path separators and drives on Windows
_NAME = re.compile(r"[0-9A-Za-z_]+(/\d{1,4})?")


@dataclass(frozen=True)
class Selection:
    """The choice of one of a run's explanations.

    Attributes:
        explanation_id: Its id, or None for the latest.
        comment: Its comment, or None for any.
        raw: Only an explanation by raw columns of a pipeline.
        engineered: Only an explanation by engineered columns; if False, one of them is taken only
            where the run has no other.
    """

    explanation_id: str | None = None
    comment: str | None = None
    raw: bool = False
    engineered: bool = False


def read(
    workspace: AzureWorkspace, run_id: str, selection: Selection, seconds: float = _SECONDS
) -> Explanation:
    """Read an explanation of an Azure ML run.

    Args:
        workspace: The run's workspace.
        run_id: The Azure ML run.
        selection: The choice of the explanation.
        seconds: The time for all requests.

    Raises:
        RunNotFoundError: There is no such run.
        ExplanationNotFoundError: The run has no such explanation.
        AzureMLError: The workspace refuses it or does not respond, or its files are no explanation.
    """
    with closing(HttpClient(workspace.token, seconds)) as client:
        run = _request_run(client, workspace, run_id)
        properties = _select(_list_assets(client, workspace, run_id), run_id, selection)
        files = _download_files(client, workspace, str(run["dataContainerId"]), properties)
        return asset_decoder.decode(properties, files)


def list_assets(
    workspace: AzureWorkspace, run_id: str, seconds: float = _SECONDS
) -> list[dict[str, Any]]:
    """List the properties of a run's explanations, oldest first, with their ``upload_time``.

    Args:
        workspace: The run's workspace.
        run_id: The Azure ML run.
        seconds: The time for all requests.

    Raises:
        RunNotFoundError: There is no such run.
        AzureMLError: The workspace refuses or does not respond.
    """
    with closing(HttpClient(workspace.token, seconds)) as client:
        _request_run(client, workspace, run_id)
        return _list_assets(client, workspace, run_id)


def _request_run(client: HttpClient, workspace: AzureWorkspace, run_id: str) -> dict[str, Any]:
    history = f"{workspace.base_url}/history/v1.0{workspace.resource_id}"
    url = f"{history}/runs/{quote(run_id, safe='')}"
    try:
        run: dict[str, Any] = client.request("Finding the run", "GET", url)
    except RefusedError as error:
        if error.status != _NOT_FOUND:
            raise
        raise RunNotFoundError(
            f"Run {run_id!r} does not exist in the workspace {workspace.name!r}."
        ) from error
    return run


def _list_assets(
    client: HttpClient, workspace: AzureWorkspace, run_id: str
) -> list[dict[str, Any]]:
    """Return the properties of the run's explanations, oldest first."""
    operation = "Looking for explanations"
    service = asset_service(client, workspace)
    url = f"{service}/modelmanagement/v1.0{workspace.resource_id}/assets"
    params = {"runId": run_id, "properties": "", "type": "azureml.explanation"}
    assets = _all_pages(client, operation, url, params)
    if not assets:  # named like this before June 2020
        params = {"runId": run_id, "properties": "", "name": "explanation_asset"}
        assets = _all_pages(client, operation, url, params)
    assets.sort(key=lambda asset: str(asset.get("createdTime")))
    return [
        {**(asset.get("properties") or {}), "upload_time": asset.get("createdTime")}
        for asset in assets
    ]


def _all_pages(
    client: HttpClient, operation: str, url: str, params: Mapping[str, str]
) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    next_params: dict[str, str] | None = dict(params)
    next_url = url
    for _ in range(_MAX_PAGES):
        page = client.request(operation, "GET", next_url, params=next_params)
        try:
            items.extend(page["value"])
            link, token = page.get("nextLink"), page.get("continuationToken")
        except (AttributeError, KeyError, TypeError):
            raise AzureMLError(f"{operation} failed: the response is not a list") from None
        if link:
            if not str(link).startswith(f"{url}?"):  # the token is sent to no other host
                raise AzureMLError(f"{operation} failed: the next page is at another address")
            next_url, next_params = str(link), None
        elif token:
            next_params = {**params, "continuationToken": str(token)}
        else:
            return items
    raise AzureMLError(f"{operation} failed: there are more than {_MAX_PAGES} pages")


def _select(assets: list[dict[str, Any]], run_id: str, selection: Selection) -> dict[str, Any]:
    matches = [properties for properties in assets if _is_match(properties, selection)]
    if not matches:
        raise ExplanationNotFoundError(_not_found(assets, run_id, selection))
    # A pipeline's explanation by raw columns has an engineered view beside it.
    others = [asset for asset in matches if not asset_decoder.is_true(asset.get("is_engineered"))]
    by_default = not selection.engineered and selection.explanation_id is None
    selected = (others if others and by_default else matches)[-1]
    if selected.get("version") != _VERSION:
        raise AzureMLError(
            f"explanation {selected.get('explanation_id')!r} has the version "
            f"{selected.get('version')!r}; only {_VERSION} can be read"
        )
    return selected


def _is_match(properties: dict[str, Any], selection: Selection) -> bool:
    return (
        selection.explanation_id in (None, properties.get("explanation_id"))
        and selection.comment in (None, properties.get("comment"))
        and (not selection.raw or asset_decoder.is_true(properties.get("is_raw")))
        and (not selection.engineered or asset_decoder.is_true(properties.get("is_engineered")))
    )


def _not_found(assets: list[dict[str, Any]], run_id: str, selection: Selection) -> str:
    request = ", ".join(
        f"{name}={value!r}" for name, value in vars(selection).items() if value not in (None, False)
    )
    text = f"Azure ML run {run_id} exists and has no explanation"
    if assets:
        text = f"None of the {len(assets)} explanations of Azure ML run {run_id} matches"
    return f"{text} (requested: {request})." if request else f"{text}."


def _download_files(
    client: HttpClient, workspace: AzureWorkspace, container: str, properties: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of the explanation's files by their names without the suffix."""
    explanation_id = str(properties.get("explanation_id"))
    if not _ID.fullmatch(explanation_id):
        raise AzureMLError(f"{explanation_id!r} is not the id of an explanation")
    folder = f"explanation/{explanation_id[:8]}/"
    url = (
        f"{workspace.base_url}/artifact/v2.0{workspace.resource_id}/artifacts/prefix/contentinfo"
        f"/ExperimentRun/{quote(container, safe='')}/{folder}"
    )
    links = {
        name: str(entry.get("contentUri"))
        for entry in _all_pages(client, "Listing the explanation's files", url, {})
        if (name := _name_in_asset(str(entry.get("path")), folder)) is not None
    }
    remaining = _MAX_BYTES
    files: dict[str, Any] = {}
    for name in sorted(links):
        content = blobs.download(client, f"Reading {name}", links[name], remaining)
        remaining -= len(content)
        try:
            files[name] = json.loads(content)
        except (ValueError, RecursionError):
            raise AzureMLError(f"Reading {name} failed: the file is not JSON") from None
    return files


def _name_in_asset(path: str, folder: str) -> str | None:
    """Return the name of a file in the asset, None for a file that is not needed.

    Raises:
        AzureMLError: The path leads out of the explanation's folder.
    """
    inside = path.startswith(folder) and ".." not in path.split("/")
    if not inside or _FORBIDDEN.search(path):
        raise AzureMLError(f"the file {path!r} is outside of the explanation's folder {folder!r}")
    name = path.removeprefix(folder).removesuffix(_SUFFIX)
    is_known = name.partition("/")[0] in asset_decoder.FILES
    return name if path.endswith(_SUFFIX) and is_known and _NAME.fullmatch(name) else None
