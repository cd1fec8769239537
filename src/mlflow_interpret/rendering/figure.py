"""Matplotlib figures without pyplot, as notebook output and as images of a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

# Matplotlib's default font lacks Chinese, Japanese and Korean letters. Most systems have one of
# these families, and none of them is required.
FALLBACK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "IPAexGothic", "Noto Sans SC",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Segoe UI Emoji",
    "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Noto Emoji",
)  # fmt: skip

_PIXELS_PER_INCH = 96  # of CSS


class StandaloneFigure(Figure):
    """A figure that is independent of pyplot and of matplotlib's global state.

    Args:
        width: Width in inches.
        height: Height in inches.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=120, layout="constrained")
        FigureCanvasAgg(self)

    def draw(self, renderer: Any) -> None:
        """Draw the figure, with installed fallback fonts for letters that its font lacks."""
        self._add_fallback_fonts()
        super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save the figure, as matplotlib does.

        With a layout engine matplotlib draws everything twice, once for the layout alone, so the
        layout is made here.
        """
        engine = self.get_layout_engine()
        if engine is None:
            super().savefig(fname, **options)
            return
        self._add_fallback_fonts()
        engine.execute(self)
        self.set_layout_engine("none")
        try:
            super().savefig(fname, **options)
        finally:
            self.set_layout_engine(engine)

    def _add_fallback_fonts(self) -> None:
        installed = set(fontManager.get_font_names())
        fallback = [family for family in FALLBACK_FONTS if family in installed]
        for text in self.findobj(Text) if fallback else ():
            families = text.get_fontfamily()
            if not text.get_text().isascii() and families[-len(fallback) :] != fallback:
                text.set_fontfamily([*families, *fallback])

    def _repr_png_(self) -> bytes:
        # IPython registers its own formatter for figures only when pyplot is used.
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


@dataclass(frozen=True)
class Image:
    """An SVG image for an HTML page.

    Attributes:
        source: A ``data:`` URI, so that the page needs no other file.
        width: Width in CSS pixels.
        height: Height in CSS pixels.
    """

    source: str
    width: int
    height: int


def svg_image(draw: Callable[[], Figure]) -> Image:
    """Draw a figure as an SVG image with a transparent background.

    The same figure gives the same bytes, and the user's matplotlib style does not change it: the
    colors have to match those of the page.
    """
    from matplotlib import style

    buffer = io.BytesIO()
    with style.context(["default", {"svg.hashsalt": "mlflow-interpret"}]):
        figure = draw()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    width, height = (round(_PIXELS_PER_INCH * inches) for inches in figure.get_size_inches())
    source = base64.b64encode(buffer.getvalue()).decode()
    return Image(f"data:image/svg+xml;base64,{source}", width, height)
