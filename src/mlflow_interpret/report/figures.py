"""An explanation as figures; pure, and apart from matplotlib's global state.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), and cividis for the heat map
(https://doi.org/10.1371/journal.pone.0199239): both were made for colour-blind readers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray, rank, sample_rows
from mlflow_interpret.core.text import format_number
from mlflow_interpret.report import distributions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

INTERVAL = 1.96
"""Standard errors to each side of a mean that make an interval of 95 %."""

_ROWS = 20  # features in a figure
_ROW_HEIGHT = 0.34  # inches: a row is as high as a name of two lines
_LINE = 40  # characters of a name on one line
_POINTS = 20_000  # in a beeswarm
_POINT_ROWS = 1000
_PANELS = 3  # classes in a beeswarm
_CELLS = 30  # classes in a heat map
_UPRIGHT = 3  # characters of a class's name that have room below a cell
_LETTER = 0.06  # inches of a tilted name's character
_BLUE, _GREY, _VERMILION = "#0072B2", "#B3AAB0", "#D55E00"
_STACK = (_BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", _VERMILION, "#F0E442")


def importances(explanation: Explanation, top_k: int = _ROWS, ax: Axes | None = None) -> Figure:
    """The global importances as bars, most important on top, with intervals of 95 %.

    Args:
        explanation: The explanation to draw.
        top_k: At most so many bars.
        ax: Axes to draw into. Default: those of a new figure.

    Returns:
        The figure; a new one belongs to no window and no global state of matplotlib.
    """
    order = rank(explanation.global_values)[:top_k]
    figure, (axes,) = _axes(ax, len(order))
    values = explanation.global_values[order]
    positions = list(range(len(order)))
    axes.barh(positions, values.tolist(), color=_BLUE, height=0.72)
    errors = explanation.standard_errors()
    ends = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    if errors is not None:
        reach = INTERVAL * np.nan_to_num(errors[order], posinf=0.0)
        below = np.minimum(reach, np.abs(ends))  # a mean of sizes is not negative
        ends = ends + reach
        axes.errorbar(
            values.tolist(), positions, xerr=np.stack([below, reach]), fmt="none", ecolor="#222222",
            elinewidth=1.2, capsize=2.5,
        )  # fmt: skip
    for position, end, value in zip(positions, ends, values, strict=True):
        axes.annotate(format_number(float(value)), (end, position), (4, 0), textcoords="offset points",
                      va="center", fontsize=8)  # fmt: skip
    _name_rows(axes, [explanation.features[i] for i in order])
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    interval = "" if errors is None else "\nlines: 95 % intervals"
    _name_axis(axes, f"mean |contribution|{_unit(explanation)}{interval}")
    _title(figure, axes, ax, "Global importance", explanation, len(order))
    return figure


def beeswarm(
    explanation: Explanation,
    top_k: int = _ROWS,
    block: int | None = None,
    ax: Axes | None = None,
) -> Figure | None:
    """The contributions of each explained row, coloured by the feature's value.

    Args:
        explanation: The explanation to draw.
        top_k: At most so many features.
        block: The position of a class (or target). Default: the second of two classes; else up to
            three with the largest importances beside each other.
        ax: Axes to draw into, with one class. Default: those of a new figure.

    Returns:
        The figure, or None where the explanation holds no values of single rows.
    """
    if explanation.local_values is None or explanation.local_values.size == 0:
        return None
    order = rank(explanation.global_values)[:top_k]
    blocks = _panels(explanation, block, ax)
    figure, all_axes = _axes(ax, len(order), len(blocks))
    total = explanation.local_values.shape[-2]
    limit = min(_POINT_ROWS, _POINTS // (len(blocks) * len(order)))
    chosen = sample_rows(total, limit, distributions.seed_of(explanation))
    colours, names = _colours(explanation, order, chosen)
    for axes, one in zip(all_axes, blocks, strict=True):
        values = distributions.contributions(explanation, one)
        if values is not None:
            _draw_swarms(axes, values[np.ix_(chosen, order)], colours)
        _style(axes)
        if len(blocks) > 1:
            axes.locator_params(axis="x", nbins=5)
        unit = _unit(explanation) if len(blocks) == 1 else ""
        _name_axis(axes, f"contribution{_to(explanation, one, len(blocks))}{unit}")
    _name_rows(all_axes[0], names)
    extra = f", {len(chosen):,} of them shown" if len(chosen) < total else ""
    if len(blocks) > 1 and len(blocks) < len(explanation.output_names or ()):
        extra += f", {len(blocks)} of {len(explanation.output_names or ())} {explanation.output_kind_plural}"
    _title(figure, all_axes[0], ax, "Contributions by row", explanation, len(order), extra)
    _name_colours(figure, all_axes, len(order), grey=bool(np.isnan(colours).any()))
    return figure


def per_class(
    explanation: Explanation, top_k: int = _ROWS, ax: Axes | None = None
) -> Figure | None:
    """The importances by class: stacked bars for up to seven classes, else a heat map.

    Several targets of a regression may have different units, so theirs are shares of each
    target's sum.

    Returns:
        The figure, or None where there are no classes, or two whose importances are the same.
    """
    values = explanation.per_class_values
    if values is None or explanation.output_names is None or explanation.is_mirrored:
        return None
    shares = explanation.classes is None
    if shares:
        sums = np.nansum(values, axis=1, keepdims=True)
        values = np.divide(100 * values, sums, out=np.zeros_like(values), where=sums > 0)
    order = rank(np.nan_to_num(values.mean(axis=0)) if shares else explanation.global_values)
    order = order[:top_k]
    labels = [short_name(str(label)) for label in explanation.output_names]
    unit = "share of the target's importances (%)" if shares else (
        f"mean |contribution|{_unit(explanation)}"
    )  # fmt: skip
    kind = explanation.output_kind
    if len(labels) <= len(_STACK):
        figure, (axes,) = _axes(ax, len(order))
        _stack(axes, values[:, order], labels, unit, kind)
    else:
        cells, labels = _most(values, [_on_one_line(label) for label in labels], order)
        longest = max(map(len, labels))
        below = _LETTER * longest if longest > _UPRIGHT else 0.0
        figure, (axes,) = _axes(ax, len(order), below=below)
        _heat_map(figure, axes, cells, labels, unit, kind)
    _name_rows(axes, [explanation.features[i] for i in order])
    _title(figure, axes, ax, f"Importance by {kind}", explanation, len(order))
    return figure


def short_name(name: str, line: int = _LINE) -> str:
    """A name on at most two lines, its middle left out where it is longer."""
    cut = name if len(name) <= 4 * line else f"{name[: 2 * line]} {name[-2 * line :]}"
    clean = "".join(c if c.isprintable() else " " for c in cut).strip() or "(no name)"
    lines = textwrap.wrap(clean, line)
    if len(lines) > 2 or len(cut) < len(name):
        lines = [f"{clean[: line - 2].rstrip()} …", clean[-line:].lstrip()]
    return "\n".join(lines)


def _on_one_line(label: str, limit: int = 40) -> str:
    line = " ".join(label.split())
    return line if len(line) <= limit else f"{line[: limit - 18]}…{line[-17:]}"


def _axes(
    given: Axes | None, rows: int, panels: int = 1, below: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Axes with room for so many rows and, below them, for inches of names."""
    if given is not None:
        figure: Any = given.figure
        return figure, [given]
    from mlflow_interpret.rendering.figure import Picture

    height = 1.3 + _ROW_HEIGHT * max(rows, 2) + below
    width = 8.0 + 2.2 * (panels - 1)
    figure = Picture(width, height)
    return figure, list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), labels=[short_name(name) for name in names], fontsize=9,
                    parse_math=False)  # fmt: skip
    axes.set_ylim(len(names) - 0.4, -0.6)
    _style(axes)


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)


def _name_axis(axes: Axes, label: str) -> None:
    axes.set_xlabel(label, fontsize=9, parse_math=False)


def _title(
    figure: Figure, axes: Axes, given: Axes | None, what: str, explanation: Explanation,
    shown: int, extra: str = "",
) -> None:  # fmt: skip
    total = len(explanation.features)
    count = f"top {shown} of {total} features" if shown < total else f"{total} features"
    if total == 1:
        count = "1 feature"
    rows = explanation.details.rows
    of = (
        f", {rows.explained:,} of {rows.available:,} rows{extra}"
        if rows and rows.explained is not None
        else extra
    )
    title = f"{what} ({explanation.method}{of}), {count}"
    if given is not None:
        axes.set_title(title, fontsize=10, parse_math=False)
    else:
        figure.suptitle(title, fontsize=10, x=0.01, horizontalalignment="left", parse_math=False)


def _unit(explanation: Explanation) -> str:
    scale = explanation.details.output_scale
    return f" ({scale})" if scale else ""


def _to(explanation: Explanation, block: int | None, panels: int) -> str:
    blocks = explanation.output_names
    if blocks is None or block is None:
        return ""
    line = _LINE if panels == 1 else 24
    name = short_name(distributions.block_name(explanation, block), line)
    return f" to\n{name}" if len(name) > line // 2 else f" to {name}"


def _panels(explanation: Explanation, block: int | None, ax: Axes | None) -> list[int | None]:
    blocks = explanation.output_names
    if blocks is None or explanation.local_values is None or explanation.local_values.ndim == 2:
        return [None]
    if block is not None:
        return [block]
    if distributions.one_stands_for_both(explanation):
        return [1]
    sizes = np.abs(explanation.local_values).mean(axis=(1, 2))
    largest = np.sort(rank(np.nan_to_num(sizes))[: 1 if ax is not None else _PANELS])
    return [int(position) for position in largest]


def _colours(explanation: Explanation, order: Any, chosen: Any) -> tuple[FloatArray, list[str]]:
    """``(rows, features)`` places between 0 and 1, NaN where there is no value to show; and names.

    A feature of two categories is named with them, since a colour does not say which it is.
    """
    places = np.full((len(chosen), len(order)), np.nan)
    names = [explanation.features[i] for i in order]
    rows = explanation.evaluation_rows
    if rows is None:
        return places, names
    for column, feature in enumerate(order):
        found = distributions.scale(rows.iloc[chosen, feature])
        if found.kind != "category":
            places[:, column] = found.places
        elif len(found.categories) == 2:
            places[:, column] = found.places
            pair = " to ".join(map(short_name, found.categories))
            if len(pair) <= _LINE // 2 and found.categories != ("False", "True"):
                names[column] = f"{names[column]} ({pair})"
    return places, names


def _draw_swarms(axes: Axes, values: FloatArray, colours: FloatArray) -> None:
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    offsets = np.column_stack([distributions.swarm(one, low, high) for one in values.T])
    positions = np.arange(values.shape[1]) + 0.8 * offsets
    colour_map = _gradient()
    painted = colour_map(np.nan_to_num(colours).ravel())
    painted[np.isnan(colours).ravel()] = (0.55, 0.55, 0.55, 1.0)
    axes.axvline(0, color="#888888", linewidth=0.8, zorder=0)
    axes.scatter(values.ravel(), positions.ravel(), c=painted, s=7, linewidths=0, alpha=0.8)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)


def _gradient() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("values", [_BLUE, _GREY, _VERMILION])


def _name_colours(figure: Figure, all_axes: list[Axes], rows: int, *, grey: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = _colour_bar(figure, ScalarMappable(Normalize(0, 1), _gradient()), all_axes, rows)
    bar.set_ticks([0, 1], labels=["low", "high"], fontsize=8)
    note = "\ngrey: category\nor missing" if grey else ""
    bar.set_label(f"feature value{note}", fontsize=8, labelpad=-8)
    bar.outline.set_visible(False)


def _colour_bar(figure: Figure, drawn: Any, all_axes: list[Axes], rows: int) -> Colorbar:
    """A bar of the same width in each figure, however tall that is."""
    aspect = _ROW_HEIGHT * max(rows, 2) / 0.13
    return figure.colorbar(drawn, ax=all_axes, aspect=aspect, pad=0.01)


def _stack(axes: Axes, values: FloatArray, labels: list[str], unit: str, kind: str) -> None:
    left = np.zeros(values.shape[1])
    for row, label, colour in zip(values, labels, _STACK, strict=False):
        sizes = np.nan_to_num(row, posinf=0.0)
        axes.barh(np.arange(len(row)), sizes, left=left, color=colour, label=label, height=0.72)
        left = left + sizes
    legend = axes.legend(
        title=kind, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, title_fontsize=8,
        alignment="left", frameon=False,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    _name_axis(axes, f"{unit}, stacked")


def _most(values: FloatArray, labels: list[str], order: Any) -> tuple[FloatArray, list[str]]:
    """The classes with the largest importances and, in the last row, the mean of the others."""
    if len(labels) <= _CELLS:
        return values[:, order], labels
    ranked = rank(np.nan_to_num(values.sum(axis=1)))
    kept, others = np.sort(ranked[: _CELLS - 1]), ranked[_CELLS - 1 :]
    rest = values[others].mean(axis=0)
    shown = np.vstack([values[kept], rest])
    return shown[:, order], [*(labels[i] for i in kept), f"mean of {len(others)} others"]


def _heat_map(
    figure: Figure, axes: Axes, values: FloatArray, labels: list[str], unit: str, kind: str
) -> None:
    drawn = axes.imshow(
        np.where(np.isfinite(values.T), values.T, np.nan), aspect="auto", cmap="cividis"
    )
    turn = 0 if max(map(len, labels)) <= _UPRIGHT else 90
    axes.set_xticks(range(len(labels)), labels=labels, rotation=turn, fontsize=8,
                    parse_math=False)  # fmt: skip
    _name_axis(axes, kind)
    bar = _colour_bar(figure, drawn, [axes], values.shape[1])
    bar.set_label(textwrap.fill(unit, 24), fontsize=8)
    bar.ax.tick_params(labelsize=8)
