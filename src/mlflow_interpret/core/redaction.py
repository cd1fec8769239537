"""Redaction of secrets in reasons, warnings and records."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"""(?ix)
      (?<=bearer\s)[^\s'"]+                     # a token in a header
    | eyJ[\w-]+\.[\w-]+\.?[\w-]*                # a JSON web token
    | (?<=sig=)[^&\s'"]+                        # the signature of a shared access URL
    | (?<=accountkey=)[^;\s'"]+                 # a storage key
    | (?<=secret=)[^&;\s'"]+
    """
)
_MAX_LENGTH = 500


def redact(text: str, *secrets: str | None) -> str:
    """Return a text without secrets, on one line of at most 500 characters.

    Args:
        text: The text; tokens, signatures and keys are recognised.
        secrets: Further secrets to remove.
    """
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    line = " ".join(_SECRET.sub("***", text).split())
    return line if len(line) <= _MAX_LENGTH else f"{line[: _MAX_LENGTH - 3]}..."


def without_credentials(uri: str) -> str:
    """Return a tracking or database URI without user, password and query."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme in {"file", "sqlite"}:
        return uri
    # A password may hold any character, so everything up to the last @ is removed.
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
