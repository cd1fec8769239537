"""Figures that belong to no window, and that a notebook shows by themselves."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

# Names come in all scripts, and matplotlib's own font knows neither Chinese, Japanese nor Korean.
# These families do, and some more signs; most systems have one of them, and none is asked for.
FAMILIES = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "IPAexGothic", "Noto Sans SC",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Segoe UI Emoji",
    "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Noto Emoji",
)  # fmt: skip


class Picture(Figure):
    """A figure apart from matplotlib's global state.

    Args:
        width: In inches.
        height: In inches.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=120, layout="constrained")
        FigureCanvasAgg(self)

    def draw(self, renderer: Any) -> None:
        """Draw, with letters that the font lacks from other fonts that are installed."""
        known = set(fontManager.get_font_names())
        further = [family for family in FAMILIES if family in known]
        for text in self.findobj(Text) if further else ():
            families = text.get_fontfamily()
            if families[-len(further) :] != further:
                text.set_fontfamily([*families, *further])
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        # IPython knows how to show a figure only after pyplot has been used.
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
