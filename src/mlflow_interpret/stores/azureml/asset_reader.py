"""Explanations in Azure ML read back, whoever uploaded them: ours or ExplanationClient's.

Only JSON is read, nothing is unpickled, and nothing is written to disk. Names and sizes come from
the service, so they are checked before anything is fetched.
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
from mlflow_interpret.stores.azureml.workspace import Workspace, asset_service

_SECONDS = 300.0
_VERSION = "azureml.v8.model.explanation"
_ENDING = ".interpret.json"
_MOST_BYTES = 500_000_000  # of all files of an explanation: 5,000 rows x 100 x 10 have 0.13 GB
_MOST_PAGES = 100
_NOT_FOUND = 404
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{7,}")
_NO_NAME = re.compile(r"[\\:\x00-\x1f]")  # a part of a path or a drive on Windows
_PART = re.compile(r"[0-9A-Za-z_]+(/\d{1,4})?")


@dataclass(frozen=True)
class Wanted:
    """Which of a run's explanations.

    Attributes:
        explanation_id: Its id, or None for the latest.
        comment: Its comment, or None for any.
        raw: Only one by raw column of a pipeline.
        engineered: Only one by engineered column; where False, one of these is taken only if the
            run has no other.
    """

    explanation_id: str | None = None
    comment: str | None = None
    raw: bool = False
    engineered: bool = False


def read(
    workspace: Workspace, run_id: str, wanted: Wanted, seconds: float = _SECONDS
) -> Explanation:
    """Read an explanation of an Azure ML run.

    Args:
        workspace: The run's workspace.
        run_id: The Azure ML run.
        wanted: Which one.
        seconds: How long it may take.

    Raises:
        RunNotFoundError: There is no such run.
        ExplanationNotFoundError: It has no such explanation.
        AzureMLError: The workspace does not allow it or does not answer, or what it gives is no
            explanation.
    """
    if workspace.endpoint is None:
        raise AzureMLError("the workspace does not say where its services are")
    with closing(HttpClient(workspace.token, seconds)) as calls:
        base = workspace.endpoint
        url = f"{base}/history/v1.0{workspace.scope}/runs/{quote(run_id, safe='')}"
        try:
            run = calls.ask("Finding the run", "GET", url)
        except RefusedError as error:
            if error.status != _NOT_FOUND:
                raise
            raise RunNotFoundError(
                f"Run {run_id!r} does not exist in the workspace {workspace.name!r}."
            ) from error
        properties = _chosen(_assets(calls, workspace, run_id), run_id, wanted)
        files = _files(calls, workspace, str(run["dataContainerId"]), properties)
        return asset_decoder.explanation_of(properties, files)


def _assets(calls: HttpClient, workspace: Workspace, run_id: str) -> list[dict[str, Any]]:
    """The properties of the run's explanations, oldest first."""
    base = asset_service(calls, str(workspace.endpoint), workspace.scope)
    query = {"runId": run_id, "properties": "", "type": "azureml.explanation"}
    url = f"{base}/modelmanagement/v1.0{workspace.scope}/assets"
    found = _pages(calls, "Looking for explanations", url, query)
    if not found:  # as it was named before June 2020
        query = {"runId": run_id, "properties": "", "name": "explanation_asset"}
        found = _pages(calls, "Looking for explanations", url, query)
    found.sort(key=lambda asset: str(asset.get("createdTime")))
    return [asset.get("properties") or {} for asset in found]


def _pages(
    calls: HttpClient, what: str, url: str, query: Mapping[str, str]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    following: dict[str, str] | None = dict(query)
    address = url
    for _ in range(_MOST_PAGES):
        page = calls.ask(what, "GET", address, query=following)
        try:
            found.extend(page["value"])
            link, token = page.get("nextLink"), page.get("continuationToken")
        except (AttributeError, KeyError, TypeError):
            raise AzureMLError(f"{what} failed: the answer is no list") from None
        if link:
            if not str(link).startswith(f"{url}?"):  # the token goes nowhere else
                raise AzureMLError(f"{what} failed: the next page is at another address")
            address, following = str(link), None
        elif token:
            following = {**query, "continuationToken": str(token)}
        else:
            return found
    raise AzureMLError(f"{what} failed: there are more than {_MOST_PAGES} pages")


def _chosen(assets: list[dict[str, Any]], run_id: str, wanted: Wanted) -> dict[str, Any]:
    def fits(properties: dict[str, Any]) -> bool:
        return (
            wanted.explanation_id in (None, properties.get("explanation_id"))
            and wanted.comment in (None, properties.get("comment"))
            and (not wanted.raw or asset_decoder.is_true(properties.get("is_raw")))
            and (not wanted.engineered or asset_decoder.is_true(properties.get("is_engineered")))
        )

    fitting = [properties for properties in assets if fits(properties)]
    if not fitting:
        held = "no explanation" if not assets else f"none of its {len(assets)} explanations is it"
        asked = ", ".join(
            f"{name}={value!r}"
            for name, value in vars(wanted).items()
            if value not in (None, False)
        )
        raise ExplanationNotFoundError(
            f"Azure ML run {run_id} exists and {'holds ' if not assets else ''}{held}"
            + (f" (asked for: {asked})." if asked else ".")
        )
    # The engineered view of an explanation stands beside the one by raw column.
    plain = [each for each in fitting if not asset_decoder.is_true(each.get("is_engineered"))]
    chosen = (plain if plain and wanted.explanation_id is None else fitting)[-1]
    if wanted.engineered:
        chosen = fitting[-1]
    if chosen.get("version") != _VERSION:
        raise AzureMLError(
            f"explanation {chosen.get('explanation_id')!r} has the version "
            f"{chosen.get('version')!r}; {_VERSION} can be read"
        )
    return chosen


def _files(
    calls: HttpClient, workspace: Workspace, container: str, properties: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of the explanation's files by their names without the ending."""
    explanation_id = str(properties.get("explanation_id"))
    if not _ID.fullmatch(explanation_id):
        raise AzureMLError(f"{explanation_id!r} is no id of an explanation")
    folder = f"explanation/{explanation_id[:8]}/"
    url = (
        f"{workspace.endpoint}/artifact/v2.0{workspace.scope}/artifacts/prefix/contentinfo"
        f"/ExperimentRun/{quote(container, safe='')}/{folder}"
    )
    what = "Listing the explanation's files"
    links = {
        name: str(entry.get("contentUri"))
        for entry in _pages(calls, what, url, {})
        if (name := _name(str(entry.get("path")), folder)) is not None
    }
    left = _MOST_BYTES
    files: dict[str, Any] = {}
    for name in sorted(links):
        content = blobs.get(calls, f"Reading {name}", links[name], left)
        left -= len(content)
        try:
            files[name] = json.loads(content)
        except (ValueError, RecursionError):
            raise AzureMLError(f"Reading {name} failed: it is no JSON") from None
    return files


def _name(path: str, folder: str) -> str | None:
    """What a file is called in the asset, None for one that is not needed.

    Raises:
        AzureMLError: It would be outside of the explanation's folder.
    """
    inside = path.startswith(folder) and ".." not in path.split("/")
    if not inside or _NO_NAME.search(path):
        raise AzureMLError(f"the file {path!r} is outside of the explanation's folder {folder!r}")
    name = path.removeprefix(folder).removesuffix(_ENDING)
    known = name.partition("/")[0] in asset_decoder.FILES
    return name if path.endswith(_ENDING) and known and _PART.fullmatch(name) else None
