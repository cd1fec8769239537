"""Comparison of a new explanation with that of a baseline run."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from mlflow_interpret.compare import significance, tables
from mlflow_interpret.core.explanation import Importances

TOP_K = 10
"""Number of top features whose overlap is computed, and among which features rise and fall."""

_MAX_LISTED = 30  # top features of either ranking whose baseline importances are stored


def compare_with_baseline(current: Importances, baseline: Importances) -> dict[str, Any]:
    """Compare the ranking of a new explanation with that of a baseline.

    Returns:
        Plain JSON values: ``run_id``, ``run_name``, ``explanation_id``, ``model_class``, ``method``
        and ``scale`` of the baseline; ``spearman``, ``kendall`` and ``top_k_overlap`` with its
        ``k``, over the ``shared_features``, None where they are undefined, as for a single feature;
        ``riser`` and ``faller``, the features that rose and fell by the most ranks among the top
        ``k`` of either ranking, or None; ``marks``, the caveats; ``importances``, those of the
        baseline for the top features of either ranking.
    """
    (agreement,) = tables.agreement_table([baseline, current], TOP_K).to_dict("records")
    before, after = (
        tables.importance_table([run]).set_index("feature").drop(columns=["name", "run_id"])
        for run in (baseline, current)
    )
    moves = significance.difference_table(baseline, [current])
    moves = moves[(moves["rank"] <= agreement["k"]) | (moves["rank_reference"] <= agreement["k"])]
    if math.isnan(agreement["spearman"]):  # constant importances have no ranking
        moves = moves.iloc[:0]
    moves = moves.sort_values(["rank_change", "difference"])
    is_other_model = current.model_class != baseline.model_class
    return {
        "run_id": baseline.run_id,
        "run_name": baseline.run_name,
        "explanation_id": baseline.explanation_id,
        "model_class": baseline.model_class,
        "method": baseline.method,
        "scale": baseline.scale,
        **{name: _to_json(agreement[name]) for name in ("spearman", "kendall", "top_k_overlap")},
        "k": agreement["k"],
        "shared_features": agreement["shared_features"],
        "riser": _move(moves.tail(1), 1, before, after),
        "faller": _move(moves.head(1), -1, before, after),
        "marks": [
            *([f"other model: {current.model_class}"] if is_other_model else []),
            *tables.marks(baseline, current),
        ],
        "importances": _baseline_importances(before, after),
    }


def _move(
    moves: pd.DataFrame, direction: int, before: pd.DataFrame, after: pd.DataFrame
) -> dict[str, Any] | None:
    """The rank change of a feature, or None if it is not in the given direction."""
    if moves.empty or int(moves["rank_change"].iloc[0]) * direction <= 0:
        return None
    (row,) = moves.to_dict("records")
    feature = row["feature"]
    return {
        "feature": feature,
        "rank_change": int(row["rank_change"]),
        "rank": int(row["rank"]),
        "baseline_rank": int(row["rank_reference"]),
        "share": _to_json(after.loc[feature, "share"]),
        "baseline_share": _to_json(before.loc[feature, "share"]),
    }


def _baseline_importances(before: pd.DataFrame, after: pd.DataFrame) -> list[dict[str, Any]]:
    listed = {*before.index[:_MAX_LISTED], *after.index[:_MAX_LISTED]}
    table = before[before.index.isin(listed)].reset_index()
    return [
        {key: value if key == "feature" else _to_json(value) for key, value in row.items()}
        for row in table.to_dict("records")
    ]


def _to_json(value: Any) -> Any:
    """The number, or None if it is missing or not finite."""
    if value is None or value is pd.NA or not math.isfinite(value):
        return None
    return (
        int(value) if float(value).is_integer() and not isinstance(value, float) else float(value)
    )
