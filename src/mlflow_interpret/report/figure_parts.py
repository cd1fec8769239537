"""Axes, titles, names and colors that the figures of an explanation share.

The colors are those of Okabe and Ito (https://jfly.uni-koeln.de/color/); color-blind readers can
distinguish them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.text import truncate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

TOP_K = 20
LINE_LENGTH = 40  # characters of a name on one line
BLUE, GRAY, VERMILION = "#0072B2", "#B3AAB0", "#D55E00"
STACK = (BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", VERMILION, "#F0E442")
_ROW_HEIGHT = 0.34  # inches; a name of two lines fits


def wrap_name(name: str, line_length: int = LINE_LENGTH) -> str:
    """Write a name on at most two lines, without its middle if it is longer."""
    text = truncate(name, 4 * line_length)
    lines = textwrap.wrap(text, line_length)
    if len(lines) > 2:
        lines = [f"{text[: line_length - 2].rstrip()} …", text[-line_length:].lstrip()]
    return "\n".join(lines)


def axes_of(
    ax: Axes | None, n_rows: int, n_panels: int = 1, label_height: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """The given axes, or those of a new figure.

    Args:
        ax: Axes of the user, or None.
        n_rows: Number of rows that the new figure has room for.
        n_panels: Number of axes side by side.
        label_height: Inches below the rows for labels.
    """
    if ax is not None:
        figure: Any = ax.figure
        return figure, [ax]
    from mlflow_interpret.rendering.figure import StandaloneFigure

    height = 1.3 + _ROW_HEIGHT * max(n_rows, 2) + label_height
    width = 8.0 + 2.2 * (n_panels - 1)
    figure = StandaloneFigure(width, height)
    return figure, list(figure.subplots(1, n_panels, sharey=True, squeeze=False)[0])


def label_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write the names of the features on the left, the first on top."""
    axes.set_yticks(range(len(names)), labels=[wrap_name(name) for name in names], fontsize=9,
                    parse_math=False)  # fmt: skip
    axes.set_ylim(len(names) - 0.4, -0.6)
    style_axes(axes)


def style_axes(axes: Axes) -> None:
    """Remove the frame and set the size of the tick labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)


def label_axis(axes: Axes, label: str) -> None:
    """Write a label below the axes."""
    axes.set_xlabel(label, fontsize=9, parse_math=False)


def set_title(
    figure: Figure, axes: Axes, ax: Axes | None, title: str, explanation: Explanation,
    n_drawn: int, details: str = "", noun: str = "features",
) -> None:  # fmt: skip
    """Set the title of the figure, or of the user's axes."""
    total = len(explanation.features)
    count = f"top {n_drawn} of {total} {noun}" if n_drawn < total else f"{total} {noun}"
    if total == 1:
        count = f"1 {noun.removesuffix('s')}"
    rows = explanation.details.rows
    row_count = (
        f", {rows.explained:,} of {rows.available:,} rows"
        if rows and rows.explained is not None
        else ""
    )
    text = f"{title} ({explanation.method}{row_count}{details}), {count}"
    if ax is not None:
        axes.set_title(text, fontsize=10, parse_math=False)
    else:
        figure.suptitle(text, fontsize=10, x=0.01, horizontalalignment="left", parse_math=False)


def unit_of(explanation: Explanation) -> str:
    """Return the scale of the output in parentheses, as a unit behind a label."""
    scale = explanation.details.output_scale
    return f" ({scale})" if scale else ""


def add_color_bar(figure: Figure, mappable: Any, all_axes: list[Axes], n_rows: int) -> Colorbar:
    """Add a color bar whose width does not depend on the height of the figure."""
    aspect = _ROW_HEIGHT * max(n_rows, 2) / 0.13
    return figure.colorbar(mappable, ax=all_axes, aspect=aspect, pad=0.01)
