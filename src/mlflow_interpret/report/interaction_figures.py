"""Figure and table rows of the interactions of pairs of features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import INTERVAL
from mlflow_interpret.core.text import format_number
from mlflow_interpret.report.figure_parts import (
    BLUE,
    axes_of,
    label_axis,
    label_rows,
    unit_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP_PAIRS = 15


def interactions(
    explanation: Explanation, top_k: int = TOP_PAIRS, ax: Axes | None = None
) -> Figure | None:
    """Draw the largest interactions as bars with 95 % intervals, the largest on top.

    Args:
        explanation: The explanation.
        top_k: Maximum number of pairs.
        ax: Axes to draw into. Default: those of a new figure.

    Returns:
        The figure, or None without interactions that differ from 0.
    """
    if explanation.interactions is None or not explanation.interactions.values.any():
        return None
    ranked = explanation.interactions.ranked()
    pairs = ranked[:top_k]
    figure, (axes,) = axes_of(ax, len(pairs))
    values = np.array([pair.interaction for pair in pairs])
    errors = np.array([pair.standard_error or 0.0 for pair in pairs])
    positions = list(range(len(pairs)))
    axes.barh(positions, values.tolist(), color=BLUE, height=0.72)
    above = INTERVAL * np.nan_to_num(errors)
    axes.errorbar(
        values.tolist(), positions, xerr=np.stack([np.minimum(above, values), above]), fmt="none",
        ecolor="#222222", elinewidth=1.2, capsize=2.5,
    )  # fmt: skip
    label_rows(axes, [f"{pair.feature_1} × {pair.feature_2}" for pair in pairs])  # noqa: RUF001
    axes.margins(x=0.05)
    axes.set_xlim(left=0)
    label_axis(axes, f"mean |interaction|{unit_of(explanation)}\nlines: 95 % intervals")
    kind = "sampled" if explanation.interactions.is_sampled else "exact"
    count = f"top {len(pairs)} of {len(ranked)} pairs" if len(pairs) < len(ranked) else (
        f"{len(pairs)} pairs" if len(pairs) > 1 else "1 pair"
    )  # fmt: skip
    title = f"Interactions ({kind}, {explanation.interactions.n_rows:,} rows), {count}"
    if ax is not None:
        axes.set_title(title, fontsize=10, parse_math=False)
    else:
        figure.suptitle(title, fontsize=10, x=0.01, horizontalalignment="left", parse_math=False)
    return figure


def interaction_rows(explanation: Explanation) -> list[dict[str, Any]]:
    """The largest interactions for the report; the widths of bars are percentages."""
    if explanation.interactions is None or not explanation.interactions.values.any():
        return []
    pairs = explanation.interactions.ranked()[:TOP_PAIRS]
    largest = max((pair.interaction for pair in pairs), default=0.0) or 1.0
    return [
        {
            "feature_1": pair.feature_1,
            "feature_2": pair.feature_2,
            "value": format_number(pair.interaction),
            "half_width": (
                "" if pair.standard_error is None
                else format_number(INTERVAL * pair.standard_error, 2)
            ),
            "share": f"{100 * pair.share:.1f} %",
            "width": f"{100 * pair.interaction / largest:.2f}",
        }
        for pair in pairs
    ]  # fmt: skip
