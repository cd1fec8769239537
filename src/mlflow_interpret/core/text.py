"""Text for people: shortened names, display widths, numbers and descriptions of values."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

NAME_LENGTH = 160
"""Characters of a name that a page shows; a longer name loses its middle."""


def truncate(name: Any, limit: int = NAME_LENGTH) -> str:
    """A name as one line of at most ``limit`` characters, none of them invisible control."""
    text = str(name)
    long = len(text) > limit
    if long:  # a cut name may be megabytes: nothing is done with the middle
        text = f"{text[: limit - limit // 3 - 1]}…{text[-(limit // 3) :]}"
    line = "".join(" " if c.isspace() else "\ufffd" if _control(c) else c for c in text)
    return line.strip() or "(no name)"


def display_width(text: str) -> int:
    """How many places a text takes in a terminal: letters of East Asia take two, accents none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def pad_to_width(text: str, width: int) -> str:
    """A text with spaces behind it, up to a width in a terminal."""
    return text + " " * max(0, width - display_width(text))


def format_number(value: Any, digits: int = 3) -> str:
    """A number for people: significant digits, thousands set apart where it is whole."""
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


def describe_value(value: object, limit: int = 80) -> str:
    """What a user gave, for an error: short, and nothing of the rows of a table.

    Text, numbers and classes are shown, lists of them if they are short; of all else the type,
    and the shape or length.
    """
    shape, kind = getattr(value, "shape", None), type(value).__name__
    if isinstance(shape, tuple) and shape:
        return f"{kind} of shape {shape}"
    if isinstance(value, (list, tuple, set, frozenset)):
        plain = all(item is None or isinstance(item, (str, bool, type)) for item in value)
        text = " ".join(repr(value).split())
        return text if plain and len(text) <= limit else f"a {kind} of {len(value)}"
    if isinstance(value, dict):
        return f"a dict of {len(value)}"
    if hasattr(value, "__len__") and not isinstance(value, (str, bytes)):
        return f"{kind} of length {len(value)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _control(character: str) -> bool:
    # Cc and Cs: control characters and lone surrogates; Cf holds the marks that turn text around.
    return unicodedata.category(character) in {"Cc", "Cs"} or character in _TURNING


_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
