"""Importances of several runs as figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlflow_interpret.compare.ranking import labels_of, order_in_runs, top_shares
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.core.text import truncate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME = 32  # characters of a feature's name
# The palette of Okabe and Ito without its yellow, which is hardly seen on white.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
_STEADY = "#B3AAB0"
_DARK = 0.47  # of cividis: below, white is read better than black
_TITLE = 5.6  # inches
_LEVEL = 16  # characters of a run's name that has room above its column


def slope_chart(runs: Sequence[Importances], top_k: int) -> Figure:
    """The order of the most important features in each run, a line for each feature.

    A run's column holds the drawn features in their order in that run, each with its rank among
    all features of the run; a line ends where a run lacks the feature.

    Args:
        runs: The runs, of which the first `MOST_RUNS` are drawn.
        top_k: So many features are drawn: those with the largest mean share.

    Returns:
        A figure that belongs to no window and no global state of matplotlib.
    """
    figure, axes, table = _frame(runs, top_k, "Ranks of the most important features", 1.1, sides=2)
    order = order_in_runs(runs, top_k)
    places = order.places
    columns = len(places)
    for line, kind in enumerate(order.colours):
        colour, style = _look(kind)
        y = places[:, line]
        axes.plot(range(columns), y, color=colour, linestyle=style, linewidth=1.8, zorder=2)
        for x in np.flatnonzero(np.isfinite(y)):
            _rank_mark(axes, int(x), y[x], int(order.ranks[x, line]), colour)
    _name_sides(axes, places, [truncate(name, _NAME) for name in table.index])
    axes.set_xlim(0, max(columns - 1, 1))
    axes.set_ylim(order.deepest + 0.6, 0.4)
    figure.set_figheight(_height(order.deepest))
    return figure


def heat_map(runs: Sequence[Importances], top_k: int) -> Figure:
    """The shares of the most important features in each run's total, with their ranks.

    Args:
        runs: The runs, of which the first `MOST_RUNS` are drawn.
        top_k: So many features are drawn: those with the largest mean share.

    Returns:
        A figure that belongs to no window and no global state of matplotlib.
    """
    from matplotlib.colors import PowerNorm

    figure, axes, table = _frame(runs, top_k, "Rank and share of each feature", 0.78, sides=1)
    values, ranks = table.to_numpy(dtype=float), order_in_runs(runs, top_k).ranks.T
    top = float(np.nanmax(values, initial=0)) or 1.0
    norm = PowerNorm(0.5, vmin=0, vmax=top)  # one feature that dominates leaves the others visible
    image = axes.imshow(values, cmap="cividis", norm=norm, aspect="auto")
    for line, x in np.ndindex(*values.shape):
        share, known = values[line, x], np.isfinite(values[line, x])
        text = f"{ranks[line, x]:.0f} · {_percent(share)}" if known else "-"
        colour = "white" if known and norm(share) < _DARK else "black"
        axes.text(x, line, text, color=colour, fontsize=7.5, ha="center", va="center")
    names = [truncate(name, _NAME) for name in table.index]
    axes.set_yticks(range(len(names)), labels=names, fontsize=9, parse_math=False)
    _colour_bar(figure, axes, image, values.shape)
    figure.draw_without_rendering()  # the layout finds room for tilted names in its second go
    return figure


def _height(lines: int) -> float:
    """Inches of a figure with room for so many features below each other."""
    return 1.9 + 0.34 * max(lines, 3)


def _percent(share: float) -> str:
    return "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def _look(kind: str) -> tuple[str, str]:
    if not kind:
        return _STEADY, "-"
    return _PALETTE[int(kind[1])], "--" if kind.endswith("dashed") else "-"


def _frame(
    runs: Sequence[Importances], top_k: int, title: str, step: float, sides: int
) -> tuple[Figure, Axes, pd.DataFrame]:
    """A figure with a column for each drawn run and room for the features, and their shares.

    Args:
        runs: The runs.
        top_k: So many features are drawn.
        title: What the figure shows.
        step: Inches from run to run.
        sides: On so many sides stand the names of the features.
    """
    from mlflow_interpret.rendering.figure import Picture

    drawn, table = top_shares(runs, top_k)
    lines, columns = table.shape
    names = labels_of(drawn)
    tilted = columns > 2 or max(map(len, names)) > _LEVEL
    beside = _width([truncate(name, _NAME) for name in table.index])
    beyond = max(beside * (sides - 1), _width(names[-1:]) if tilted else 0)
    width = 0.8 + beside + beyond + step * max(columns, 3)
    figure = Picture(max(width, _TITLE), _height(lines))
    axes: Any = figure.add_subplot()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _name_columns(axes, names, tilted=tilted)
    _title(figure, title, table, runs, drawn)
    return figure, axes, table


def _width(names: list[str]) -> float:
    """Inches of the longest name."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    measure, font = TextToPath().get_text_width_height_descent, FontProperties(size=9)
    return max((measure(name, font, ismath=False)[0] / 72 for name in names), default=0.0)


def _name_columns(axes: Axes, names: list[str], *, tilted: bool) -> None:
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(names)), names, parse_math=False)
    tilt = {"rotation": 30, "ha": "left"} if tilted else {}
    for label in axes.get_xticklabels():
        label.set(fontsize=9, rotation_mode="anchor", **tilt)


def _colour_bar(figure: Figure, axes: Axes, image: Any, cells: tuple[int, ...]) -> None:
    """Below the map, where the tilted names leave no gap between both."""
    lines, columns = cells
    place = axes.inset_axes((0.0, -0.55 / lines, min(1.0, 5 / columns), 0.3 / lines))
    bar = figure.colorbar(
        image, cax=place, orientation="horizontal", format=lambda share, _: f"{100 * share:.3g} %"
    )
    place.locator_params(nbins=4)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("share of the run's total", fontsize=8)
    bar.outline.set_visible(False)


def _rank_mark(axes: Axes, x: int, y: float, rank: int, colour: str) -> None:
    box = {"boxstyle": "circle,pad=0.18", "facecolor": "white", "edgecolor": colour}
    axes.text(x, y, str(rank), fontsize=7, ha="center", va="center", bbox=box, zorder=3)


def _name_sides(axes: Axes, places: FloatArray, names: list[str]) -> None:
    """Each name beside its line: on the left by the first run's order, on the right by the last."""
    right: Any = axes.secondary_yaxis("right")
    right.spines[:].set_visible(False)
    right.tick_params(length=0)
    for side, column in ((axes, places[0]), (right, places[-1])):
        here = np.flatnonzero(np.isfinite(column))
        side.set_yticks(column[here], labels=[names[i] for i in here], fontsize=9, parse_math=False)
        side.tick_params(axis="y", pad=12)  # the marks stand on the edge


def _title(
    figure: Figure,
    what: str,
    table: pd.DataFrame,
    runs: Sequence[Importances],
    drawn: Sequence[Importances],
) -> None:
    total = len({name for run in drawn for name in run.features})
    of_features = f"{len(table)} of {total} features" if len(table) < total else f"{total} features"
    of_runs = (
        f"first {len(drawn)} of {len(runs):,} runs"
        if len(drawn) < len(runs)
        else f"{len(runs)} runs"
    )
    figure.suptitle(f"{what} ({of_features}, {of_runs})", fontsize=10, x=0.01, ha="left")
