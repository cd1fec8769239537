"""Our own upload of an explanation: where ExplanationClient cannot be imported, and for `push`.

Six calls over HTTP make the same asset. The order is the client's: files on disk, names reserved,
blobs, the asset, the run's tag. So whatever an upload was cut off by, there is an asset only where
all files are there, and who looks for it first makes no second one. Two that upload the same
explanation at once look again when theirs is made: the earlier asset stays.
"""

from __future__ import annotations

import tempfile
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
from mlflow_interpret.runtime.progress import Report, nothing
from mlflow_interpret.stores.azureml import asset_format, blobs
from mlflow_interpret.stores.azureml.http import HttpClient, RefusedError
from mlflow_interpret.stores.azureml.mirror_runs import EXPLAINED, has_room
from mlflow_interpret.stores.azureml.service import Service, of_job
from mlflow_interpret.stores.azureml.targets import Target
from mlflow_interpret.stores.azureml.token_refresh import fresh_token
from mlflow_interpret.stores.azureml.workspace import asset_service

_ASSET_TYPE = "azureml.explanation"
_CONFLICT = 409
_NAMES = 50  # ids that are tried where the names of an earlier one are taken


@dataclass(frozen=True)
class Written:
    """What Azure ML has after an upload.

    Attributes:
        explanation_id: The id under which it has the explanation: its own, unless an upload of it
            was cut off.
        tagged: Whether the run has the tag of runs with explanations; it may hold so many tags
            that there is no room for it.
    """

    explanation_id: str
    tagged: bool


def service_of(target: Target) -> Service:
    """Where a target's run is; a job's environment says it of the job's own.

    Raises:
        AzureMLError: Something of it is not known.
    """
    if target.kind == "job":
        return of_job(target.run_id, target.token)
    known = (
        target.endpoint,
        target.subscription,
        target.resource_group,
        target.workspace,
        target.experiment,
        target.token,
    )
    endpoint, subscription, group, workspace, experiment, token = (part or "" for part in known)
    if not all(known):
        raise AzureMLError(
            "the run's workspace is not fully known; use an azureml:// tracking URI, or Python "
            "3.10 or 3.11 with pip install 'mlflow-interpret[azure]'"
        )
    return Service(endpoint, subscription, group, workspace, experiment, target.run_id, token)


def write(
    explanation: Explanation,
    service: Service,
    comment: str | None,
    deadline: float,
    random_state: int = 0,
    points: int | None = None,
    report: Report = nothing,
) -> Written:
    """Upload an explanation and, before it, its engineered view.

    An explanation that is there already, whoever uploaded it, stays as it is and is there once.

    Args:
        explanation: The explanation.
        service: The Azure ML run.
        comment: Shown in studio beside the explanation.
        deadline: Seconds that all of it may take.
        random_state: Seeds the sample of rows for studio.
        points: How many rows studio shows at most. Default: 5,000.
        report: Hears how many files are written, and how many there are so far.

    Raises:
        AzureMLError: It did not arrive; the message says why in one line, without secrets.
    """
    renew = partial(fresh_token, service) if service.renewable else None
    found = explanation.id
    with closing(HttpClient(service.token, deadline, renew)) as calls, blobs.unlogged():
        writer = _Writer(calls, service, report)
        for view in (explanation.engineered, explanation):
            if view is not None:
                found = writer.write(view, comment, random_state, points)
        return Written(found, writer.tag())


class _Writer:
    """Writes explanations into one run."""

    def __init__(self, calls: HttpClient, service: Service, report: Report) -> None:
        self._calls = calls
        self._report, self._written = report, 0
        self._service = service
        base = service.endpoint.rstrip("/")
        self._run_url = service.run_url
        found = calls.ask("Finding the run", "GET", self._run_url)
        self._experiment_id = found.get("experimentId")
        container = f"ExperimentRun/{quote(found['dataContainerId'])}"
        artifacts = f"{base}/artifact/v2.0{service.scope}/artifacts"
        self._names_url = f"{artifacts}/batch/metadata/{container}"
        service_url = asset_service(calls, base, service.scope, service.discovery)
        self._assets_url = f"{service_url}/modelmanagement/v1.0{service.scope}/assets"

    def write(
        self, explanation: Explanation, comment: str | None, random_state: int, points: int | None
    ) -> str:
        """Upload one view, unless it is there; returns the id under which it is.

        A name can be reserved once. Where an upload was cut off after that, or the answer with the
        links was lost, the explanation goes under an id that is made from its own.
        """
        ids = [_nth_id(explanation.id, attempt) for attempt in range(_NAMES)]
        found = self._registered(ids)
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name)
            asset = asset_format.write(
                explanation, folder, self._service.run_id, comment, random_state, points
            )
            for named in ids:
                asset = asset_format.renamed(asset, folder, named)
                links = self._reserve(asset, named)
                if links is not None:
                    break
            else:
                raise AzureMLError(
                    f"{_NAMES} uploads of explanation {explanation.id} were cut off; "
                    "log it again with mlflow_interpret.log_explanation()"
                )
            total = self._written + len(links)
            for file, link in links.items():
                self._report(self._written, total)
                blobs.put(self._calls, f"Writing {file}", link, folder / file)
                self._written += 1
        # Somebody else may have been at it meanwhile, as this process's other half.
        found = self._registered(ids)
        if found is None:
            self._create(asset, named)
            found = self._settled(ids) or named
        return found

    def _reserve(self, asset: asset_format.Asset, explanation_id: str) -> dict[str, str] | None:
        """A link to write each file, None where a name is taken."""
        what = "Reserving the names of the files"
        folder = asset_format.folder_of(explanation_id)
        files = [asset_format.file_of(name) for name in asset.names]
        paths = {file: f"./{folder}/{file}" for file in files}
        body = {"paths": [{"path": path} for path in paths.values()]}
        try:
            answer = self._calls.ask(what, "POST", self._names_url, body=body)
        except RefusedError as error:
            if error.status == _CONFLICT:
                return None
            raise
        if answer.get("errors"):
            said = str(next(iter(answer["errors"].values())))
            if "already exists" in said or "Conflict" in said:
                return None
            raise AzureMLError(f"{what} failed: {redact(said, self._service.token)}")
        links = answer.get("artifactContentInformation", {})
        if not all(path in links for path in paths.values()):
            raise AzureMLError(f"{what} failed: the service gave no link for some of them")
        return {file: str(links[path]["contentUri"]) for file, path in paths.items()}

    def _create(self, asset: asset_format.Asset, explanation_id: str) -> None:
        properties = dict(asset.properties)
        if self._experiment_id is None:
            properties["experiment_name"] = self._service.experiment
        else:
            properties["experiment_id"] = str(self._experiment_id)
        body: dict[str, Any] = {
            "name": "explanation_asset",
            "type": _ASSET_TYPE,
            "runid": self._service.run_id,
            "meta": {},
            "artifacts": [{"prefix": label} for label in asset.labels],
            "properties": properties,
        }
        self._calls.ask(
            "Registering the explanation",
            "POST",
            self._assets_url,
            body=body,
            arrived=lambda: self._registered([explanation_id]) is not None,
        )

    def _registered(self, ids: Sequence[str]) -> str | None:
        """Which of the ids the run has an explanation of, if any."""
        return next((_explanation_id(asset) for asset in self._assets(ids)), None)

    def _settled(self, ids: Sequence[str]) -> str | None:
        """The id of the one asset that stays, of those that were made at once.

        The order is the same for everybody who looks: the earliest asset stays, and whoever made it
        may have looked before there was another one.
        """
        made = sorted(
            self._assets(ids), key=lambda asset: (asset.get("createdTime") or "", asset["id"])
        )
        for asset in made[1:]:
            url = f"{self._assets_url}/{quote(asset['id'])}"
            with suppress(RefusedError):  # it is gone already, or it may not be: both are whole
                self._calls.ask("Removing what was registered twice", "DELETE", url)
        return next(map(_explanation_id, made), None)

    def _assets(self, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The run's assets of explanations with these ids."""
        query: dict[str, str] = {"runId": self._service.run_id, "type": _ASSET_TYPE}
        query["properties"] = ""  # its place may be left empty, but not left out
        while True:
            page = self._calls.ask(
                "Looking for the explanation", "GET", self._assets_url, query=query
            )
            for asset in page["value"]:
                if _explanation_id(asset) in ids:
                    yield asset
            following = dict(parse_qsl(urlsplit(page.get("nextLink") or "").query))
            if "$skipToken" not in following:
                return
            query["$skipToken"] = following["$skipToken"]

    def tag(self) -> bool:
        """Mark the run as one that has an explanation, if it has room for one more tag."""
        body = {"runId": self._service.run_id, "tags": {EXPLAINED: "True"}}
        try:
            self._calls.ask("Tagging the run", "PATCH", self._run_url, body=body)
        except RefusedError:
            run = self._calls.ask("Looking at the run's tags", "GET", self._run_url)
            if has_room(run.get("tags") or {}):
                raise
            return False
        return True


def _explanation_id(asset: Mapping[str, Any]) -> str:
    return str((asset.get("properties") or {}).get("explanation_id"))


def _nth_id(explanation_id: str, attempt: int) -> str:
    """The id itself, then ids that follow from it: whoever tries again finds the same ones."""
    if not attempt:
        return explanation_id
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{explanation_id}/{attempt}"))
