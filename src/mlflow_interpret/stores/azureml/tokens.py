"""What a bearer token says of itself; its signature is the service's business."""

from __future__ import annotations

import base64
import json


def expiry_of(token: str) -> float | None:
    """When a JSON web token expires, in seconds since 1970, or None where it does not say."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None
