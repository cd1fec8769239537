"""Runs that are to be compared: found, read, and said what is left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlflow_interpret.compare.comparison import RunComparison
from mlflow_interpret.core.errors import ExplanationNotFoundError
from mlflow_interpret.core.options import Comparison
from mlflow_interpret.core.text import truncate
from mlflow_interpret.runtime.progress import progress
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.mlflow.importances import load_importances
from mlflow_interpret.stores.mlflow.search import asked_for

_logger = logging.getLogger("mlflow_interpret")


def compare(runs: Iterable[Any] | None, tracking_uri: str, options: Comparison) -> RunComparison:
    """The comparison of runs; see `mlflow_interpret.compare_runs`."""
    mlflow_store.check_reachable(tracking_uri)
    with progress("Finding runs", unit="runs", silent=options.silent) as report:
        asked = asked_for(runs, options, tracking_uri, report)
    once = {run.info.run_id: (run, name) for run, name in reversed(asked)}
    wanted = [once.pop(run.info.run_id) for run, _ in asked if run.info.run_id in once]
    with progress("Reading explanations", unit="runs", silent=options.silent) as report:
        found, skipped = load_importances(
            wanted, tracking_uri, report, label=options.label, engineered=options.engineered
        )
    if len(found) < 2:
        active = runs is None and options.experiment_names is None
        place = " of the active experiment" if active else ""
        raise ExplanationNotFoundError(
            _too_few(len(asked), len(wanted), place, len(found), skipped)
        )
    comparison = RunComparison(tuple(found), skipped, options.top_k)
    if not options.silent:
        _warn(comparison)
    return comparison


def _warn(comparison: RunComparison) -> None:
    """Of runs that are left out, and of those of which nothing can be told."""
    if comparison.skipped:
        _logger.warning("Not compared: %s", _reasons(comparison.skipped))
    first, *others = comparison.importances
    strangers = [run.run_id for run in others if not set(run.features) & set(first.features)]
    if strangers:
        _logger.warning(
            "Run %s, the first, shares no feature with %s: nothing can be told between them. Name "
            "another run first.",
            first.run_id,
            _several(strangers),
        )


def _several(run_ids: Sequence[str], most: int = 5) -> str:
    more = len(run_ids) - most
    told = f"run{'s' if len(run_ids) > 1 else ''} {', '.join(run_ids[:most])}"
    return f"{told} and {more:,} more" if more > 0 else told


def _reasons(skipped: Mapping[str, str], most: int = 5) -> str:
    told = [
        f"run {run_id}: {truncate(reason, 300)}" for run_id, reason in list(skipped.items())[:most]
    ]
    more = len(skipped) - most
    return "; ".join(told) + (f"; and {more:,} more, see .skipped" if more > 0 else "")


def _too_few(asked: int, distinct: int, place: str, found: int, skipped: Mapping[str, str]) -> str:
    different = " different" if asked > distinct else ""
    why = f" ({_reasons(skipped)})" if skipped else ""
    return (
        "A comparison needs at least two runs that hold an explanation, and found "
        f"{found} in {distinct}{different} run{'' if distinct == 1 else 's'}{place}{why}. Name "
        "further runs or other experiment_names, or explain models with "
        "mlflow_interpret.autolog() before fit."
    )
