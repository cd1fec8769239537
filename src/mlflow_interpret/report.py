"""An explanation as figures; pure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from mlflow_interpret.records import Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BARS = 20
_LINE = 40  # characters of a name on one line
_COLOUR = "#0072B2"  # blue of the Okabe-Ito palette, told apart by colour-blind readers


def bar_chart(explanation: Explanation, top_k: int = _BARS) -> Figure:
    """The global importances as a horizontal bar chart, most important on top.

    Args:
        explanation: The explanation to draw.
        top_k: At most so many bars.

    Returns:
        A figure that belongs to no window and no global state of matplotlib.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = explanation.ranked()[:top_k]
    names = [short_name(name) for name, _ in shown]
    height = 1.2 + 0.34 * max(len(shown), 2)  # inches: a bar is as high as a name of two lines
    figure = Figure(figsize=(8.0, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    positions = range(len(shown))
    bars = axes.barh(positions, [value for _, value in shown], color=_COLOUR)
    axes.bar_label(bars, labels=[f"{value:.3g}" for _, value in shown], padding=3, fontsize=8)
    axes.set_yticks(positions, labels=names, fontsize=9, parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    scale = explanation.details.get("output_scale")
    unit = f" ({scale})" if scale else ""
    axes.set_xlabel(f"mean |contribution| to the model's output{unit}")
    total = len(explanation.features)
    count = f"top {len(shown)} of {total} features" if len(shown) < total else f"{total} features"
    rows = explanation.details.get("rows")
    of = f", {rows['explained']:,} of {rows['available']:,} rows" if rows else ""
    title = f"Global importance ({explanation.method}{of}), {count}"
    figure.suptitle(title, fontsize=10, x=0.01, horizontalalignment="left")
    return figure


def short_name(name: str) -> str:
    """A feature name on at most two lines, its middle left out where it is longer."""
    clean = "".join(c if c.isprintable() else " " for c in name).strip() or "(no name)"
    lines = textwrap.wrap(clean, _LINE)
    if len(lines) > 2:
        lines = [f"{clean[: _LINE - 2].rstrip()} …", clean[-_LINE:].lstrip()]
    return "\n".join(lines)
