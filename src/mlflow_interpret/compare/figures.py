"""Slope chart and heat map of the importances of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlflow_interpret.compare.ranking import FeatureOrder, order_in_runs, run_labels, top_shares
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.core.text import format_percent, truncate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME_LENGTH = 32  # characters of a feature's name
# The palette of Okabe and Ito without its yellow, which has too little contrast on white.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
_UNCHANGED = "#B3AAB0"
_DARK = 0.47  # part of cividis on which white text has more contrast than black text
_MIN_WIDTH = 5.6  # inches, for the title
_MAX_LEVEL_LABEL = 16  # characters of a run's label that fit horizontally


def slope_chart(runs: Sequence[Importances], top_k: int) -> Figure:
    """Draw the order of the most important features in each run, with a line for each feature.

    Each column shows the features in the order of the run, with their ranks among all features of
    the run. A line is interrupted where a run lacks the feature.

    Args:
        runs: The runs, of which the first `MAX_DRAWN_RUNS` are drawn.
        top_k: Number of features: those with the largest mean share.

    Returns:
        A figure that is independent of pyplot.
    """
    title = "Ranks of the most important features"
    figure, axes, table = _figure_with_columns(runs, top_k, title, step=1.1, name_sides=2)
    order = order_in_runs(runs, top_k)
    n_columns = len(order.positions)
    for line, (color, style) in enumerate(_line_styles(order)):
        y = order.positions[:, line]
        axes.plot(range(n_columns), y, color=color, linestyle=style, linewidth=1.8, zorder=2)
        for x in np.flatnonzero(np.isfinite(y)):
            _draw_rank(axes, int(x), y[x], int(order.ranks[x, line]), color)
    names = [truncate(name, _NAME_LENGTH) for name in table.index]
    _label_lines(axes, order.positions, names)
    axes.set_xlim(0, max(n_columns - 1, 1))
    axes.set_ylim(order.last_position + 0.6, 0.4)
    figure.set_figheight(_height(order.last_position))
    return figure


def heat_map(runs: Sequence[Importances], top_k: int) -> Figure:
    """Draw the ranks of the most important features and their shares of the total of each run.

    Args:
        runs: The runs, of which the first `MAX_DRAWN_RUNS` are drawn.
        top_k: Number of features: those with the largest mean share.

    Returns:
        A figure that is independent of pyplot.
    """
    from matplotlib.colors import PowerNorm

    title = "Rank and share of each feature"
    figure, axes, table = _figure_with_columns(runs, top_k, title, step=0.78, name_sides=1)
    values, ranks = table.to_numpy(dtype=float), order_in_runs(runs, top_k).ranks.T
    largest = float(np.nanmax(values, initial=0)) or 1.0
    # The square root keeps small shares distinguishable beside a dominant feature.
    norm = PowerNorm(0.5, vmin=0, vmax=largest)
    image = axes.imshow(values, cmap="cividis", norm=norm, aspect="auto")
    for row, column in np.ndindex(*values.shape):
        share = values[row, column]
        is_known = bool(np.isfinite(share))
        text = f"{ranks[row, column]:.0f} · {format_percent(share, 0)}" if is_known else "-"
        color = "white" if is_known and norm(share) < _DARK else "black"
        axes.text(column, row, text, color=color, fontsize=7.5, ha="center", va="center")
    names = [truncate(name, _NAME_LENGTH) for name in table.index]
    axes.set_yticks(range(len(names)), labels=names, fontsize=9, parse_math=False)
    _add_color_bar(figure, axes, image, values.shape)
    figure.draw_without_rendering()  # a second pass makes room for tilted labels
    return figure


def _figure_with_columns(
    runs: Sequence[Importances], top_k: int, title: str, step: float, name_sides: int
) -> tuple[Figure, Axes, pd.DataFrame]:
    """A figure with a column for each drawn run, and the shares of the drawn features.

    Args:
        runs: The runs.
        top_k: Number of features.
        title: The title, to which the numbers of features and runs are added.
        step: Width of a column in inches.
        name_sides: Number of sides on which the names of the features are written.
    """
    from mlflow_interpret.rendering.figure import StandaloneFigure

    drawn_runs, table = top_shares(runs, top_k)
    n_features, n_columns = table.shape
    labels = run_labels(drawn_runs)
    is_tilted = n_columns > 2 or max(map(len, labels)) > _MAX_LEVEL_LABEL
    name_width = _text_width([truncate(name, _NAME_LENGTH) for name in table.index])
    right = max(name_width * (name_sides - 1), _text_width(labels[-1:]) if is_tilted else 0)
    width = 0.8 + name_width + right + step * max(n_columns, 3)
    figure = StandaloneFigure(max(width, _MIN_WIDTH), _height(n_features))
    axes: Any = figure.add_subplot()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _label_columns(axes, labels, is_tilted=is_tilted)
    _set_title(figure, title, table, runs, drawn_runs)
    return figure, axes, table


def _height(n_features: int) -> float:
    """Height in inches of a figure with a row for each feature."""
    return 1.9 + 0.34 * max(n_features, 3)


def _text_width(texts: list[str]) -> float:
    """Width in inches of the longest text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    measure, font = TextToPath().get_text_width_height_descent, FontProperties(size=9)
    return max((measure(text, font, ismath=False)[0] / 72 for text in texts), default=0.0)


def _label_columns(axes: Axes, labels: list[str], *, is_tilted: bool) -> None:
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(labels)), labels, parse_math=False)
    tilt = {"rotation": 30, "ha": "left"} if is_tilted else {}
    for label in axes.get_xticklabels():
        label.set(fontsize=9, rotation_mode="anchor", **tilt)


def _set_title(
    figure: Figure,
    title: str,
    table: pd.DataFrame,
    runs: Sequence[Importances],
    drawn_runs: Sequence[Importances],
) -> None:
    total = len({name for run in drawn_runs for name in run.features})
    features = f"{len(table)} of {total} features" if len(table) < total else f"{total} features"
    run_count = (
        f"first {len(drawn_runs)} of {len(runs):,} runs"
        if len(drawn_runs) < len(runs)
        else f"{len(runs)} runs"
    )
    figure.suptitle(f"{title} ({features}, {run_count})", fontsize=10, x=0.01, ha="left")


def _line_styles(order: FeatureOrder) -> list[tuple[str, str]]:
    """Color and line style of each feature: colors for those that move most, else gray."""
    changes = order.position_changes()
    moving = [i for i in np.argsort(-changes, kind="stable").tolist() if changes[i] > 0]
    available = [(color, style) for style in ("-", "--") for color in _PALETTE]
    styles = dict(zip(moving, available, strict=False))
    return [styles.get(line, (_UNCHANGED, "-")) for line in range(len(changes))]


def _draw_rank(axes: Axes, x: int, y: float, rank: int, color: str) -> None:
    box = {"boxstyle": "circle,pad=0.18", "facecolor": "white", "edgecolor": color}
    axes.text(x, y, str(rank), fontsize=7, ha="center", va="center", bbox=box, zorder=3)


def _label_lines(axes: Axes, positions: FloatArray, names: list[str]) -> None:
    """Write the names on the left in the order of the first run, on the right of the last."""
    right: Any = axes.secondary_yaxis("right")
    right.spines[:].set_visible(False)
    right.tick_params(length=0)
    for side, column in ((axes, positions[0]), (right, positions[-1])):
        present = np.flatnonzero(np.isfinite(column))
        labels = [names[i] for i in present]
        side.set_yticks(column[present], labels=labels, fontsize=9, parse_math=False)
        side.tick_params(axis="y", pad=12)  # the rank marks overlap the edge


def _add_color_bar(figure: Figure, axes: Axes, image: Any, shape: tuple[int, ...]) -> None:
    """Add the color bar below the map, since tilted labels leave no gap at its right."""
    n_rows, n_columns = shape
    bar_axes = axes.inset_axes((0.0, -0.55 / n_rows, min(1.0, 5 / n_columns), 0.3 / n_rows))
    bar = figure.colorbar(
        image,
        cax=bar_axes,
        orientation="horizontal",
        format=lambda share, _: f"{100 * share:.3g} %",
    )
    bar_axes.locator_params(nbins=4)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("share of the run's total", fontsize=8)
    bar.outline.set_visible(False)
