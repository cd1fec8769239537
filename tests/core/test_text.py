"""Text for people: names, widths, numbers and percentages."""

from __future__ import annotations

import pytest

from explanations import HOSTILE
from mlflow_interpret.core.text import (
    NAME_LENGTH,
    display_width,
    format_number,
    format_percent,
    truncate,
)


def test_truncated_names_are_one_line_of_limited_length():
    assert truncate("age") == "age"
    assert truncate("") == truncate("\n\t ") == "(no name)"
    assert truncate(3) == "3"
    assert truncate("a\nb\u2028c") == "a b c"
    long = truncate("start " + "x" * 10_000 + " end")
    assert len(long) == NAME_LENGTH
    assert long.startswith("start x")
    assert long.endswith("x end")
    assert "…" in long
    for name in HOSTILE:
        assert not set(truncate(name)) & set("\x00\x1b\n\u2028\u2029\u202e\ud800")
    assert truncate("Größe 年齢 עברית") == "Größe 年齢 עברית"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "true"), (1234567, "1,234,567"), (0.0, "0"), (0.123456, "0.123"),
        (12.3456, "12.3"), (1234.5, "1,234"), (1.5e-7, "1.50e-7"), (2.5e12, "2.50e12"),
        (-0.5, "-0.500"), (float("nan"), "not finite"), (float("-inf"), "not finite"),
    ],
)  # fmt: skip
def test_number_format(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.5,), "50.0 %"), ((0.5, 0), "50 %"), ((0.0, 0), "0 %"), ((0.001, 0), "< 1 %"),
        ((0.0001,), "< 0.1 %"), ((None,), ""), ((float("nan"),), ""),
    ],
)  # fmt: skip
def test_percent_format(arguments, text):
    assert format_percent(*arguments) == text


@pytest.mark.parametrize(("text", "width"), [("age", 3), ("年齢", 4), ("e\u0301", 1), ("", 0)])
def test_display_width(text, width):
    assert display_width(text) == width


def test_truncated_names_have_no_character_that_xml_forbids():
    assert truncate("a\uffffb\ufffe") == "a\ufffdb\ufffd"
