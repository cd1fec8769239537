"""The layout of explanations in a run: numbers, artifact folders, tags and status records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mlflow_interpret.core.errors import RunNotFoundError
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores.base import limits_of
from mlflow_interpret.stores.mlflow.artifacts import list_files

FOLDER = "mlflow_interpret"
STATUS = "status.json"
TAG = "mlflow_interpret"

State = Literal["complete", "pending", "skipped", "failed"]

TAGGED_EXPLANATIONS = 5  # later explanations of a run have no tags of their own: tags are few
MAX_NUMBER = 10_000  # explanations of a run; the count comes from the server


@dataclass(frozen=True)
class Logged:
    """An explanation, or the reason that there is none, in a run.

    Attributes:
        tracking_uri: The tracking URI.
        run_id: The run.
        number: 1 for the first explanation of the run.
        status: The status record as written.
        metrics: The logged metrics.
        report: The address or path of the report, None where there is none.
    """

    tracking_uri: str
    run_id: str
    number: int
    status: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    report: str | None = None

    @property
    def folder(self) -> str:
        """The artifact folder."""
        return folder_of(self.number)


def folder_of(number: int) -> str:
    """Return the artifact folder of a run's ``number``-th explanation."""
    return FOLDER if number == 1 else f"{FOLDER}-{number}"


def tag_name(number: int, key: str) -> str:
    """Return the name of a tag of a run's ``number``-th explanation."""
    return f"{TAG}.{key}" if number == 1 else f"{TAG}-{number}.{key}"


def get_run(client: MlflowClient, run_id: str) -> Run:
    """Return a run.

    Raises:
        RunNotFoundError: The run does not exist.
    """
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        uri = without_credentials(client.tracking_uri)
        raise RunNotFoundError(
            f"Run {run_id!r} does not exist in {uri}.",
            remedy="Check the id, or name the store that holds the run with "
            "mlflow.set_tracking_uri(...) or MLFLOW_TRACKING_URI.",
        ) from error


def explanations_of(run: Run) -> int:
    """Return the number of a run's explanations by its tag, skipped fits included."""
    count = run.data.tags.get(f"{TAG}.explanations", "0")
    return min(int(count), MAX_NUMBER) if count.isdecimal() else 0


def count_of(client: MlflowClient, run: Run) -> int:
    """Return the number of a run's explanations, also of a run that had no room for the tag."""
    count = explanations_of(run)
    if count == 0 and _lacks_tags(client, run):
        while count < MAX_NUMBER and list_files(client, run, folder_of(count + 1)):
            count += 1
    return count


def numbers(client: MlflowClient, run: Run) -> list[int]:
    """Return the numbers of a run's explanations, without those whose log was cut off."""
    tags = set(run.data.tags)
    may_lack = _lacks_tags(client, run)
    return [
        number
        for number in range(1, count_of(client, run) + 1)
        if number > TAGGED_EXPLANATIONS or may_lack or tag_name(number, "status") in tags
    ]


def status_name(version: int) -> str:
    """Return the file name of a version of an explanation's status record, from 1."""
    return STATUS if version == 1 else f"status-{version}.json"


def latest_status(paths: Iterable[str]) -> int:
    """Return the latest version of the status record among some files, 0 where there is none."""
    matches = [re.search(r"(?:^|/)status(?:-(\d{1,9}))?\.json$", path) for path in paths]
    return max((int(match[1] or 1) for match in matches if match), default=0)


def _lacks_tags(client: MlflowClient, run: Run) -> bool:
    """Return whether the server's limit may have kept tags of explanations out of a run."""
    limit = limits_of(client.tracking_uri).tags
    return limit is not None and len(run.data.tags) >= limit
