"""Texts without secrets, for reasons, warnings and records."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"""(?ix)
      (?<=bearer\s)[^\s'"]+                     # a token in a header
    | eyJ[\w-]+\.[\w-]+\.?[\w-]*                # a JSON web token anywhere
    | (?<=sig=)[^&\s'"]+                        # the signature of a shared access URL
    | (?<=accountkey=)[^;\s'"]+                 # a storage key
    | (?<=secret=)[^&;\s'"]+
    """
)


def redact(text: str, *secrets: str | None) -> str:
    """``text`` without tokens, signatures and keys, on one line of at most 500 characters."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    line = " ".join(_SECRET.sub("***", text).split())
    return line if len(line) <= 500 else f"{line[:497]}..."


def without_credentials(uri: str) -> str:
    """A tracking or database URI without the user, password and query that it may carry."""
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme in {"file", "sqlite"}:
        return uri
    # Passwords may hold any character, so all up to the last @ goes.
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
