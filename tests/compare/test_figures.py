"""Slope chart and heat map: readable for any numbers of runs and features and any names."""

from __future__ import annotations

import warnings
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest

from compare.runs import run
from mlflow_interpret.compare import RunComparison
from mlflow_interpret.core.errors import OptionError

KINDS = ("slope", "heatmap")
HOSTILE = [
    "$x_{$",
    "<script>alert(1)</script>",
    "\x00\n",
    "\u202eabc",
    "y" * 10_000,
    "年齢",
    "",
]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def runs(n_runs, n_features, names=None):
    generator = np.random.default_rng(0)
    return [
        run(f"{i:032d}", generator.exponential(size=n_features), None,
            names or [f"feature {j}" for j in range(n_features)], run_name=f"run {i}")
        for i in range(n_runs)
    ]  # fmt: skip


def compared(*importances):
    return RunComparison(importances)


def texts(figure):
    axes = figure.axes[0]
    return [label.get_text() for label in axes.get_yticklabels()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_runs", "n_features"), [(2, 1), (2, 500), (20, 30), (40, 5)])
def test_any_number_of_runs_and_features(kind, n_runs, n_features):
    open_figures = plt.get_fignums()  # of other tests
    figure = compared(*runs(n_runs, n_features)).plot(kind)
    figure.canvas.draw()
    assert len(texts(figure)) == min(10, n_features)
    assert len(figure.axes[0].get_xticklabels()) == min(20, n_runs)
    width, height = figure.get_size_inches()
    assert width < 30
    assert height < 12
    boxes = [
        label.get_window_extent() for label in figure.axes[0].get_yticklabels() if label.get_text()
    ]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    assert plt.get_fignums() == open_figures


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [("a", "b"), ("w" * 40, "w" * 40), ["n" * 40] * 3, ["n"] * 12])
@pytest.mark.parametrize("feature", ["x", "W" * 40])
def test_no_text_is_cut_off_and_run_labels_do_not_overlap(kind, names, feature):
    features = [f"{i}{feature}" for i in range(20)]
    drawn = [
        run(f"{i:032d}", np.exp(np.arange(20.0)), None, features, run_name=name)
        for i, name in enumerate(names)
    ]
    figure = compared(*drawn).plot(kind)
    figure.canvas.draw()
    axes = figure.axes[0]
    heads = axes.get_xticklabels()
    shown = [*heads, *axes.get_yticklabels(), *axes.texts, *figure.texts]
    width, height = figure.bbox.size
    for text in shown:
        box = text.get_window_extent()
        assert (box.x0 >= -1, box.y0 >= -1) == (True, True), text
        assert (box.x1 <= width + 1, box.y1 <= height + 1) == (True, True), text
    level = [head.get_window_extent() for head in heads if head.get_rotation() == 0]
    assert len(level) in {0, len(names)}
    assert not any(a.overlaps(b) for a, b in pairwise(level))


def test_color_bar_is_below_the_heat_map():
    figure = compared(*runs(3, 4, names=list("abcd"))).plot("heatmap")
    figure.canvas.draw()
    axes = figure.axes[0]
    (scale,) = axes.child_axes
    cells, bar = axes.get_window_extent(), scale.get_window_extent()
    assert bar.x0 == pytest.approx(cells.x0, abs=1)
    assert bar.x1 <= cells.x1 + 1
    assert bar.y1 < cells.y0
    ticks = [tick.get_window_extent() for tick in scale.get_xticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(ticks))


def test_small_shares_are_distinguished_from_zero():
    figure = compared(run("A", [1, 0.001, 0]), run("B", [1, 0.001, 0])).plot("heatmap")
    assert [text.get_text() for text in figure.axes[0].texts][::2] == [
        "1 · 100 %", "2 · < 1 %", "3 · 0 %",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names(kind):
    figure = compared(*runs(2, len(HOSTILE), HOSTILE)).plot(kind)
    figure.canvas.draw()
    assert "<script>alert(1)</script>" in texts(figure)
    assert max(map(len, texts(figure))) <= 32


@pytest.mark.parametrize("kind", KINDS)
def test_missing_features_and_nonfinite_values(kind):
    pair = run("A", [3, 2, np.nan]), run("B", [1, np.inf], features="ax")
    compared(*pair).plot(kind).canvas.draw()
    compared(run("A", [np.nan]), run("B", [0], features="x")).plot(kind).canvas.draw()


def test_top_k_most_important_features_come_first():
    figure = compared(run("A", [1, 5, 3]), run("B", [1, 4, 3])).plot("heatmap", top_k=2)
    assert texts(figure) == ["b", "c"]


def test_slope_chart_shows_ranks_among_all_features_of_the_run():
    figure = compared(run("A", [4, 3, 1, 2]), run("B", [1, 4, 2, 3])).plot(top_k=3)
    marks = sorted((x.get_position(), x.get_text()) for x in figure.axes[0].texts)
    assert [text for _, text in marks] == ["1", "2", "3", "1", "2", "4"]
    lines = {tuple(line.get_ydata()) for line in figure.axes[0].lines}
    assert lines == {(1, 3), (2, 1), (3, 2)}
    assert texts(figure) == ["b", "a", "d"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("pie",), "kind must be 'slope' or 'heatmap', got 'pie'"), (("slope", 0), "top_k must be")],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(OptionError, match=message):
        compared(*runs(2, 2)).plot(*arguments)
