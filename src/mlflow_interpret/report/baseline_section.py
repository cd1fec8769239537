"""The section of the report that sets an explanation beside that of a baseline run; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import rank
from mlflow_interpret.core.text import format_number, truncate

_LISTED = 15  # features that are set beside each other


def section(explanation: Explanation) -> dict[str, Any] | None:
    """What the template shows, or None where there is no baseline.

    Args:
        explanation: One whose ``details["baseline"]`` is what `comparing.shifts.shift` returns.
    """
    found = explanation.details.baseline
    if not isinstance(found, Mapping):
        return None
    facts = [
        ("Baseline", _named(found.get("run_name"), found.get("run_id"))),
        ("Its model", found.get("model_class")),
        ("Rank correlation", _correlation(found)),
        (f"Shared among the top {found.get('k', '')}".strip(), _share(found.get("top_k_overlap"))),
        ("Features in both", found.get("shared_features")),
        ("Largest riser", _move(found.get("riser"))),
        ("Largest faller", _move(found.get("faller"))),
    ]
    return {
        "facts": [(name, str(value)) for name, value in facts if value not in (None, "")],
        "marks": [str(mark) for mark in found.get("marks") or ()],
        "rows": _rows(explanation, found.get("importances") or ()),
    }


def _named(name: Any, run_id: Any) -> str:
    return f"{name} ({run_id})" if name and run_id else str(name or run_id or "")


def _correlation(found: Mapping[str, Any]) -> str:
    pairs = [("Spearman", found.get("spearman")), ("Kendall", found.get("kendall"))]
    return ", ".join(f"{name} {format_number(value)}" for name, value in pairs if value is not None)


def _share(value: Any) -> str:
    return "" if value is None else f"{100 * float(value):.1f} %"


def _move(moved: Any) -> str:
    if not isinstance(moved, Mapping):
        return ""
    name = truncate(moved.get("feature", ""))
    ranks = f"rank {moved.get('baseline_rank')} → {moved.get('rank')}"
    shares = f"{_share(moved.get('baseline_share'))} → {_share(moved.get('share'))}"
    return f"{name}: {ranks}, share {shares}"


def _rows(explanation: Explanation, baseline: Any) -> list[dict[str, Any]]:
    """Ranks and shares of the features on top, now and in the baseline."""
    before = {str(row.get("feature")): row for row in baseline}
    values = np.nan_to_num(explanation.global_values, posinf=0.0)
    total = float(values.sum()) or 1.0
    order = rank(explanation.global_values)[:_LISTED]
    shares = [(values[i] / total, (before.get(explanation.features[i]) or {})) for i in order]
    longest = max([max(now, old.get("share") or 0.0) for now, old in shares], default=0.0) or 1.0
    return [
        {
            "name": explanation.features[i],
            "rank": position,
            "rank_before": format_number(old.get("rank")) or "-",
            "share": _share(now),
            "share_before": _share(old.get("share")) or "-",
            "width": f"{100 * now / longest:.1f}",
            "width_before": f"{100 * (old.get('share') or 0.0) / longest:.1f}",
        }
        for position, (i, (now, old)) in enumerate(zip(order, shares, strict=True), start=1)
    ]
