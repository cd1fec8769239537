"""What errors say."""

from __future__ import annotations

import pytest

from mlflow_interpret.core.errors import CannotExplainError, one_line, quoting
from mlflow_interpret.core.redaction import without_credentials


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n  b", "a b"),
        ("", "ValueError"),
        ("at http://me:p@ss-7@host:5000/api failed", "at http://host:5000/api failed"),
        ("at https://host/a@b", "at https://host/a@b"),
        ("a \x1b[2Jcell\u202e \x00", "a \ufffd[2Jcell\ufffd \ufffd"),
        ("x" * 400, f"{'x' * 297}..."),
    ],
)
def test_an_error_is_one_line_without_passwords(text, expected):
    assert one_line(ValueError(text)) == expected


def test_credentials_are_taken_out_of_addresses():
    clean = without_credentials
    assert clean("https://user:secret@host:80/path?token=secret") == "https://host:80/path"
    assert clean("postgresql://user:secret@host/db") == "postgresql://host/db"
    assert clean("postgresql://user:pa/s#s@host/db") == "postgresql://host/db"
    assert clean("mysql://user:[x@host/db?ssl=secret") == "mysql://host/db"
    assert clean("sqlite:///a@b.db") == "sqlite:///a@b.db"
    assert clean("databricks") == "databricks"


def test_texts_of_others_are_left_out_where_they_may_quote_rows():
    with quoting(False):
        assert one_line(ValueError("cell 5")).startswith("ValueError (its text may hold")
        assert one_line(CannotExplainError("of ours")) == "of ours"
        assert "cell" not in one_line(KeyError("cell"))
        with quoting(True) as quoted:
            assert one_line(ValueError("cell 5")) == "cell 5"
            assert one_line(CannotExplainError("of ours")) == "of ours"
    assert quoted == ["cell 5"]
    assert one_line(ValueError("cell 5")) == "cell 5"
