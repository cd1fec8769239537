"""Issue and recognise bearer tokens."""

from __future__ import annotations

import secrets
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import jwt

from .messages import ServiceError
from .workspace import Workspace

RUN = "run"
"""Kind of the token of a job."""
USER = "user"
"""Kind of the token of a user who logged in at the directory."""

ANYBODY = frozenset({RUN, USER})
ONLY_USERS = frozenset({USER})
NO_TOKEN: frozenset[str] = frozenset()

LIFETIME = 24 * 3600.0
"""Default seconds until a token expires."""

_ALGORITHM = "HS256"


class TokenIssuer:
    """Issues bearer tokens and recognises its own."""

    def __init__(self, workspace: Workspace, handed_out: set[str]) -> None:
        """Make a key of its own.

        Args:
            workspace: Whose tokens they are.
            handed_out: Receives every token issued.
        """
        self._workspace = workspace
        self._handed_out = handed_out
        self._key = secrets.token_hex(32)

    def issue(self, kind: str, subject: str, lifetime: float = LIFETIME) -> str:
        """Make a token.

        Args:
            kind: ``RUN`` or ``USER``.
            subject: The run or the client it is for.
            lifetime: Seconds until it expires; negative for one that has expired.
        """
        moment = time.time()
        claims = {
            "kind": kind,
            "sub": subject,
            "tid": self._workspace.tenant_id,
            "iss": f"https://sts.windows.net/{self._workspace.tenant_id}/",
            "iat": int(moment),
            "exp": int(moment + lifetime),
            "jti": secrets.token_hex(8),
        }
        token = jwt.encode(claims, self._key, algorithm=_ALGORITHM)
        self._handed_out.add(token)
        return token

    def issue_dated(self, kind: str, subject: str, lifetime: float = LIFETIME) -> tuple[str, str]:
        """Return a token and its expiry (ISO 8601 in UTC)."""
        expiry = datetime.now(timezone.utc) + timedelta(seconds=lifetime)
        return self.issue(kind, subject, lifetime), expiry.strftime("%Y-%m-%dT%H:%M:%SZ")

    def check(self, header: str | None, kinds: frozenset[str]) -> dict[str, Any]:
        """Check an ``Authorization`` header.

        Args:
            header: The header's value, if there was one.
            kinds: The kinds of token that will do.

        Returns:
            The token's claims.

        Raises:
            ServiceError: With status 401, when the token will not do.
        """
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ServiceError(401, "Unauthorized", "A bearer token is required.")
        try:
            claims: dict[str, Any] = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
        except jwt.InvalidTokenError as error:
            message = f"The token is not accepted: {error}"
            raise ServiceError(401, "Unauthorized", message) from error
        if claims["kind"] not in kinds:
            raise ServiceError(401, "Unauthorized", "This kind of token is not accepted here.")
        return claims
