"""Upload of an explanation over HTTP: without ExplanationClient, and for `push`.

The order is that of ExplanationClient: write the files, reserve their names, upload them, register
the asset, tag the run. So an asset exists only where all of its files do, however an upload ended,
and a second upload finds it. Of two simultaneous uploads of an explanation, each checks again after
its registration, and the earlier asset remains.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.runtime.progress import Report, nothing
from mlflow_interpret.stores.azureml import asset_format, blobs
from mlflow_interpret.stores.azureml.http import HttpClient, RefusedError
from mlflow_interpret.stores.azureml.mirror_runs import EXPLAINED_TAG, has_room_for_tag
from mlflow_interpret.stores.azureml.token_refresh import fresh_token
from mlflow_interpret.stores.azureml.workspace import AzureRun, asset_service

_ASSET_TYPE = "azureml.explanation"
_CONFLICT = 409
_MAX_IDS = 50  # tried where the file names of an earlier one are reserved


@dataclass(frozen=True)
class UploadedExplanation:
    """An explanation in Azure ML.

    Attributes:
        explanation_id: Its id there: the explanation's own, unless an earlier upload was cut off.
        tagged: Whether the run has the tag of runs with explanations; it may have no room for it.
    """

    explanation_id: str
    tagged: bool


def write(
    explanation: Explanation,
    run: AzureRun,
    comment: str | None,
    seconds: float,
    random_state: int = 0,
    points: int | None = None,
    report: Report = nothing,
    *,
    top_k: int | None = None,
    properties: Mapping[str, str] | None = None,
) -> UploadedExplanation:
    """Upload an explanation, after its engineered view.

    An explanation that is in Azure ML already, from any client, is not uploaded again.

    Args:
        explanation: The explanation.
        run: The Azure ML run.
        comment: The comment shown in studio.
        seconds: The time for all requests.
        random_state: The seed of the sample of rows for studio.
        points: The most rows that studio shows. Default: 5,000.
        report: Called with the number of uploaded files and of all files.
        top_k: The number of features whose importances are uploaded. Default: all.
        properties: Further properties of the asset.

    Raises:
        AzureMLError: The upload failed; the message gives the reason in one line, without secrets.
    """
    token, refresh = run.workspace.token, partial(fresh_token, run) if run.is_job else None
    explanation_id = explanation.id
    with closing(HttpClient(token, seconds, refresh)) as client, blobs.redacted_logs():
        writer = _Writer(client, run, report, top_k, properties or {})
        for view in (explanation.engineered, explanation):
            if view is not None:
                explanation_id = writer.write(view, comment, random_state, points)
        return UploadedExplanation(explanation_id, writer.tag())


class _Writer:
    """Writes explanations into a run."""

    def __init__(
        self,
        client: HttpClient,
        run: AzureRun,
        report: Report,
        top_k: int | None,
        properties: Mapping[str, str],
    ) -> None:
        self._client = client
        self._run = run
        self._report, self._uploaded_files = report, 0
        self._top_k, self._properties = top_k, properties
        description = client.request("Finding the run", "GET", run.url)
        self._experiment_id = description.get("experimentId")
        workspace = run.workspace
        container = f"ExperimentRun/{quote(description['dataContainerId'])}"
        artifacts = f"{workspace.base_url}/artifact/v2.0{workspace.resource_id}/artifacts"
        self._names_url = f"{artifacts}/batch/metadata/{container}"
        service = asset_service(client, workspace)
        self._assets_url = f"{service}/modelmanagement/v1.0{workspace.resource_id}/assets"

    def write(
        self, explanation: Explanation, comment: str | None, random_state: int, points: int | None
    ) -> str:
        """Upload one view unless it exists; return its id in Azure ML.

        File names can be reserved once. Where an upload was cut off after that, or the response
        with the links was lost, the explanation gets an id that is derived from its own.
        """
        ids = [_derived_id(explanation.id, attempt) for attempt in range(_MAX_IDS)]
        existing_id = self._registered_id(ids)
        if existing_id is not None:
            return existing_id
        with temporary_folders.temporary() as name:
            folder = Path(name)
            asset = asset_format.write(
                explanation, folder, self._run.run_id, comment, random_state, points, self._top_k
            )
            asset, new_id, links = self._reserve_first_free(asset, folder, ids)
            self._upload_files(folder, links)
        # Another process may have uploaded it meanwhile.
        existing_id = self._registered_id(ids)
        if existing_id is not None:
            return existing_id
        self._register(asset, new_id)
        return self._remove_duplicates(ids) or new_id

    def _reserve_first_free(
        self, asset: asset_format.Asset, folder: Path, ids: Sequence[str]
    ) -> tuple[asset_format.Asset, str, dict[str, str]]:
        for explanation_id in ids:
            asset = asset_format.renamed(asset, folder, explanation_id)
            links = self._reserve(asset, explanation_id)
            if links is not None:
                return asset, explanation_id, links
        raise AzureMLError(
            f"{_MAX_IDS} uploads of explanation {ids[0]} were cut off; "
            "log it again with mlflow_interpret.log_explanation()"
        )

    def _reserve(self, asset: asset_format.Asset, explanation_id: str) -> dict[str, str] | None:
        """Return an upload link for each file, None if a name is reserved already."""
        operation = "Reserving the names of the files"
        folder = asset_format.folder_of(explanation_id)
        files = [asset_format.file_of(name) for name in asset.names]
        paths = {file: f"./{folder}/{file}" for file in files}
        body = {"paths": [{"path": path} for path in paths.values()]}
        try:
            response = self._client.request(operation, "POST", self._names_url, json=body)
        except RefusedError as error:
            if error.status == _CONFLICT:
                return None
            raise
        if response.get("errors"):
            message = str(next(iter(response["errors"].values())))
            if "already exists" in message or "Conflict" in message:
                return None
            raise AzureMLError(f"{operation} failed: {redact(message, self._run.workspace.token)}")
        links = response.get("artifactContentInformation", {})
        if not all(path in links for path in paths.values()):
            raise AzureMLError(f"{operation} failed: the service gave no link for some of them")
        return {file: str(links[path]["contentUri"]) for file, path in paths.items()}

    def _upload_files(self, folder: Path, links: Mapping[str, str]) -> None:
        total = self._uploaded_files + len(links)
        for file, link in links.items():
            self._report(self._uploaded_files, total)
            blobs.upload(self._client, f"Writing {file}", link, folder / file)
            self._uploaded_files += 1

    def _register(self, asset: asset_format.Asset, explanation_id: str) -> None:
        properties = {**asset.properties, **self._properties}
        if self._experiment_id is None:
            properties["experiment_name"] = self._run.experiment
        else:
            properties["experiment_id"] = str(self._experiment_id)
        body: dict[str, Any] = {
            "name": "explanation_asset",
            "type": _ASSET_TYPE,
            "runid": self._run.run_id,
            "meta": {},
            "artifacts": [{"prefix": label} for label in asset.labels],
            "properties": properties,
        }
        self._client.request(
            "Registering the explanation",
            "POST",
            self._assets_url,
            json=body,
            has_arrived=lambda: self._registered_id([explanation_id]) is not None,
        )

    def _registered_id(self, ids: Sequence[str]) -> str | None:
        """Return the first of the ids that the run has an explanation of, if any."""
        return next((_explanation_id(asset) for asset in self._assets(ids)), None)

    def _remove_duplicates(self, ids: Sequence[str]) -> str | None:
        """Delete all assets but the earliest one, and return its id.

        The order is the same in each process, also where assets were registered simultaneously.
        """
        assets = sorted(
            self._assets(ids), key=lambda asset: (asset.get("createdTime") or "", asset["id"])
        )
        for asset in assets[1:]:
            url = f"{self._assets_url}/{quote(asset['id'])}"
            with suppress(
                RefusedError
            ):  # deleted already, or not allowed: both assets are complete
                self._client.request("Removing a duplicate", "DELETE", url)
        return next(map(_explanation_id, assets), None)

    def _assets(self, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the run's assets of explanations with these ids."""
        params: dict[str, str] = {"runId": self._run.run_id, "type": _ASSET_TYPE}
        params["properties"] = ""  # required, but may be empty
        while True:
            page = self._client.request(
                "Looking for the explanation", "GET", self._assets_url, params=params
            )
            for asset in page["value"]:
                if _explanation_id(asset) in ids:
                    yield asset
            next_query = dict(parse_qsl(urlsplit(page.get("nextLink") or "").query))
            if "$skipToken" not in next_query:
                return
            params["$skipToken"] = next_query["$skipToken"]

    def tag(self) -> bool:
        """Tag the run as one with explanations; return whether it has room for the tag."""
        body = {"runId": self._run.run_id, "tags": {EXPLAINED_TAG: "True"}}
        try:
            self._client.request("Tagging the run", "PATCH", self._run.url, json=body)
        except RefusedError:
            description = self._client.request("Reading the run's tags", "GET", self._run.url)
            if has_room_for_tag(description.get("tags") or {}):
                raise
            return False
        return True


def _explanation_id(asset: Mapping[str, Any]) -> str:
    return str((asset.get("properties") or {}).get("explanation_id"))


def _derived_id(explanation_id: str, attempt: int) -> str:
    """Return the id itself, then ids derived from it: each later upload derives the same ones."""
    if not attempt:
        return explanation_id
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{explanation_id}/{attempt}"))
