"""The place of an explanation in a run: its number, found again by the explanation's id.

A log that was cut off is continued in its folder. ``explanation.json``, which holds the id, is the
first file of a folder. The folder of a skipped fit holds a status record with the id of the fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_interpret.core import explanation_io, json_files
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.stores.mlflow.artifacts import fetch, list_files
from mlflow_interpret.stores.mlflow.layout import (
    MAX_NUMBER,
    STATUS,
    TAGGED_EXPLANATIONS,
    explanations_of,
    folder_of,
    tag_name,
)


@dataclass(frozen=True)
class Place:
    """The number of an explanation in a run.

    Attributes:
        number: The number.
        is_begun: A part of the explanation, or all of it, is there.
    """

    number: int
    is_begun: bool


def find_place(
    client: MlflowClient, run: Run, explanation_id: str, ids: Mapping[int, str]
) -> Place:
    """Return the place of an explanation: where its id is, else the next free number.

    Args:
        client: The client.
        run: The run.
        explanation_id: The explanation.
        ids: The ids of explanations of the run that are known already, by number.

    Raises:
        Exception: The artifact store does not answer.
    """
    ids = {**ids, **_tagged_ids(run)}
    for number, known in ids.items():
        if known == explanation_id:
            return Place(number, is_begun=True)
    count = explanations_of(run)
    for number in range(1, MAX_NUMBER):
        if number in ids or _is_skipped(run, number):
            continue
        paths = list_files(client, run, folder_of(number))
        if not paths and number > count:
            return Place(number, is_begun=False)
        path = f"{folder_of(number)}/{explanation_io.EXPLANATION}"
        if _read_id(client, run, path, paths, "id") == explanation_id:
            return Place(number, is_begun=True)
    return Place(MAX_NUMBER, is_begun=False)


def find_skipped(client: MlflowClient, run: Run, fit_id: str) -> Place:
    """Return the place of a skipped fit: where its id is, else the next free number.

    Raises:
        Exception: The artifact store does not answer.
    """
    count, ids = explanations_of(run), _tagged_ids(run)
    for number in range(1, MAX_NUMBER):
        if number in ids and number <= count:
            continue
        paths = list_files(client, run, folder_of(number))
        if not paths and number > count:
            return Place(number, is_begun=False)
        if _read_id(client, run, f"{folder_of(number)}/{STATUS}", paths, "fit_id") == fit_id:
            return Place(number, is_begun=True)
    return Place(MAX_NUMBER, is_begun=False)


def free_place(client: MlflowClient, run: Run) -> Place:
    """Return the next number whose artifact folder is empty.

    A folder beyond the count belongs to another process, or to a log that was cut off: some stores
    do not overwrite it.
    """
    number = explanations_of(run) + 1
    while number < MAX_NUMBER and list_files(client, run, folder_of(number)):
        number += 1
    return Place(number, is_begun=False)


def _tagged_ids(run: Run) -> dict[int, str]:
    tags = run.data.tags
    names = {n: tag_name(n, "explanation_id") for n in range(1, TAGGED_EXPLANATIONS + 1)}
    return {number: tags[name] for number, name in names.items() if name in tags}


def _is_skipped(run: Run, number: int) -> bool:
    is_counted = number <= min(explanations_of(run), TAGGED_EXPLANATIONS)
    return is_counted and run.data.tags.get(tag_name(number, "status")) == "skipped"


def _read_id(client: MlflowClient, run: Run, path: str, paths: list[str], key: str) -> str | None:
    """Return the id in a file of a folder with the files ``paths``, None where there is none."""
    if path not in paths:
        return None
    with temporary_folders.temporary() as folder:
        return json_files.read_id(fetch(run, path, client.tracking_uri, Path(folder)), key)
