"""A few lines of HTML about an explanation, as output of a notebook."""

from __future__ import annotations

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.importance_tables import ranked_features
from mlflow_interpret.core.statistics import shares
from mlflow_interpret.core.text import format_number, format_percent
from mlflow_interpret.rendering import html
from mlflow_interpret.report.description import origin, summary

_TOP = 10


def render_summary(explanation: Explanation) -> str:
    """Return a sentence and the leading features as HTML without a script."""
    largest = float(np.nanmax(shares(explanation.global_values), initial=0.0)) or 1.0
    rows = [
        {
            "name": feature.name,
            "importance": format_number(feature.importance),
            "share": format_percent(feature.share, 0),
            "width": round(100 * float(np.nan_to_num(feature.share)) / largest),
            "direction": feature.direction,
        }
        for feature in ranked_features(explanation, _TOP)
    ]
    n_others = len(explanation.features) - len(rows)
    return html.render_fragment(
        "mlflow_interpret.report",
        "summary.html",
        {
            "sentence": summary(explanation),
            "rows": rows,
            "others": f"and {n_others:,} more features" if n_others else "",
            "origin": origin(explanation),
        },
    )
