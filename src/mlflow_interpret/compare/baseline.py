"""How far an explanation is from that of a baseline run; pure."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from mlflow_interpret.compare import significance, tables
from mlflow_interpret.core.explanation import Importances

TOP_K = 10
"""The top of a ranking, of which the overlap is told and among which features rise and fall."""

_LISTED = 30  # features of either ranking whose importances in the baseline are kept


def shift(current: Importances, baseline: Importances) -> dict[str, Any]:
    """How the ranking moved against a baseline, as plain JSON values.

    Returns:
        ``run_id``, ``run_name``, ``explanation_id``, ``model_class``, ``method`` and ``scale`` of
        the baseline; ``spearman``, ``kendall`` and ``top_k_overlap`` with its ``k``, over the
        ``shared_features``, None where they cannot be told, as of a single feature; ``riser`` and
        ``faller``, the features that rose and fell by the most ranks among those that are in the
        top ``k`` of either, or None; ``marks``: what to mind; ``importances``: those of the
        baseline, for the features on top of either ranking.
    """
    (pair,) = tables.agreement([baseline, current], TOP_K).to_dict("records")
    own = {
        run: tables.tidy([run]).set_index("feature").drop(columns="run_id")
        for run in (baseline, current)
    }
    moves = significance.differences(baseline, [current])
    moves = moves[(moves["rank"] <= pair["k"]) | (moves["rank_reference"] <= pair["k"])]
    if math.isnan(pair["spearman"]):  # importances that are all equal have no ranking
        moves = moves.iloc[:0]
    moves = moves.sort_values(["rank_change", "difference"])
    other_model = current.model_class != baseline.model_class
    return {
        "run_id": baseline.run_id,
        "run_name": baseline.run_name,
        "explanation_id": baseline.explanation_id,
        "model_class": baseline.model_class,
        "method": baseline.method,
        "scale": baseline.scale,
        **{name: _plain(pair[name]) for name in ("spearman", "kendall", "top_k_overlap")},
        "k": pair["k"],
        "shared_features": pair["shared_features"],
        "riser": _moved(moves.tail(1), 1, own[baseline], own[current]),
        "faller": _moved(moves.head(1), -1, own[baseline], own[current]),
        "marks": [
            *([f"other model: {current.model_class}"] if other_model else []),
            *tables.marks(baseline, current),
        ],
        "importances": _listed(own[baseline], own[current]),
    }


def _moved(
    move: pd.DataFrame, direction: int, before: pd.DataFrame, after: pd.DataFrame
) -> dict[str, Any] | None:
    if move.empty or int(move["rank_change"].iloc[0]) * direction <= 0:
        return None
    (row,) = move.to_dict("records")
    feature = row["feature"]
    return {
        "feature": feature,
        "rank_change": int(row["rank_change"]),
        "rank": int(row["rank"]),
        "baseline_rank": int(row["rank_reference"]),
        "share": _plain(after.loc[feature, "share"]),
        "baseline_share": _plain(before.loc[feature, "share"]),
    }


def _listed(before: pd.DataFrame, after: pd.DataFrame) -> list[dict[str, Any]]:
    wanted = {*before.index[:_LISTED], *after.index[:_LISTED]}
    table = before[before.index.isin(wanted)].reset_index()
    return [
        {key: value if key == "feature" else _plain(value) for key, value in row.items()}
        for row in table.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    """A number, None where it is missing or not finite."""
    if value is None or value is pd.NA or not math.isfinite(value):
        return None
    return (
        int(value) if float(value).is_integer() and not isinstance(value, float) else float(value)
    )
