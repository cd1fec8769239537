"""Figures in notebooks, and names in all scripts."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from compare.runs import run
from explanations import explanation
from mlflow_interpret import ExplanationDisplay
from mlflow_interpret.compare.comparison import RunComparison
from mlflow_interpret.rendering import figure
from mlflow_interpret.rendering.figure import Picture


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
def test_a_notebook_shows_it_without_pyplot(drawer):
    assert DRAWERS[drawer]()._repr_png_().startswith(b"\x89PNG")


def test_letters_that_the_font_lacks_come_from_another_that_is_installed(monkeypatch):
    # Matplotlib brings this font, and its own does not know these signs: as with Chinese names.
    sign = "\ue000"

    def complaints():
        picture = Picture(3, 2)
        picture.add_subplot().set_yticks([0], labels=[f"name {sign}"])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            picture.canvas.draw()
            picture.canvas.draw()
        return [str(one.message) for one in caught if "Glyph" in str(one.message)]

    monkeypatch.setattr(figure, "FAMILIES", ("no such font",))
    assert complaints() != []
    monkeypatch.setattr(figure, "FAMILIES", ("no such font", "STIXNonUnicode"))
    assert complaints() == []
