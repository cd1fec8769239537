"""Section of the report that compares an explanation with that of a baseline run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import rank
from mlflow_interpret.core.text import format_number, format_percent, truncate

_MAX_FEATURES = 15


def baseline_section(explanation: Explanation) -> dict[str, Any] | None:
    """Variables of the template for the section, or None if there is no baseline.

    Args:
        explanation: An explanation whose ``details.baseline`` is the result of
            `compare.baseline.compare_with_baseline`.
    """
    baseline = explanation.details.baseline
    if not isinstance(baseline, Mapping):
        return None
    facts = [
        ("Baseline", _run(baseline.get("run_name"), baseline.get("run_id"))),
        ("Baseline model", baseline.get("model_class")),
        ("Rank correlation", _correlations(baseline)),
        (
            f"Overlap of the top {baseline.get('k', '')}".strip(),
            format_percent(baseline.get("top_k_overlap")),
        ),
        ("Shared features", baseline.get("shared_features")),
        ("Largest riser", _rank_change(baseline.get("riser"))),
        ("Largest faller", _rank_change(baseline.get("faller"))),
    ]
    return {
        "facts": [(name, str(value)) for name, value in facts if value not in (None, "")],
        "marks": [str(mark) for mark in baseline.get("marks") or ()],
        "rows": _rows(explanation, baseline.get("importances") or ()),
    }


def _run(name: Any, run_id: Any) -> str:
    return f"{name} ({run_id})" if name and run_id else str(name or run_id or "")


def _correlations(baseline: Mapping[str, Any]) -> str:
    pairs = [("Spearman", baseline.get("spearman")), ("Kendall", baseline.get("kendall"))]
    return ", ".join(f"{name} {format_number(value)}" for name, value in pairs if value is not None)


def _rank_change(change: Any) -> str:
    if not isinstance(change, Mapping):
        return ""
    before, after = (format_percent(change.get(key)) for key in ("baseline_share", "share"))
    return (
        f"{truncate(change.get('feature', ''))}: rank {change.get('baseline_rank')} → "
        f"{change.get('rank')}, share {before} → {after}"
    )


def _rows(explanation: Explanation, baseline: Any) -> list[dict[str, Any]]:
    """Ranks and shares of the top features, in the explanation and in the baseline."""
    baseline_rows = {str(row.get("feature")): row for row in baseline}
    values = np.nan_to_num(explanation.global_values, posinf=0.0)
    total = float(values.sum()) or 1.0
    top = rank(explanation.global_values)[:_MAX_FEATURES]
    features = [explanation.features[i] for i in top]
    before = [baseline_rows.get(feature) or {} for feature in features]
    shares = [float(values[i]) / total for i in top]
    shares_before = [row.get("share") or 0.0 for row in before]
    longest = max([*shares, *shares_before], default=0.0) or 1.0
    return [
        {
            "name": features[i],
            "rank": i + 1,
            "rank_before": format_number(before[i].get("rank")) or "-",
            "share": format_percent(shares[i]),
            "share_before": format_percent(before[i].get("share")) or "-",
            "width": f"{100 * shares[i] / longest:.1f}",
            "width_before": f"{100 * shares_before[i] / longest:.1f}",
        }
        for i in range(len(features))
    ]
