"""Figures of an explanation: importances, beeswarm and importances by class."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.group_views import by_group
from mlflow_interpret.core.statistics import INTERVAL, FloatArray, rank
from mlflow_interpret.core.text import format_number, truncate
from mlflow_interpret.report.figure_parts import (
    BLUE,
    LINE_LENGTH,
    STACK,
    TOP_K,
    add_color_bar,
    axes_of,
    label_axis,
    label_rows,
    set_title,
    unit_of,
    wrap_name,
)
from mlflow_interpret.report.interaction_figures import interactions
from mlflow_interpret.report.row_figures import beeswarm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["beeswarm", "groups", "importances", "interactions", "per_class"]

_MAX_HEAT_MAP_CLASSES = 30
_MAX_UPRIGHT_LABEL = 3  # characters of a class label that fit horizontally below a cell
_CHARACTER_HEIGHT = 0.06  # inches that a character of a vertical label takes


def importances(explanation: Explanation, top_k: int = TOP_K, ax: Axes | None = None) -> Figure:
    """Draw the global importances as bars with 95 % intervals, the most important on top.

    Args:
        explanation: The explanation.
        top_k: Maximum number of bars.
        ax: Axes to draw into. Default: those of a new figure.

    Returns:
        The figure; a new one is independent of pyplot.
    """
    figure, axes, n_drawn = _draw_importances(explanation, top_k, ax)
    set_title(figure, axes, ax, "Global importance", explanation, n_drawn)
    return figure


def groups(explanation: Explanation, top_k: int = TOP_K, ax: Axes | None = None) -> Figure | None:
    """Draw the importances of groups of features, and of the features in no group.

    Returns:
        The figure, or None if there are no groups.
    """
    if explanation.groups is None:
        return None
    view = by_group(explanation)
    figure, axes, n_drawn = _draw_importances(view, top_k, ax)
    n_groups, n_names = len(explanation.groups.columns), len(view.features)
    noun = "groups" if n_groups == n_names else "groups and single features"
    set_title(figure, axes, ax, "Importance by group", view, n_drawn, noun=noun)
    return figure


def _draw_importances(
    explanation: Explanation, top_k: int, ax: Axes | None
) -> tuple[Figure, Axes, int]:
    """Draw the bars; returns their figure, axes and number."""
    order = rank(explanation.global_values)[:top_k]
    figure, (axes,) = axes_of(ax, len(order))
    values = explanation.global_values[order]
    positions = list(range(len(order)))
    axes.barh(positions, values.tolist(), color=BLUE, height=0.72)
    errors = explanation.standard_errors()
    ends = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    if errors is not None:
        half_widths = INTERVAL * np.nan_to_num(errors[order], posinf=0.0)
        below = np.minimum(half_widths, np.abs(ends))  # importances are not negative
        ends = ends + half_widths
        axes.errorbar(
            values.tolist(), positions, xerr=np.stack([below, half_widths]), fmt="none",
            ecolor="#222222", elinewidth=1.2, capsize=2.5,
        )  # fmt: skip
    for position, end, value in zip(positions, ends, values, strict=True):
        label = axes.annotate(format_number(float(value)), (end, position), (4, 0),
                              textcoords="offset points", va="center", fontsize=8)  # fmt: skip
        # The layout would measure every label, and only the outermost can leave the axes.
        label.set_in_layout(bool(end == ends.max()))
    label_rows(axes, [explanation.features[i] for i in order])
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    interval = "" if errors is None else "\nlines: 95 % intervals"
    label_axis(axes, f"mean |contribution|{unit_of(explanation)}{interval}")
    return figure, axes, len(order)


def per_class(
    explanation: Explanation, top_k: int = TOP_K, ax: Axes | None = None
) -> Figure | None:
    """Draw the importances by class: stacked bars for up to seven classes, else a heat map.

    The targets of a regression may have different units, so their importances are drawn as shares
    of the total of each target.

    Returns:
        The figure, or None if there are no classes, or two classes with equal importances.
    """
    values = explanation.per_class_values
    if values is None or explanation.output_names is None or explanation.is_mirrored:
        return None
    has_targets = explanation.classes is None
    if has_targets:
        sums = np.nansum(values, axis=1, keepdims=True)
        values = np.divide(100 * values, sums, out=np.zeros_like(values), where=sums > 0)
    order = rank(np.nan_to_num(values.mean(axis=0)) if has_targets else explanation.global_values)
    order = order[:top_k]
    labels = [wrap_name(str(label)) for label in explanation.output_names]
    unit = "share of the target's importances (%)" if has_targets else (
        f"mean |contribution|{unit_of(explanation)}"
    )  # fmt: skip
    kind = explanation.output_kind
    if len(labels) <= len(STACK):
        figure, (axes,) = axes_of(ax, len(order))
        _draw_stacked_bars(axes, values[:, order], labels, unit, kind)
    else:
        labels = [truncate(label, LINE_LENGTH) for label in labels]
        cells, labels = _largest_classes(values, labels, order)
        longest = max(map(len, labels))
        label_height = _CHARACTER_HEIGHT * longest if longest > _MAX_UPRIGHT_LABEL else 0.0
        figure, (axes,) = axes_of(ax, len(order), label_height=label_height)
        _draw_heat_map(figure, axes, cells, labels, unit, kind)
    label_rows(axes, [explanation.features[i] for i in order])
    set_title(figure, axes, ax, f"Importance by {kind}", explanation, len(order))
    return figure


def _draw_stacked_bars(
    axes: Axes, values: FloatArray, labels: list[str], unit: str, kind: str
) -> None:
    left = np.zeros(values.shape[1])
    for row, label, color in zip(values, labels, STACK, strict=False):
        widths = np.nan_to_num(row, posinf=0.0)
        axes.barh(np.arange(len(row)), widths, left=left, color=color, label=label, height=0.72)
        left = left + widths
    legend = axes.legend(
        title=kind, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, title_fontsize=8,
        alignment="left", frameon=False,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    label_axis(axes, f"{unit}, stacked")


def _largest_classes(
    values: FloatArray, labels: list[str], order: Any
) -> tuple[FloatArray, list[str]]:
    """The classes with the largest importances, and the mean of the others in the last row."""
    if len(labels) <= _MAX_HEAT_MAP_CLASSES:
        return values[:, order], labels
    ranked = rank(np.nan_to_num(values.sum(axis=1)))
    largest = np.sort(ranked[: _MAX_HEAT_MAP_CLASSES - 1])
    others = ranked[_MAX_HEAT_MAP_CLASSES - 1 :]
    cells = np.vstack([values[largest], values[others].mean(axis=0)])
    return cells[:, order], [*(labels[i] for i in largest), f"mean of {len(others)} others"]


def _draw_heat_map(
    figure: Figure, axes: Axes, values: FloatArray, labels: list[str], unit: str, kind: str
) -> None:
    # Color-blind readers can distinguish cividis (https://doi.org/10.1371/journal.pone.0199239).
    image = axes.imshow(
        np.where(np.isfinite(values.T), values.T, np.nan), aspect="auto", cmap="cividis"
    )
    rotation = 0 if max(map(len, labels)) <= _MAX_UPRIGHT_LABEL else 90
    axes.set_xticks(range(len(labels)), labels=labels, rotation=rotation, fontsize=8,
                    parse_math=False)  # fmt: skip
    label_axis(axes, kind)
    bar = add_color_bar(figure, image, [axes], values.shape[1])
    bar.set_label(textwrap.fill(unit, 24), fontsize=8)
    bar.ax.tick_params(labelsize=8)
