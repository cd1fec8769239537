"""Figures in notebooks, as images of a page, and with names in any script."""

from __future__ import annotations

import base64
import warnings

import matplotlib as mpl
import numpy as np
import pytest

from compare.runs import run
from explanations import explanation
from mlflow_interpret import ExplanationDisplay
from mlflow_interpret.compare import RunComparison
from mlflow_interpret.rendering import figure as module
from mlflow_interpret.rendering.figure import StandaloneFigure, svg_image


def compared():
    runs = [run(str(i), np.array([2.0, 1.0]), None, ["a", "b"]) for i in range(2)]
    return RunComparison(tuple(runs))


DRAWERS = {
    "importances": lambda: ExplanationDisplay(explanation()).plot_importances(),
    "beeswarm": lambda: ExplanationDisplay(explanation()).plot_beeswarm(),
    "per class": lambda: ExplanationDisplay(explanation(n_classes=3)).plot_per_class(),
    "slope": lambda: compared().plot("slope"),
    "heat map": lambda: compared().plot("heatmap"),
}


@pytest.mark.parametrize("drawer", DRAWERS)
def test_figure_is_shown_in_notebooks_without_pyplot(drawer):
    assert DRAWERS[drawer]()._repr_png_().startswith(b"\x89PNG")


def test_missing_letters_come_from_an_installed_fallback_font(monkeypatch):
    # A font that matplotlib ships has this letter, and its default font lacks it.
    letter = "\ue000"

    def font_warnings():
        figure = StandaloneFigure(3, 2)
        figure.add_subplot().set_yticks([0], labels=[f"name {letter}"])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            figure.canvas.draw()
            figure.canvas.draw()
        return [str(item.message) for item in caught if "Glyph" in str(item.message)]

    monkeypatch.setattr(module, "FALLBACK_FONTS", ("no such font",))
    assert font_warnings() != []
    monkeypatch.setattr(module, "FALLBACK_FONTS", ("no such font", "STIXNonUnicode"))
    assert font_warnings() == []


def test_svg_image_is_reproducible_and_independent_of_the_user_s_style(monkeypatch):
    def draw():
        figure = StandaloneFigure(3, 2)
        figure.add_subplot().set_yticks([0], labels=["name"])
        return figure

    image = svg_image(draw)
    assert (image.width, image.height) == (288, 192)
    monkeypatch.setitem(mpl.rcParams, "text.color", "red")
    monkeypatch.setitem(mpl.rcParams, "ytick.color", "red")
    assert svg_image(draw) == image
    assert mpl.rcParams["text.color"] == "red"
    svg = base64.b64decode(image.source.removeprefix("data:image/svg+xml;base64,"))
    assert svg.startswith(b"<?xml")
