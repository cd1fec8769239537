"""The beeswarm: contributions of single rows, colored by the values of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray, rank, sample_rows
from mlflow_interpret.report import distributions
from mlflow_interpret.report.figure_parts import (
    BLUE,
    GRAY,
    LINE_LENGTH,
    TOP_K,
    VERMILION,
    add_color_bar,
    axes_of,
    label_axis,
    label_rows,
    set_title,
    style_axes,
    unit_of,
    wrap_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_POINTS = 20_000
_MAX_ROWS = 1000
_MAX_PANELS = 3  # classes or targets side by side


def beeswarm(
    explanation: Explanation,
    top_k: int = TOP_K,
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
    figure, all_axes = axes_of(ax, len(order), len(outputs))
    n_rows = explanation.local_values.shape[-2]
    limit = min(_MAX_ROWS, _MAX_POINTS // (len(outputs) * len(order)))
    sample = sample_rows(n_rows, limit, distributions.seed_of(explanation))
    color_positions, names = _color_positions(explanation, order, sample)
    for axes, position in zip(all_axes, outputs, strict=True):
        values = distributions.contributions(explanation, position)
        if values is not None:
            _draw_swarms(axes, values[np.ix_(sample, order)], color_positions)
        style_axes(axes)
        if len(outputs) > 1:
            axes.locator_params(axis="x", nbins=5)
        unit = unit_of(explanation) if len(outputs) == 1 else ""
        label_axis(axes, f"contribution{_to_output(explanation, position, len(outputs))}{unit}")
    label_rows(all_axes[0], names)
    details = f", {len(sample):,} of them shown" if len(sample) < n_rows else ""
    n_outputs = len(explanation.output_names or ())
    if 1 < len(outputs) < n_outputs:
        details += f", {len(outputs)} of {n_outputs} {explanation.output_kind_plural}"
    set_title(figure, all_axes[0], ax, "Contributions by row", explanation, len(order), details)
    _add_value_bar(figure, all_axes, len(order), has_gray=bool(np.isnan(color_positions).any()))
    return figure


def _to_output(explanation: Explanation, output: int | None, n_panels: int) -> str:
    if explanation.output_names is None or output is None:
        return ""
    line_length = LINE_LENGTH if n_panels == 1 else 24
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
    if explanation.has_two_classes:
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
        if scale.is_ordered:
            positions[:, column] = scale.positions
        if scale.kind == "category" and len(scale.categories) == 2:
            pair = " to ".join(map(wrap_name, scale.categories))
            if len(pair) <= LINE_LENGTH // 2 and scale.categories != ("False", "True"):
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

    return LinearSegmentedColormap.from_list("values", [BLUE, GRAY, VERMILION])


def _add_value_bar(figure: Figure, all_axes: list[Axes], n_rows: int, *, has_gray: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mappable = ScalarMappable(Normalize(0, 1), _value_color_map())
    bar = add_color_bar(figure, mappable, all_axes, n_rows)
    bar.set_ticks([0, 1], labels=["low", "high"], fontsize=8)
    note = "\ngray: category\nor missing" if has_gray else ""
    bar.set_label(f"feature value{note}", fontsize=8, labelpad=-8)
    bar.outline.set_visible(False)
