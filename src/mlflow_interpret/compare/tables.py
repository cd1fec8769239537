"""Importances of several runs as tables; pure.

The first run is the reference: marks and differences are told against it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.statistics import FloatArray, finite, shares

MOST_PAIRED = 100
"""Runs that are all compared with each other; of more, each with the first."""


def tidy(runs: Sequence[Importances]) -> pd.DataFrame:
    """A row for each run and feature: importance, share, rank and standard error."""
    place = np.repeat(range(len(runs)), [len(run.features) for run in runs])
    parts = {
        "feature": [name for run in runs for name in run.features],
        "run_id": np.asarray([run.run_id for run in runs], dtype=object)[place],
        "importance": np.concatenate([run.values for run in runs]),
        "share": np.concatenate([shares(run.values) for run in runs]),
        "rank": np.concatenate([ranks(run.values) for run in runs]),
        "standard_error": np.concatenate([errors_of(run) for run in runs]),
    }
    table = pd.DataFrame(parts)
    table["rank"] = table["rank"].astype("Int64")
    order = np.lexsort((parts["rank"], place))  # NaN comes last
    return table.iloc[order].reset_index(drop=True)


def overview(runs: Sequence[Importances]) -> pd.DataFrame:
    """A row for each run: what was explained and how, and what sets it apart from the first."""
    return pd.DataFrame(
        {
            "run_id": [run.run_id for run in runs],
            "name": [run.run_name for run in runs],
            "model_class": [run.model_class for run in runs],
            "method": [run.method for run in runs],
            "scale": [run.scale for run in runs],
            "rows": _counted(runs, "explained"),
            "rows_of": _counted(runs, "available"),
            "rows_source": [run.rows.source for run in runs],
            "features": [len(run.features) for run in runs],
            "explanation_id": [run.explanation_id for run in runs],
            "marks": ["; ".join(_told(runs[0], run)) for run in runs],
        }
    )


def _told(reference: Importances, run: Importances) -> tuple[str, ...]:
    found = marks(reference, run)
    shared = set(run.features) & set(reference.features)
    return found if shared else (*found, "name another run first")


def _counted(runs: Sequence[Importances], key: str) -> Any:
    return pd.array([getattr(run.rows, key) for run in runs], dtype="Int64")


def marks(reference: Importances, run: Importances) -> tuple[str, ...]:
    """What to mind when a run is compared with the reference, and of the run itself."""
    found = []
    if run is not reference:
        found += _unlike(reference, run)
    if run.in_run > 1:
        found.append(f"the latest of {run.in_run} explanations in its run")
    unknown = int(np.sum(~np.isfinite(run.values)))
    if unknown:
        found.append(f"{unknown} of {len(run.values)} importances are not finite")
    if unknown < len(run.values) and not np.any(run.values[np.isfinite(run.values)]):
        found.append("all importances are 0")
    if not has_errors(run):
        found.append("no standard errors")
    return tuple(found)


def _unlike(reference: Importances, run: Importances) -> list[str]:
    found = []
    here, there = set(run.features), set(reference.features)
    if not here & there:
        return [f"shares no feature with {reference.run_name}"]
    if here != there:
        found.append(f"other features: {len(here - there)} more, {len(there - here)} missing")
    if run.scale != reference.scale:
        found.append(f"other scale: {run.scale or 'unknown'}")
    mine, its = set(run.output_names or ()), set(reference.output_names or ())
    if mine and its and mine != its:
        found.append(f"other classes: {len(mine - its)} more, {len(its - mine)} missing")
    if run.method != reference.method:
        found.append(f"other method: {run.method}")
    rows = _rows_unlike(reference, run)
    return [*found, rows] if rows else found


def _rows_unlike(reference: Importances, run: Importances) -> str | None:
    mine, other = run.row_digests, reference.row_digests
    if mine is not None and other is not None:
        shared = mine.keys() & other.keys()
        if all(mine[name] == other[name] for name in shared):
            return None
    elif _counts(run) == _counts(reference):
        return "perhaps other rows: the runs do not say which"
    explained, available, source = _counts(run)
    told = "" if explained is None else f": {explained:,} of {available or explained:,}"
    return f"other rows{told}{f' {source}' if source else ''}"


def _counts(run: Importances) -> tuple[Any, Any, Any]:
    return run.rows.explained, run.rows.available, run.rows.source


def agreement(runs: Sequence[Importances], top_k: int) -> pd.DataFrame:
    """How alike the rankings of two runs are, over the features that both have.

    Spearman's and Kendall's rank correlations (tau-b, which knows ties) are pandas'. The overlap
    is the share of the ``k`` most important features that two runs have in common, where ``k`` is
    ``top_k``, but at most half of the shared features, as of all of them any two runs have all,
    and at most as many as matter in the run with fewer that do.

    Args:
        runs: The runs; of more than `MOST_PAIRED`, each is compared with the first only.
        top_k: The largest ``k``.
    """
    matrix = _by_feature(runs)
    pairs = (
        list(combinations(range(len(runs)), 2))
        if len(runs) <= MOST_PAIRED
        else [(0, other) for other in range(1, len(runs))]
    )
    values = matrix.to_numpy()
    spearman, kendall = (_correlations(matrix, method) for method in ("spearman", "kendall"))
    rows = []
    for a, b in pairs:
        shared = np.isfinite(values[:, a]) & np.isfinite(values[:, b])
        k, overlap = top_overlap(values[shared, a], values[shared, b], top_k)
        ids = (runs[a].run_id, runs[b].run_id)
        count = int(shared.sum())
        rows.append((*ids, spearman[a, b], kendall[a, b], overlap, k, count))
    columns = ["run_a", "run_b", "spearman", "kendall", "top_k_overlap", "k", "shared_features"]
    return pd.DataFrame(rows, columns=columns)


def _correlations(matrix: pd.DataFrame, method: str) -> npt.NDArray[np.float64]:
    """``(N, N)``, or at least the row of the first run where there are too many to pair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importances that are all equal have no ranking: NaN
        # Kendall's takes long for many pairs in older versions of pandas.
        if matrix.shape[1] <= MOST_PAIRED or method == "spearman":
            found = np.asarray(matrix.corr(method, min_periods=2))
        else:
            found = np.asarray([matrix.corrwith(matrix[0], method=method)])
    return found.round(12)  # equal rankings agree by 1.0, not by 0.9999999999999999


def _by_feature(runs: Sequence[Importances]) -> pd.DataFrame:
    """``(F, N)`` importances, NaN where a run lacks the feature or its importance is not finite."""
    columns = [pd.Series(finite(run.values), index=list(run.features)) for run in runs]
    matrix = pd.concat(columns, axis=1)
    matrix.columns = range(len(runs))
    return matrix


def top_overlap(a: FloatArray, b: FloatArray, top_k: int) -> tuple[int, float]:
    """``k`` and the share of the ``k`` largest of ``(F,)`` values that both have in common.

    What is 0 is on top of nothing: where few features matter, ``k`` is the number of those in the
    run that has fewer of them; with a run that has none, the others have nothing in common.
    """
    fewer, more = sorted(int(np.count_nonzero(values)) for values in (a, b))
    k = min(top_k, math.ceil(len(a) / 2), max(fewer, min(more, 1)))
    if k == 0:
        return 0, math.nan
    tops = [set(np.argsort(-values, kind="stable")[:k].tolist()) for values in (a, b)]
    return k, len(tops[0] & tops[1]) / k if fewer else 0.0


def ranks(values: FloatArray) -> FloatArray:
    """``(F,)`` ranks from 1, ties sharing the best; NaN where a value is not finite."""
    known = np.isfinite(values)
    found = np.full(len(values), np.nan)
    rising = np.sort(values[known])
    found[known] = len(rising) - np.searchsorted(rising, values[known], side="right") + 1
    return found


def errors_of(run: Importances) -> FloatArray:
    """``(F,)`` standard errors, NaN where they are not known."""
    errors = run.errors
    return np.full(len(run.values), np.nan) if errors is None or not has_errors(run) else errors


def has_errors(run: Importances) -> bool:
    """Errors that are all 0 say nothing of importances that are not."""
    return run.errors is not None and bool(np.any(run.errors) or not np.any(run.values))
