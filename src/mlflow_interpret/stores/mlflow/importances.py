"""Read the importances of many runs, from one small file each."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import (
    ExplanationNotFoundError,
    InvalidExplanationError,
    OptionError,
    one_line,
)
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.importances_io import read_importances
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.runtime.progress import Report
from mlflow_interpret.stores.mlflow.artifacts import fetch, list_files, map_concurrently
from mlflow_interpret.stores.mlflow.layout import TAG, count_of, folder_of, tag_name
from mlflow_interpret.stores.mlflow.run_facts import model_metrics


class Named(NamedTuple):
    """A run in a comparison.

    Attributes:
        run: The run.
        name: Its name in the comparison.
        explanation_id: The explanation to compare, None for the latest.
    """

    run: Run
    name: str
    explanation_id: str | None = None


_logger = logging.getLogger(__name__)


def load_importances(
    runs: Sequence[Named],
    tracking_uri: str,
    report: Report,
    *,
    label: str | None = None,
    engineered: bool = False,
    feature_groups: Any = None,
) -> tuple[list[Importances], dict[str, str]]:
    """Read the importances of each run, many at once.

    Args:
        runs: The runs, each once.
        tracking_uri: The tracking URI.
        report: Called with the progress.
        label: A class or target, instead of the mean over all.
        engineered: Read the view by engineered column.
        feature_groups: Groups of features, which replace their features.

    Returns:
        The importances in the order of the runs, and by run id the reasons why others have none.

    Raises:
        OptionError: The groups are not allowed.
    """

    def read(named: Named) -> Importances | str:
        try:
            return _read(named, tracking_uri, label, engineered, feature_groups)
        except OptionError:
            raise
        except ExplanationNotFoundError as error:
            return str(error)
        except InvalidExplanationError as error:
            return f"its explanation is damaged or was changed: {one_line(error)}"
        except Exception as error:  # a run that cannot be read does not affect the others
            _logger.debug("Run %s cannot be read", named.run.info.run_id, exc_info=True)
            return f"its explanation cannot be read ({type(error).__name__})"

    outcomes = map_concurrently(read, runs, report)
    loaded = [outcome for outcome in outcomes if isinstance(outcome, Importances)]
    reasons = {
        named.run.info.run_id: outcome
        for named, outcome in zip(runs, outcomes, strict=True)
        if isinstance(outcome, str)
    }
    return loaded, reasons


def _read(
    named: Named, tracking_uri: str, label: str | None, engineered: bool, feature_groups: Any
) -> Importances:
    run = named.run
    count = count_of(MlflowClient(tracking_uri), run)
    tags: Mapping[str, str] = run.data.tags
    if count == 0:
        reason = tags.get(f"{TAG}.reason")
        raise ExplanationNotFoundError(f"it holds no explanation{f': {reason}' if reason else ''}")
    numbers = [
        number
        for number in range(count, 0, -1)
        if tags.get(tag_name(number, "status")) != "skipped"
    ]
    if not numbers:
        raise ExplanationNotFoundError("its fit was skipped; its status.json says why")
    in_run = len(numbers)
    if named.explanation_id is not None:
        numbers = _tagged(numbers, tags, named.explanation_id)
    part = f"{explanation_io.ENGINEERED}/" if engineered else ""
    lacks_view = False
    for number in numbers:
        path = f"{folder_of(number)}/{part}{explanation_io.EXPLANATION}"
        try:
            with temporary_folders.temporary() as folder:
                file = fetch(run, path, tracking_uri, Path(folder))
                local = f"{folder_of(number)}/{part}{explanation_io.LOCAL}"
                importances = read_importances(
                    file,
                    run.info.run_id,
                    named.name,
                    label,
                    feature_groups,
                    partial(fetch, run, local, tracking_uri, Path(folder)),
                )
            return replace(
                importances,
                in_run=in_run,
                metrics=model_metrics(run),
                params=dict(run.data.params),
            )
        except (ExplanationNotFoundError, OptionError):
            raise
        except Exception as error:  # stores raise different errors for a missing file
            paths = list_files(MlflowClient(tracking_uri), run, folder_of(number))
            if f"{folder_of(number)}/{part.rstrip('/') or explanation_io.EXPLANATION}" in paths:
                raise  # an older explanation must not replace one that cannot be read
            failure, lacks_view = error, lacks_view or bool(paths)
    if engineered and lacks_view:
        raise ExplanationNotFoundError("it has no view by engineered column") from failure
    raise failure


def _tagged(numbers: list[int], tags: Mapping[str, str], explanation_id: str) -> list[int]:
    """Return the number of an explanation, by the tags of its run.

    Raises:
        ExplanationNotFoundError: No tag names the explanation.
    """
    tagged = [n for n in numbers if tags.get(tag_name(n, "explanation_id")) == explanation_id]
    if not tagged:
        raise ExplanationNotFoundError(
            f"its tags do not name {explanation_id}, the explanation of the model; compare the "
            "run itself for its latest explanation"
        )
    return tagged
