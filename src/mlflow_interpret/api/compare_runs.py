"""Find, read and compare the explanations of several runs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlflow_interpret.compare import RunComparison
from mlflow_interpret.core.errors import ExplanationNotFoundError, OptionError
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.options import Comparison
from mlflow_interpret.core.text import truncate
from mlflow_interpret.runtime.progress import progress
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.mlflow.importances import load_importances
from mlflow_interpret.stores.mlflow.search import find_runs

_logger = logging.getLogger("mlflow_interpret")

_MAX_LISTED = 5  # runs in a message


def compare(runs: Iterable[Any] | None, tracking_uri: str, options: Comparison) -> RunComparison:
    """Compare runs; see `mlflow_interpret.compare_runs`."""
    mlflow_store.check_reachable(tracking_uri)
    with progress("Finding runs", unit="runs", silent=options.silent) as report:
        named_runs = find_runs(runs, options, tracking_uri, report)
    distinct = {named.run.info.run_id: named for named in reversed(named_runs)}
    run_ids = dict.fromkeys(named.run.info.run_id for named in named_runs)
    with progress("Reading explanations", unit="runs", silent=options.silent) as report:
        importances, skipped = load_importances(
            [distinct[run_id] for run_id in run_ids],
            tracking_uri,
            report,
            label=options.label,
            engineered=options.engineered,
            feature_groups=options.feature_groups,
        )
    _check_groups(options.feature_groups, importances)
    if len(importances) < 2:
        is_default = runs is None and options.experiment_names is None
        raise ExplanationNotFoundError(
            _too_few(
                f"{len(importances)} in {len(distinct)}"
                f"{' different' if len(named_runs) > len(distinct) else ''}"
                f" run{'' if len(distinct) == 1 else 's'}"
                f"{' of the active experiment' if is_default else ''}",
                skipped,
            )
        )
    comparison = RunComparison(tuple(importances), skipped, options.top_k)
    if not options.silent:
        _warn(comparison)
    return comparison


def _check_groups(given: Any, importances: Sequence[Importances]) -> None:
    """Check that some run has each column of the groups.

    Raises:
        OptionError: No run has a column, or a function groups no column.
    """
    if given is None or not importances:
        return
    present = {
        column
        for run in importances
        for columns in (run.groups or {}).values()
        for column in columns
    }
    wanted = set() if callable(given) else {name for names in given.values() for name in names}
    unknown = sorted(wanted - present)
    if unknown or not present:
        problem = f"{unknown[0]!r}, which none has" if unknown else "no group of a column"
        raise OptionError(
            f"feature_groups must be groups of columns of the compared models, got {problem}.",
            argument="feature_groups",
        )


def _too_few(count: str, skipped: Mapping[str, str]) -> str:
    reasons = f" ({_reasons(skipped)})" if skipped else ""
    return (
        f"A comparison needs at least two runs that hold an explanation, and found {count}"
        f"{reasons}. Name further runs or other experiment_names, or explain models with "
        "mlflow_interpret.autolog() before fit."
    )


def _warn(comparison: RunComparison) -> None:
    """Warn about skipped runs, and about runs that share no feature with the first one."""
    if comparison.skipped:
        _logger.warning("Not compared: %s", _reasons(comparison.skipped))
    reference, *others = comparison.importances
    features = set(reference.features)
    incomparable = [run.run_id for run in others if not features & set(run.features)]
    if incomparable:
        _logger.warning(
            "Run %s, the first, shares no feature with %s and cannot be compared with it. Name "
            "another run first.",
            reference.run_id,
            _run_list(incomparable),
        )


def _run_list(run_ids: Sequence[str]) -> str:
    n_others = len(run_ids) - _MAX_LISTED
    text = f"run{'s' if len(run_ids) > 1 else ''} {', '.join(run_ids[:_MAX_LISTED])}"
    return f"{text} and {n_others:,} more" if n_others > 0 else text


def _reasons(skipped: Mapping[str, str]) -> str:
    reasons = [
        f"run {run_id}: {truncate(reason, 300)}"
        for run_id, reason in list(skipped.items())[:_MAX_LISTED]
    ]
    n_others = len(skipped) - _MAX_LISTED
    return "; ".join(reasons) + (f"; and {n_others:,} more, see .skipped" if n_others > 0 else "")
