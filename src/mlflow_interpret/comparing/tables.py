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

from mlflow_interpret.records import FloatArray, Importances, finite, shares, total

MOST_PAIRED = 100
"""Runs that are all compared with each other; of more, each with the first."""

LEVEL = 0.05
"""A difference counts where its adjusted p-value is below."""


def tidy(runs: Sequence[Importances]) -> pd.DataFrame:
    """A row for each run and feature: importance, share, rank and standard error."""
    place = np.repeat(range(len(runs)), [len(run.features) for run in runs])
    parts = {
        "feature": [name for run in runs for name in run.features],
        "run_id": np.asarray([run.run_id for run in runs], dtype=object)[place],
        "importance": np.concatenate([run.values for run in runs]),
        "share": np.concatenate([shares(run.values) for run in runs]),
        "rank": np.concatenate([ranks(run.values) for run in runs]),
        "standard_error": np.concatenate([_errors(run) for run in runs]),
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
            "rows_source": [run.rows.get("source") for run in runs],
            "features": [len(run.features) for run in runs],
            "explanation_id": [run.explanation_id for run in runs],
            "marks": ["; ".join(marks(runs[0], run)) for run in runs],
        }
    )


def _counted(runs: Sequence[Importances], key: str) -> Any:
    return pd.array([run.rows.get(key) for run in runs], dtype="Int64")


def marks(reference: Importances, run: Importances) -> tuple[str, ...]:
    """What to mind when a run is compared with the reference, and of the run itself."""
    found = []
    if run is not reference:
        found += _unlike(reference, run)
    unknown = int(np.sum(~np.isfinite(run.values)))
    if unknown:
        found.append(f"{unknown} of {len(run.values)} importances are not finite")
    if unknown < len(run.values) and not np.any(run.values[np.isfinite(run.values)]):
        found.append("all importances are 0")
    if not _has_errors(run):
        found.append("no standard errors")
    return tuple(found)


def _unlike(reference: Importances, run: Importances) -> list[str]:
    found = []
    here, there = set(run.features), set(reference.features)
    if not here & there:
        return [f"shares no feature with {reference.run_name}; name another run first"]
    if here != there:
        found.append(f"other features: {len(here - there)} more, {len(there - here)} missing")
    if run.scale != reference.scale:
        found.append(f"other scale: {run.scale or 'unknown'}")
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
    return run.rows.get("explained"), run.rows.get("available"), run.rows.get("source")


def agreement(runs: Sequence[Importances], top_k: int) -> pd.DataFrame:
    """How alike the rankings of two runs are, over the features that both have.

    Spearman's and Kendall's rank correlations (tau-b, which knows ties) are pandas'. The overlap
    is the share of the ``k`` most important features that two runs have in common, where ``k`` is
    ``top_k``, but at most half of the shared features: of all of them, any two runs have all.

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
    """``k`` and the share of the ``k`` largest of ``(F,)`` values that both have in common."""
    k = min(top_k, math.ceil(len(a) / 2))
    if k == 0:
        return 0, math.nan
    tops = [set(np.argsort(-values, kind="stable")[:k].tolist()) for values in (a, b)]
    return k, len(tops[0] & tops[1]) / k


def differences(reference: Importances, others: Sequence[Importances]) -> pd.DataFrame:
    """How each shared feature differs from the reference, and whether beyond the error bars.

    Importances are compared where both runs have the same scale, else shares of the total of the
    shared features. The standard errors are those of means over the explained rows, the two runs
    taken as independent, and a total as known; a difference of normal means has the standard error
    ``sqrt(e1**2 + e2**2)`` and the 95 % interval of 1.96 of them. The p-values of a two-sided z
    test are adjusted for the number of tests by Benjamini and Hochberg's procedure
    (`scipy.stats.false_discovery_control`): of the differences that count, about one in twenty
    is expected to be chance. The errors know of the explained rows only: that another seed or
    another sample of training rows would have given another model, they do not know.

    Returns:
        ``feature``, ``run_id``, ``compared`` (``importance`` or ``share``), ``reference`` and
        ``value``, ``difference`` (value - reference), ``standard_error``, ``low``, ``high``,
        ``p_value``, ``p_adjusted``, ``differs`` (missing where there are no standard errors), and
        among the shared features ``rank_reference``, ``rank`` and ``rank_change`` (positive: up).
    """
    parts = [_difference(reference, run) for run in others]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    difference, error = columns["difference"], columns["standard_error"]
    p = _p_values(difference, error)
    adjusted = _adjusted(p)
    ranked = {name: columns.pop(name) for name in ("rank_reference", "rank")}
    ranked["rank_change"] = ranked["rank_reference"] - ranked["rank"]
    table = pd.DataFrame(
        {
            **columns,
            "low": difference - 1.96 * error,
            "high": difference + 1.96 * error,
            "p_value": p,
            "p_adjusted": adjusted,
            "differs": pd.array(adjusted < LEVEL, dtype="boolean"),
            **{name: pd.array(values, dtype="Int64") for name, values in ranked.items()},
        }
    )
    table["differs"] = table["differs"].mask(np.isnan(adjusted))
    return table


def _difference(reference: Importances, run: Importances) -> dict[str, npt.NDArray[Any]]:
    places = {name: i for i, name in enumerate(run.features)}
    shared = [name for name in reference.features if name in places]
    mine = np.flatnonzero([name in places for name in reference.features])
    its = np.asarray([places[name] for name in shared], dtype=int)
    a, b = finite(reference.values[mine]), finite(run.values[its])
    a_error, b_error = _errors(reference)[mine], _errors(run)[its]
    both = np.isfinite(a) & np.isfinite(b)
    compared = "importance"
    if reference.scale != run.scale:
        compared = "share"
        a, b = np.where(both, a, np.nan), np.where(both, b, np.nan)
        a_error, b_error = a_error / total(a), b_error / total(b)
        a, b = shares(a), shares(b)
    return {
        "feature": np.asarray(shared, dtype=object),
        "run_id": np.full(len(shared), run.run_id, dtype=object),
        "compared": np.full(len(shared), compared, dtype=object),
        "reference": a,
        "value": b,
        "difference": b - a,
        "standard_error": np.hypot(a_error, b_error),
        "rank_reference": ranks(np.where(both, a, np.nan)),
        "rank": ranks(np.where(both, b, np.nan)),
    }


def _p_values(difference: FloatArray, error: FloatArray) -> FloatArray:
    from scipy.stats import norm

    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(difference) / error
    z[(difference == 0) & (error == 0)] = 0.0  # two features that do nothing do not differ
    p: FloatArray = 2 * norm.sf(z)
    return p


def _adjusted(p: FloatArray) -> FloatArray:
    from scipy.stats import false_discovery_control

    adjusted = np.full(len(p), np.nan)
    known = np.isfinite(p)
    if known.any():
        adjusted[known] = false_discovery_control(p[known])
    return adjusted


def ranks(values: FloatArray) -> FloatArray:
    """``(F,)`` ranks from 1, ties sharing the best; NaN where a value is not finite."""
    known = np.isfinite(values)
    found = np.full(len(values), np.nan)
    rising = np.sort(values[known])
    found[known] = len(rising) - np.searchsorted(rising, values[known], side="right") + 1
    return found


def _errors(run: Importances) -> FloatArray:
    errors = run.errors
    return np.full(len(run.values), np.nan) if errors is None or not _has_errors(run) else errors


def _has_errors(run: Importances) -> bool:
    """Errors that are all 0 say nothing of importances that are not."""
    return run.errors is not None and bool(np.any(run.errors) or not np.any(run.values))
