"""Names, metrics and params of the compared runs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlflow_interpret.core.explanation import Importances

MAX_METRICS = 20
"""Number of metrics that a comparison has at most."""

MAX_PARAMS = 20
"""Number of differing params that a comparison has at most."""

SHORT_ID = 8
"""Characters of a short run id."""

_LARGER_IS_BETTER = {
    "accuracy", "ap", "auc", "f1", "kappa", "map", "mcc", "ndcg", "neg", "precision", "r2",
    "recall", "roc", "score",
}  # fmt: skip
_SMALLER_IS_BETTER = {
    "brier", "deviance", "error", "logloss", "loss", "mae", "mape", "mse", "perplexity", "rmse",
    "rmsle",
}  # fmt: skip


def run_names(runs: Sequence[Importances]) -> list[str]:
    """Return a name for each run: that of the run, its id if it has none, both if names are equal.

    The names are different from each other.
    """
    names = [run.run_name or run.run_id for run in runs]
    for length in (SHORT_ID, None):
        counts = Counter(names)
        if len(counts) == len(names):
            break
        names = [
            f"{run.run_name or 'run'} ({run.run_id[:length]})" if counts[name] > 1 else name
            for name, run in zip(names, runs, strict=True)
        ]
    return names


def metric_names(runs: Sequence[Importances]) -> list[str]:
    """Return the names of the metrics, those of most runs first."""
    return _by_number_of_runs([run.metrics for run in runs])


def differing_params(runs: Sequence[Importances]) -> list[str]:
    """Return the names of the params that differ between runs, or that some runs lack.

    Those with different values come first, then those of most runs.
    """
    names = _by_number_of_runs([run.params for run in runs])
    values = {name: {run.params.get(name) for run in runs} for name in names}
    differing = [name for name in names if len(values[name]) > 1]
    return sorted(differing, key=lambda name: len(values[name] - {None}) == 1)


def best_runs(name: str, runs: Sequence[Importances]) -> set[int]:
    """Return the positions of the runs with the best value of a metric.

    The name has to tell whether a larger or a smaller value is better, as ``accuracy`` and ``loss``
    do. None are the best if the name does not, or if all values are equal.
    """
    choose = _better(name)
    values = {i: run.metrics[name] for i, run in enumerate(runs) if name in run.metrics}
    known = {i: value for i, value in values.items() if math.isfinite(value)}
    if choose is None or len(set(known.values())) < 2:
        return set()
    best = choose(known.values())
    return {i for i, value in known.items() if value == best}


def _better(name: str) -> Callable[[Any], Any] | None:
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    if words & _SMALLER_IS_BETTER and "neg" not in words:
        return min
    return max if words & _LARGER_IS_BETTER else None


def _by_number_of_runs(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = Counter(name for names in entries for name in names)
    return sorted(counts, key=lambda name: (-counts[name], name))
