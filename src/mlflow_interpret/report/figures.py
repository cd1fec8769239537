"""Figures of an explanation: importances, beeswarm and importances by class.

The colors are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), and cividis for the heat
map (https://doi.org/10.1371/journal.pone.0199239); color-blind readers can distinguish both.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import INTERVAL, FloatArray, rank, sample_rows
from mlflow_interpret.core.text import format_number, truncate
from mlflow_interpret.report import distributions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

_TOP_K = 20
_ROW_HEIGHT = 0.34  # inches; a name of two lines fits
_LINE_LENGTH = 40  # characters of a name on one line
_MAX_POINTS = 20_000  # in a beeswarm
_MAX_POINT_ROWS = 1000
_MAX_PANELS = 3  # classes in a beeswarm
_MAX_HEAT_MAP_CLASSES = 30
_MAX_UPRIGHT_LABEL = 3  # characters of a class label that fit horizontally below a cell
_CHARACTER_HEIGHT = 0.06  # inches that a character of a vertical label takes
_BLUE, _GRAY, _VERMILION = "#0072B2", "#B3AAB0", "#D55E00"
_STACK = (_BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", _VERMILION, "#F0E442")


def importances(explanation: Explanation, top_k: int = _TOP_K, ax: Axes | None = None) -> Figure:
    """Draw the global importances as bars with 95 % intervals, the most important on top.

    Args:
        explanation: The explanation.
        top_k: Maximum number of bars.
        ax: Axes to draw into. Default: those of a new figure.

    Returns:
        The figure; a new one is independent of pyplot.
    """
    order = rank(explanation.global_values)[:top_k]
    figure, (axes,) = _figure_and_axes(ax, len(order))
    values = explanation.global_values[order]
    positions = list(range(len(order)))
    axes.barh(positions, values.tolist(), color=_BLUE, height=0.72)
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
        axes.annotate(format_number(float(value)), (end, position), (4, 0),
                      textcoords="offset points", va="center", fontsize=8)  # fmt: skip
    _label_rows(axes, [explanation.features[i] for i in order])
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    interval = "" if errors is None else "\nlines: 95 % intervals"
    _label_axis(axes, f"mean |contribution|{_unit(explanation)}{interval}")
    _set_title(figure, axes, ax, "Global importance", explanation, len(order))
    return figure


def beeswarm(
    explanation: Explanation,
    top_k: int = _TOP_K,
    output: int | None = None,
    ax: Axes | None = None,
) -> Figure | None:
    """Draw the contributions of each explained row, colored by the value of the feature.

    Args:
        explanation: The explanation.
        top_k: Maximum number of features.
        output: Position of a class or target. Default: the second of two classes, or else up to
            three outputs with the largest importances side by side.
        ax: Axes to draw a single output into. Default: those of a new figure.

    Returns:
        The figure, or None if the explanation has no values of single rows.
    """
    if explanation.local_values is None or explanation.local_values.size == 0:
        return None
    order = rank(explanation.global_values)[:top_k]
    outputs = _drawn_outputs(explanation, output, ax)
    figure, all_axes = _figure_and_axes(ax, len(order), len(outputs))
    n_rows = explanation.local_values.shape[-2]
    limit = min(_MAX_POINT_ROWS, _MAX_POINTS // (len(outputs) * len(order)))
    sample = sample_rows(n_rows, limit, distributions.seed_of(explanation))
    color_positions, names = _color_positions(explanation, order, sample)
    for axes, position in zip(all_axes, outputs, strict=True):
        values = distributions.contributions(explanation, position)
        if values is not None:
            _draw_swarms(axes, values[np.ix_(sample, order)], color_positions)
        _style_axes(axes)
        if len(outputs) > 1:
            axes.locator_params(axis="x", nbins=5)
        unit = _unit(explanation) if len(outputs) == 1 else ""
        _label_axis(axes, f"contribution{_to_output(explanation, position, len(outputs))}{unit}")
    _label_rows(all_axes[0], names)
    details = f", {len(sample):,} of them shown" if len(sample) < n_rows else ""
    n_outputs = len(explanation.output_names or ())
    if 1 < len(outputs) < n_outputs:
        details += f", {len(outputs)} of {n_outputs} {explanation.output_kind_plural}"
    _set_title(figure, all_axes[0], ax, "Contributions by row", explanation, len(order), details)
    _add_value_bar(figure, all_axes, len(order), has_gray=bool(np.isnan(color_positions).any()))
    return figure


def per_class(
    explanation: Explanation, top_k: int = _TOP_K, ax: Axes | None = None
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
        f"mean |contribution|{_unit(explanation)}"
    )  # fmt: skip
    kind = explanation.output_kind
    if len(labels) <= len(_STACK):
        figure, (axes,) = _figure_and_axes(ax, len(order))
        _draw_stacked_bars(axes, values[:, order], labels, unit, kind)
    else:
        labels = [truncate(label, _LINE_LENGTH) for label in labels]
        cells, labels = _largest_classes(values, labels, order)
        longest = max(map(len, labels))
        label_height = _CHARACTER_HEIGHT * longest if longest > _MAX_UPRIGHT_LABEL else 0.0
        figure, (axes,) = _figure_and_axes(ax, len(order), label_height=label_height)
        _draw_heat_map(figure, axes, cells, labels, unit, kind)
    _label_rows(axes, [explanation.features[i] for i in order])
    _set_title(figure, axes, ax, f"Importance by {kind}", explanation, len(order))
    return figure


def wrap_name(name: str, line_length: int = _LINE_LENGTH) -> str:
    """Write a name on at most two lines, without its middle if it is longer."""
    text = truncate(name, 4 * line_length)
    lines = textwrap.wrap(text, line_length)
    if len(lines) > 2:
        lines = [f"{text[: line_length - 2].rstrip()} …", text[-line_length:].lstrip()]
    return "\n".join(lines)


def _figure_and_axes(
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


def _label_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), labels=[wrap_name(name) for name in names], fontsize=9,
                    parse_math=False)  # fmt: skip
    axes.set_ylim(len(names) - 0.4, -0.6)
    _style_axes(axes)


def _style_axes(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)


def _label_axis(axes: Axes, label: str) -> None:
    axes.set_xlabel(label, fontsize=9, parse_math=False)


def _set_title(
    figure: Figure, axes: Axes, ax: Axes | None, title: str, explanation: Explanation,
    n_drawn: int, details: str = "",
) -> None:  # fmt: skip
    """Set the title of the figure, or of the user's axes."""
    total = len(explanation.features)
    count = f"top {n_drawn} of {total} features" if n_drawn < total else f"{total} features"
    if total == 1:
        count = "1 feature"
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


def _unit(explanation: Explanation) -> str:
    scale = explanation.details.output_scale
    return f" ({scale})" if scale else ""


def _to_output(explanation: Explanation, output: int | None, n_panels: int) -> str:
    if explanation.output_names is None or output is None:
        return ""
    line_length = _LINE_LENGTH if n_panels == 1 else 24
    label = wrap_name(distributions.output_label(explanation, output), line_length)
    return f" to\n{label}" if len(label) > line_length // 2 else f" to {label}"


def _drawn_outputs(
    explanation: Explanation, output: int | None, ax: Axes | None
) -> list[int | None]:
    local = explanation.local_values
    if explanation.output_names is None or local is None or local.ndim == 2:
        return [None]
    if output is not None:
        return [output]
    if distributions.has_two_classes(explanation):
        return [1]
    sizes = np.abs(local).mean(axis=(1, 2))
    largest = np.sort(rank(np.nan_to_num(sizes))[: 1 if ax is not None else _MAX_PANELS])
    return [int(position) for position in largest]


def _color_positions(
    explanation: Explanation, order: Any, sample: Any
) -> tuple[FloatArray, list[str]]:
    """``(rows, features)`` positions on the color map, NaN for gray points; and feature names.

    The name of a feature with two categories includes them, since the colors do not show which one
    is which.
    """
    positions = np.full((len(sample), len(order)), np.nan)
    names = [explanation.features[i] for i in order]
    rows = explanation.evaluation_rows
    if rows is None:
        return positions, names
    for column, feature in enumerate(order):
        scale = distributions.scale(rows.iloc[sample, feature])
        if scale.kind != "category":
            positions[:, column] = scale.positions
        elif len(scale.categories) == 2:
            positions[:, column] = scale.positions
            pair = " to ".join(map(wrap_name, scale.categories))
            if len(pair) <= _LINE_LENGTH // 2 and scale.categories != ("False", "True"):
                names[column] = f"{names[column]} ({pair})"
    return positions, names


def _draw_swarms(axes: Axes, values: FloatArray, color_positions: FloatArray) -> None:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    offsets = [distributions.swarm_offsets(column, low, high) for column in values.T]
    y = np.arange(values.shape[1]) + 0.8 * np.column_stack(offsets)
    colors = _value_color_map()(np.nan_to_num(color_positions).ravel())
    colors[np.isnan(color_positions).ravel()] = (0.55, 0.55, 0.55, 1.0)
    axes.axvline(0, color="#888888", linewidth=0.8, zorder=0)
    axes.scatter(values.ravel(), y.ravel(), c=colors, s=7, linewidths=0, alpha=0.8)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)


def _value_color_map() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("values", [_BLUE, _GRAY, _VERMILION])


def _add_value_bar(figure: Figure, all_axes: list[Axes], n_rows: int, *, has_gray: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mappable = ScalarMappable(Normalize(0, 1), _value_color_map())
    bar = _add_color_bar(figure, mappable, all_axes, n_rows)
    bar.set_ticks([0, 1], labels=["low", "high"], fontsize=8)
    note = "\ngray: category\nor missing" if has_gray else ""
    bar.set_label(f"feature value{note}", fontsize=8, labelpad=-8)
    bar.outline.set_visible(False)


def _add_color_bar(figure: Figure, mappable: Any, all_axes: list[Axes], n_rows: int) -> Colorbar:
    """Add a color bar whose width does not depend on the height of the figure."""
    aspect = _ROW_HEIGHT * max(n_rows, 2) / 0.13
    return figure.colorbar(mappable, ax=all_axes, aspect=aspect, pad=0.01)


def _draw_stacked_bars(
    axes: Axes, values: FloatArray, labels: list[str], unit: str, kind: str
) -> None:
    left = np.zeros(values.shape[1])
    for row, label, color in zip(values, labels, _STACK, strict=False):
        widths = np.nan_to_num(row, posinf=0.0)
        axes.barh(np.arange(len(row)), widths, left=left, color=color, label=label, height=0.72)
        left = left + widths
    legend = axes.legend(
        title=kind, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, title_fontsize=8,
        alignment="left", frameon=False,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    _label_axis(axes, f"{unit}, stacked")


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
    image = axes.imshow(
        np.where(np.isfinite(values.T), values.T, np.nan), aspect="auto", cmap="cividis"
    )
    rotation = 0 if max(map(len, labels)) <= _MAX_UPRIGHT_LABEL else 90
    axes.set_xticks(range(len(labels)), labels=labels, rotation=rotation, fontsize=8,
                    parse_math=False)  # fmt: skip
    _label_axis(axes, kind)
    bar = _add_color_bar(figure, image, [axes], values.shape[1])
    bar.set_label(textwrap.fill(unit, 24), fontsize=8)
    bar.ax.tick_params(labelsize=8)
