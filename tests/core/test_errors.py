"""Messages of errors."""

from __future__ import annotations

import pytest

from mlflow_interpret.core.errors import (
    CannotExplainError,
    describe_error,
    describe_unexpected,
    one_line,
)
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


def test_credentials_are_removed_from_addresses():
    clean = without_credentials
    assert clean("https://user:secret@host:80/path?token=secret") == "https://host:80/path"
    assert clean("postgresql://user:secret@host/db") == "postgresql://host/db"
    assert clean("postgresql://user:pa/s#s@host/db") == "postgresql://host/db"
    assert clean("mysql://user:[x@host/db?ssl=secret") == "mysql://host/db"
    assert clean("sqlite:///a@b.db") == "sqlite:///a@b.db"
    assert clean("databricks") == "databricks"


def test_texts_of_foreign_errors_that_may_quote_rows_are_left_out():
    foreign, own = ValueError("cell 5"), CannotExplainError("the model is not fitted")
    assert describe_error(foreign, log_data=True) == "cell 5"
    assert describe_error(foreign, log_data=False).startswith("ValueError (its text may hold")
    assert describe_unexpected(foreign, log_data=True) == "ValueError: cell 5"
    assert describe_unexpected(foreign, log_data=False) == "ValueError"
    both = CannotExplainError("the model failed", foreign)
    assert describe_error(both, log_data=True) == "the model failed: cell 5"
    assert "cell 5" not in describe_error(both, log_data=False)
    for log_data in (True, False):
        assert describe_error(own, log_data=log_data) == "the model is not fitted"
