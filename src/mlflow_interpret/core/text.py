"""Text for people: shortened names, display widths, numbers and descriptions of values."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

NAME_LENGTH = 160
"""Maximum number of characters of a name on a page."""

# Marks that reverse or isolate text, and two code points that XML forbids.
_UNSAFE = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff")


def truncate(name: Any, limit: int = NAME_LENGTH) -> str:
    """Shorten a name to one printable line of at most ``limit`` characters.

    The middle of a long name is replaced by an ellipsis, whitespace by spaces, and control
    characters by U+FFFD.
    """
    text = str(name)
    if len(text) > limit:  # before anything else: the name may be megabytes long
        text = f"{text[: limit - limit // 3 - 1]}…{text[-(limit // 3) :]}"
    line = "".join(" " if c.isspace() else "\ufffd" if _is_unsafe(c) else c for c in text)
    return line.strip() or "(no name)"


def _is_unsafe(character: str) -> bool:
    # Cc and Cs are control characters and lone surrogates.
    return unicodedata.category(character) in {"Cc", "Cs"} or character in _UNSAFE


def display_width(text: str) -> int:
    """Number of terminal columns of a text: East Asian letters take two, accents none."""
    from wcwidth import wcswidth

    width = wcswidth(text)
    return len(text) if width < 0 else width  # negative for control characters


def format_number(value: Any, digits: int = 3) -> str:
    """Format a number with significant digits, and integers with thousands separators.

    None gives an empty text, and infinity and NaN give "not finite".
    """
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    value = float(value)
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(decimals, 0)}f}"


def format_percent(share: float | None, decimals: int = 1) -> str:
    """Format a share as a percentage; an empty text if it is None or not finite.

    A positive share that would be rounded to zero is shown as less than the smallest step.
    """
    if share is None or not math.isfinite(share):
        return ""
    step = 10.0**-decimals
    if 0 < 100 * share < step / 2:
        return f"< {step:.{decimals}f} %"
    return f"{100 * share:.{decimals}f} %"


def describe_value(value: object, limit: int = 80) -> str:
    """Describe an argument for an error message, without any cell of a table.

    Strings, numbers and classes are shown, and short lists of strings. Tables are described by
    type and shape, and other containers by type and length.
    """
    shape, kind = getattr(value, "shape", None), type(value).__name__
    if isinstance(shape, tuple) and shape:
        return f"{kind} of shape {shape}"
    if isinstance(value, (list, tuple, set, frozenset)):
        is_plain = all(item is None or isinstance(item, (str, bool, type)) for item in value)
        text = " ".join(repr(value).split())
        return text if is_plain and len(text) <= limit else f"a {kind} of {len(value)}"
    if isinstance(value, dict):
        return f"a dict of {len(value)}"
    if hasattr(value, "__len__") and not isinstance(value, (str, bytes)):
        return f"{kind} of length {len(value)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
