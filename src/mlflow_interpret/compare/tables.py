"""Tables of the importances of several runs; the first run is the reference."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.compare.run_facts import (
    MAX_METRICS,
    MAX_PARAMS,
    differing_params,
    metric_names,
    run_names,
)
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.statistics import FloatArray, finite, shares
from mlflow_interpret.core.text import truncate

MAX_RUNS_IN_PAIRS = 100
"""With more runs, each run is compared with the first one only."""


def importance_table(runs: Sequence[Importances]) -> pd.DataFrame:
    """One row for each run and feature: importance, share, rank and standard error."""
    position = np.repeat(range(len(runs)), [len(run.features) for run in runs])
    columns = {
        "feature": [name for run in runs for name in run.features],
        "name": np.asarray(run_names(runs), dtype=object)[position],
        "run_id": np.asarray([run.run_id for run in runs], dtype=object)[position],
        "importance": np.concatenate([run.values for run in runs]),
        "share": np.concatenate([shares(run.values) for run in runs]),
        "rank": np.concatenate([feature_ranks(run.values) for run in runs]),
        "standard_error": np.concatenate([errors_of(run) for run in runs]),
    }
    table = pd.DataFrame(columns)
    table["rank"] = table["rank"].astype("Int64")
    order = np.lexsort((columns["rank"], position))  # NaN comes last
    return table.iloc[order].reset_index(drop=True)


def run_table(runs: Sequence[Importances]) -> pd.DataFrame:
    """One row for each run: facts, caveats for the comparison with the first, metrics, params."""
    return pd.DataFrame(
        {
            "name": run_names(runs),
            "run_id": [run.run_id for run in runs],
            "model_class": [run.model_class for run in runs],
            "method": [run.method for run in runs],
            "scale": [run.scale for run in runs],
            "rows": _row_counts(runs, "explained"),
            "rows_of": _row_counts(runs, "available"),
            "rows_source": [run.rows.source for run in runs],
            "features": [len(run.features) for run in runs],
            "explanation_id": [run.explanation_id for run in runs],
            "marks": ["; ".join(_marks_with_remedy(runs[0], run)) for run in runs],
            **{
                f"metrics.{name}": [run.metrics.get(name, math.nan) for run in runs]
                for name in metric_names(runs)[:MAX_METRICS]
            },
            **{
                f"params.{name}": [run.params.get(name) for run in runs]
                for name in differing_params(runs)[:MAX_PARAMS]
            },
        }
    )


def _row_counts(runs: Sequence[Importances], key: str) -> Any:
    return pd.array([getattr(run.rows, key) for run in runs], dtype="Int64")


def _marks_with_remedy(reference: Importances, run: Importances) -> tuple[str, ...]:
    run_marks = marks(reference, run)
    is_comparable = set(run.features) & set(reference.features)
    return run_marks if is_comparable else (*run_marks, "name another run first")


def marks(reference: Importances, run: Importances) -> tuple[str, ...]:
    """Caveats for a run: how it differs from the reference, and problems of its own."""
    result = [] if run is reference else _marks_against(reference, run)
    if run.in_run > 1:
        result.append(f"the latest of {run.in_run} explanations in its run")
    n_unknown = int(np.sum(~np.isfinite(run.values)))
    if n_unknown:
        result.append(f"{n_unknown} of {len(run.values)} importances are not finite")
    if n_unknown < len(run.values) and not np.any(run.values[np.isfinite(run.values)]):
        result.append("all importances are 0")
    if not has_errors(run):
        result.append("no standard errors")
    return tuple(result)


def _marks_against(reference: Importances, run: Importances) -> list[str]:
    result = []
    features, expected = set(run.features), set(reference.features)
    if not features & expected:
        return [f"shares no feature with {reference.run_name}"]
    if features != expected:
        result.append(
            f"other features: {len(features - expected)} more, {len(expected - features)} missing"
        )
    result += _group_marks(reference, run)
    if run.scale != reference.scale:
        result.append(f"other scale: {run.scale or 'unknown'}")
    outputs, expected = set(run.output_names or ()), set(reference.output_names or ())
    if outputs and expected and outputs != expected:
        result.append(
            f"other classes: {len(outputs - expected)} more, {len(expected - outputs)} missing"
        )
    if run.method != reference.method:
        result.append(f"other method: {run.method}")
    rows = _row_mark(reference, run)
    return [*result, rows] if rows else result


def _group_marks(reference: Importances, run: Importances) -> list[str]:
    """Caveats for groups that have other columns in the run."""
    result = []
    for group, expected in (reference.groups or {}).items():
        columns = set((run.groups or {}).get(group, expected))
        if columns != set(expected):
            counts = f"{len(columns - set(expected))} more, {len(set(expected) - columns)} missing"
            result.append(f"other columns in {truncate(group, 40)}: {counts}")
    return result


def _row_mark(reference: Importances, run: Importances) -> str | None:
    digests, expected = run.row_digests, reference.row_digests
    if digests is not None and expected is not None:
        shared = digests.keys() & expected.keys()
        if all(digests[name] == expected[name] for name in shared):
            return None
    elif _row_facts(run) == _row_facts(reference):
        return "perhaps other rows: the runs do not say which"
    explained, available, source = _row_facts(run)
    count = "" if explained is None else f": {explained:,} of {available or explained:,}"
    return f"other rows{count}{f' {source}' if source else ''}"


def _row_facts(run: Importances) -> tuple[Any, Any, Any]:
    return run.rows.explained, run.rows.available, run.rows.source


def agreement_table(runs: Sequence[Importances], top_k: int) -> pd.DataFrame:
    """Agreement of the rankings of pairs of runs, over the features that both runs have.

    Spearman's and Kendall's rank correlations (tau-b, which handles ties) are computed by pandas.
    The overlap is the share of the ``k`` most important features that two runs have in common. To
    be informative, ``k`` is at most half of the shared features, and at most the number of features
    with a nonzero importance in the run that has fewer of them.

    Args:
        runs: The runs. With more than `MAX_RUNS_IN_PAIRS`, each is compared with the first only.
        top_k: The largest ``k``.
    """
    matrix = _importance_matrix(runs)
    pairs = (
        list(combinations(range(len(runs)), 2))
        if len(runs) <= MAX_RUNS_IN_PAIRS
        else [(0, other) for other in range(1, len(runs))]
    )
    values, names = matrix.to_numpy(), run_names(runs)
    spearman, kendall = (_correlations(matrix, method) for method in ("spearman", "kendall"))
    rows = []
    for a, b in pairs:
        is_shared = np.isfinite(values[:, a]) & np.isfinite(values[:, b])
        k, overlap = top_overlap(values[is_shared, a], values[is_shared, b], top_k)
        ids = (names[a], names[b], runs[a].run_id, runs[b].run_id)
        rows.append((*ids, spearman[a, b], kendall[a, b], overlap, k, int(is_shared.sum())))
    columns = [
        "name_a", "name_b", "run_a", "run_b", "spearman", "kendall", "top_k_overlap", "k",
        "shared_features",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _importance_matrix(runs: Sequence[Importances]) -> pd.DataFrame:
    """``(F, N)`` importances; NaN where a run lacks the feature or its importance is not finite."""
    columns = [pd.Series(finite(run.values), index=list(run.features)) for run in runs]
    matrix = pd.concat(columns, axis=1)
    matrix.columns = range(len(runs))
    return matrix


def _correlations(matrix: pd.DataFrame, method: str) -> npt.NDArray[np.float64]:
    """``(N, N)`` rank correlations, or at least the first row where there are too many pairs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant importances have no ranking, which gives NaN
        # Older versions of pandas are slow at Kendall's correlation of many pairs.
        if matrix.shape[1] <= MAX_RUNS_IN_PAIRS or method == "spearman":
            correlations = np.asarray(matrix.corr(method, min_periods=2))
        else:
            correlations = np.asarray([matrix.corrwith(matrix[0], method=method)])
    return correlations.round(12)  # 1.0 for equal rankings, not 0.9999999999999999


def top_overlap(a: FloatArray, b: FloatArray, top_k: int) -> tuple[int, float]:
    """``k``, and the share of the ``k`` largest of ``(F,)`` values that both runs have in common.

    A feature with the importance 0 is never among the top features. ``k`` is therefore bounded by
    the number of nonzero values in the run that has fewer of them; if it has none, the overlap with
    a run that has some is 0.
    """
    fewer, more = sorted(int(np.count_nonzero(values)) for values in (a, b))
    k = min(top_k, math.ceil(len(a) / 2), max(fewer, min(more, 1)))
    if k == 0:
        return 0, math.nan
    tops = [set(np.argsort(-values, kind="stable")[:k].tolist()) for values in (a, b)]
    return k, len(tops[0] & tops[1]) / k if fewer else 0.0


def feature_ranks(values: FloatArray) -> FloatArray:
    """``(F,)`` ranks from 1; ties share the best rank, and values that are not finite have none."""
    ranks = pd.Series(finite(values)).rank(method="min", ascending=False)
    return np.asarray(ranks, dtype=np.float64)


def errors_of(run: Importances) -> FloatArray:
    """``(F,)`` standard errors; NaN where they are unknown."""
    errors = run.errors
    return np.full(len(run.values), np.nan) if errors is None or not has_errors(run) else errors


def has_errors(run: Importances) -> bool:
    """Whether the standard errors are known: all zeros mean nothing if the importances do not."""
    return run.errors is not None and bool(np.any(run.errors) or not np.any(run.values))
