"""What errors say."""

from __future__ import annotations

import pytest

from mlflow_interpret.errors import one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n  b", "a b"),
        ("", "ValueError"),
        ("at http://me:p@ss-7@host:5000/api failed", "at http://host:5000/api failed"),
        ("at https://host/a@b", "at https://host/a@b"),
        ("x" * 400, f"{'x' * 297}..."),
    ],
)
def test_an_error_is_one_line_without_passwords(text, expected):
    assert one_line(ValueError(text)) == expected
