"""Importances of several runs as figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlflow_interpret.records import FloatArray, Importances, shares
from mlflow_interpret.reporting.pages import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_RUNS = 20
"""Runs that one figure shows."""

_NAME = 32  # characters of a feature's or a run's name
# The palette of Okabe and Ito without its yellow, which is hardly seen on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
_COLOURED = 2 * len(_COLOURS)  # lines; the second half is dashed
_STEADY = "#B3AAB0"


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
    drawn, table = _top(runs, top_k)
    order = order_in_runs(runs, top_k)
    places = order.places
    columns, lines = places.shape
    figure, axes = _figure(3.4 + max(1.1 * columns, 3), 1.6 + 0.36 * max(lines, 3))
    for line, kind in enumerate(order.colours):
        colour, style = _look(kind)
        y = places[:, line]
        axes.plot(range(columns), y, color=colour, linestyle=style, linewidth=1.8, zorder=2)
        for x in np.flatnonzero(np.isfinite(y)):
            _rank_mark(axes, int(x), y[x], int(order.ranks[x, line]), colour)
    names = [shown(name, _NAME) for name in table.index]
    _name_sides(axes, places, names)
    axes.set_xticks(range(columns), labels_of(drawn), parse_math=False)
    _tilt(axes, columns)
    axes.set_xlim(-0.35, columns - 0.65)
    axes.set_ylim(lines + 0.6, 0.4)
    _title(figure, "Ranks of the most important features", table, runs, drawn)
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

    drawn, table = _top(runs, top_k)
    values = table.to_numpy(dtype=float)
    ranks = pd.DataFrame([_ranks(run) for run in drawn], dtype=float).reindex(columns=table.index)
    lines, columns = values.shape
    figure, axes = _figure(4.4 + 0.76 * max(columns, 3), 1.8 + 0.32 * max(lines, 3))
    top = float(np.nanmax(values, initial=0)) or 1.0
    norm = PowerNorm(0.5, vmin=0, vmax=top)  # one feature that dominates leaves the others visible
    image = axes.imshow(values, cmap="cividis", norm=norm, aspect="auto")
    for line in range(lines):
        for x in range(columns):
            known = np.isfinite(values[line, x])
            dark = known and norm(values[line, x]) < 0.55
            share = f"{100 * values[line, x]:.0f} %"
            text = f"{ranks.iloc[x, line]:.0f} · {share}" if known else "-"
            colour = "white" if dark else "black"
            axes.text(x, line, text, color=colour, fontsize=7.5, ha="center", va="center")
    names = [shown(name, _NAME) for name in table.index]
    axes.set_yticks(range(lines), labels=names, fontsize=9, parse_math=False)
    axes.set_xticks(range(columns), labels_of(drawn), parse_math=False)
    _tilt(axes, columns)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, format=lambda share, _: f"{100 * share:.3g} %", pad=0.02)
    bar.set_label("share of the run's total", fontsize=9)
    bar.outline.set_visible(False)
    _title(figure, "Rank and share of each feature", table, runs, drawn)
    return figure


@dataclass(frozen=True, eq=False)
class Order:
    """The drawn features' order in each run.

    Attributes:
        features: The ``F`` drawn features.
        places: ``(N, F)`` places of the features in each run, NaN where a run lacks one.
        ranks: ``(N, F)`` their ranks among all features of the run.
        colours: What each line looks like: ``c0`` to ``c6``, with ``dashed`` behind for a second
            round, for those that move most; an empty text for the others.
    """

    features: tuple[str, ...]
    places: FloatArray
    ranks: FloatArray
    colours: tuple[str, ...]


def order_in_runs(runs: Sequence[Importances], top_k: int) -> Order:
    """The order of the ``top_k`` features with the largest mean share in the drawn runs."""
    drawn, table = _top(runs, top_k)
    ranks = pd.DataFrame([_ranks(run) for run in drawn], dtype=float).reindex(columns=table.index)
    places = ranks.rank(axis=1, method="first").to_numpy()
    moved = _spread(places)
    looks = [f"c{i % len(_COLOURS)}{' dashed' * (i // len(_COLOURS))}" for i in range(_COLOURED)]
    most = np.argsort(-moved, kind="stable")[:_COLOURED].tolist()
    colours = {line: look for line, look in zip(most, looks, strict=False) if moved[line] > 0}
    return Order(
        tuple(table.index),
        places,
        ranks.to_numpy(),
        tuple(colours.get(line, "") for line in range(len(table))),
    )


def _look(kind: str) -> tuple[str, str]:
    if not kind:
        return _STEADY, "-"
    return _COLOURS[int(kind[1])], "--" if kind.endswith("dashed") else "-"


def labels_of(runs: Sequence[Importances]) -> list[str]:
    """What the runs are called, in full where it fits, with part of the id where names repeat."""
    names = [shown(run.run_name or run.run_id, _NAME) for run in runs]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    return [
        f"{name[: _NAME - 9]} {run.run_id[:8]}" if name in repeated else name
        for name, run in zip(names, runs, strict=True)
    ]


def by_share(runs: Sequence[Importances]) -> pd.DataFrame:
    """``(F, N)`` shares, the features with the largest mean first; NaN where a run lacks one."""
    columns = [pd.Series(shares(run.values), index=list(run.features)) for run in runs]
    table = pd.concat(columns, axis=1)
    table.columns = range(len(runs))
    order = table.fillna(0).mean(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order]


def _top(runs: Sequence[Importances], top_k: int) -> tuple[Sequence[Importances], pd.DataFrame]:
    drawn = runs[:MOST_RUNS]
    return drawn, by_share(drawn).iloc[:top_k]


def _ranks(run: Importances) -> dict[str, float]:
    from mlflow_interpret.comparing.tables import ranks

    return dict(zip(run.features, ranks(run.values).tolist(), strict=True))


def _spread(places: FloatArray) -> FloatArray:
    """How many places each line moves at most."""
    low, high = (np.where(np.isnan(places), fill, places) for fill in (np.inf, -np.inf))
    spread: FloatArray = np.maximum(high.max(axis=0) - low.min(axis=0), 0)
    return spread


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    return figure, axes


def _rank_mark(axes: Axes, x: int, y: float, rank: int, colour: str) -> None:
    box = {"boxstyle": "circle,pad=0.18", "facecolor": "white", "edgecolor": colour}
    axes.text(x, y, str(rank), fontsize=7, ha="center", va="center", bbox=box, zorder=3)


def _name_sides(axes: Axes, places: FloatArray, names: list[str]) -> None:
    """Each name beside its line: on the left by the first run's order, on the right by the last."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    right: Any = axes.secondary_yaxis("right")
    right.spines[:].set_visible(False)
    right.tick_params(length=0)
    for side, column in ((axes, places[0]), (right, places[-1])):
        here = np.flatnonzero(np.isfinite(column))
        side.set_yticks(column[here], labels=[names[i] for i in here], fontsize=9, parse_math=False)


def _tilt(axes: Axes, columns: int) -> None:
    axes.xaxis.tick_top()
    tilt = {"rotation": 30, "ha": "left"} if columns > 2 else {}
    for label in axes.get_xticklabels():
        label.set(fontsize=9, rotation_mode="anchor", **tilt)


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
