"""Which explanation of a run is which: its number, and the folder, tags and records named by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mlflow_interpret.core.errors import RunNotFoundError
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores.mlflow.artifacts import files_in

FOLDER = "mlflow_interpret"
STATUS = "status.json"
TAG = "mlflow_interpret"

State = Literal["complete", "pending", "skipped", "failed"]

TAGGED_EXPLANATIONS = 5  # later ones of a run have no tags of their own: Azure ML allows 50 tags
AZURE_TAGS = 49  # of a run: 50, of which one is for the tag that each upload sets
_MOST = 10_000  # explanations of a run; the number comes from the store


@dataclass(frozen=True)
class Logged:
    """Where an explanation, or the reason that there is none, was written.

    Attributes:
        tracking_uri: The store.
        run_id: The run.
        number: 1 for the run's first explanation.
        status: The status record as written.
    """

    tracking_uri: str
    run_id: str
    number: int
    status: Mapping[str, Any]

    @property
    def not_drawn(self) -> Mapping[str, str]:
        """The files that could not be drawn, with the reasons."""
        failed: Mapping[str, str] = self.status.get("not_drawn", {})
        return failed

    @property
    def folder(self) -> str:
        """The artifact folder."""
        return folder_of(self.number)


def folder_of(number: int) -> str:
    """The artifact folder of a run's ``number``-th explanation."""
    return FOLDER if number == 1 else f"{FOLDER}-{number}"


def tag_name(number: int, key: str) -> str:
    """The tag of a run's ``number``-th explanation."""
    return f"{TAG}.{key}" if number == 1 else f"{TAG}-{number}.{key}"


def get_run(client: MlflowClient, run_id: str) -> Run:
    """The run.

    Raises:
        RunNotFoundError: It does not exist.
    """
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        uri = without_credentials(client.tracking_uri)
        raise RunNotFoundError(
            f"Run {run_id!r} does not exist in {uri}. Check the id, or name the store that holds "
            "the run with mlflow.set_tracking_uri(...) or MLFLOW_TRACKING_URI."
        ) from error


def explanations_of(run: Run) -> int:
    """How many explanations a run holds, those that were skipped counted."""
    count = run.data.tags.get(f"{TAG}.explanations", "0")
    return min(int(count), _MOST) if count.isdecimal() else 0


def count_of(client: MlflowClient, run: Run) -> int:
    """How many explanations a run holds, also where it had no room for the tag that says it."""
    count = explanations_of(run)
    if count == 0 and len(run.data.tags) >= AZURE_TAGS:
        while count < _MOST and files_in(client, run, folder_of(count + 1)):
            count += 1
    return count


def numbers(client: MlflowClient, run: Run) -> list[int]:
    """The numbers of a run's explanations, without what a log that was cut off has left."""
    known = set(run.data.tags)
    full = len(known) >= AZURE_TAGS  # then an explanation may have no tags of its own
    return [
        number
        for number in range(1, count_of(client, run) + 1)
        if number > TAGGED_EXPLANATIONS or full or tag_name(number, "status") in known
    ]


def free_number(client: MlflowClient, run: Run) -> int:
    """The next number whose folder is empty.

    A folder that is not counted is another process's, or what a log that was cut off has left: some
    stores do not overwrite it.
    """
    number = explanations_of(run) + 1
    while number < _MOST and files_in(client, run, folder_of(number)):
        number += 1
    return number


def status_name(place: int) -> str:
    """The file of a ``place``-th status record: a store may not let the first be written over."""
    return STATUS if place == 1 else f"status-{place}.json"


def latest_status(paths: Iterable[str]) -> int:
    """Which of the status records among some files is the valid one, 0 where there is none."""
    places = [re.search(r"(?:^|/)status(?:-(\d+))?\.json$", path) for path in paths]
    return max((int(place[1] or 1) for place in places if place), default=0)
