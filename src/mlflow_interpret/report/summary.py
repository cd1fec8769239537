"""A few lines of HTML about an explanation, as output of a notebook."""

from __future__ import annotations

import numpy as np

from mlflow_interpret.core.directions import direction_of
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import rank, shares
from mlflow_interpret.core.text import format_number, format_percent
from mlflow_interpret.rendering import html
from mlflow_interpret.report.description import origin, summary

_TOP = 10


def render_summary(explanation: Explanation) -> str:
    """Return a sentence and the leading features as HTML without a script."""
    values, parts = explanation.global_values, shares(explanation.global_values)
    largest = float(np.nanmax(parts, initial=0.0)) or 1.0
    rows = []
    for i in rank(values)[:_TOP]:
        direction = direction_of(explanation.details.directions, explanation.features[i])
        share = float(np.nan_to_num(parts[i]))
        rows.append(
            {
                "name": explanation.features[i],
                "importance": format_number(float(values[i])),
                "share": format_percent(float(parts[i]), 0),
                "width": round(100 * share / largest),
                "direction": "" if direction is None else direction.text,
            }
        )
    n_others = len(values) - len(rows)
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
