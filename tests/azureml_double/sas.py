"""Shared access signatures: links that read and write blobs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlencode

from .messages import BlobError, Request
from .workspace import BLOB_SUFFIX

CONTAINER = "azureml"
_VERSION = "2021-08-06"
_LIFETIME = timedelta(hours=8)


class SharedAccess:
    """Signs and checks links to blobs.

    Attributes:
        account: The storage account's name.
        key: The account's key, in base64.
    """

    def __init__(self, account: str, handed_out: set[str]) -> None:
        """Create a key for an account.

        Args:
            account: The storage account's name.
            handed_out: Receives every signature issued, as it stands in links and decoded.
        """
        self.account = account
        self.key = base64.b64encode(secrets.token_bytes(64)).decode()
        self._handed_out = handed_out

    @property
    def host(self) -> str:
        """The host name of the account's blobs."""
        return self.account + BLOB_SUFFIX

    def link(self, blob: str, permissions: str) -> str:
        """Return a link to a blob.

        Args:
            blob: The blob's name in the container.
            permissions: Letters out of ``rcw``: read, create, write.
        """
        expiry = (datetime.now(timezone.utc) + _LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
        signature = self._sign_blob(blob, permissions, expiry)
        fields = {"sv": _VERSION, "se": expiry, "sr": "b", "sp": permissions, "sig": signature}
        self._handed_out.update((signature, quote(signature, safe="")))
        return f"https://{self.host}/{CONTAINER}/{quote(blob)}?{urlencode(fields)}"

    def account_query(self) -> str:
        """Return a query with all permissions of the account's owner, such as creating containers."""
        expiry = (datetime.now(timezone.utc) + _LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
        # Fields of an account signature: start, addresses, protocol and encryption scope are empty.
        lines = [self.account, "rwlac", "b", "sco", "", expiry, "", "", _VERSION, "", ""]
        fields = {
            "sv": _VERSION,
            "ss": "b",
            "srt": "sco",
            "se": expiry,
            "sp": "rwlac",
            "sig": self._hash("\n".join(lines)),
        }
        return urlencode(fields)

    def check(self, request: Request, blob: str, wanted: str) -> None:
        """Check the link of a request to a blob.

        Args:
            request: The request with the link.
            blob: The name of the blob it asks for.
            wanted: Letters of which the link must have one.

        Raises:
            BlobError: With status 401 or 403, when the link does not permit it.
        """
        query = request.query
        if "sig" not in query:
            raise BlobError(401, "NoAuthenticationInformation", "The link has no signature.")
        permissions, expiry = query.get("sp", ""), query.get("se", "")
        expected = self._sign_blob(blob, permissions, expiry)
        if not hmac.compare_digest(expected, query["sig"]):
            raise BlobError(403, "AuthenticationFailed", "Signature did not match.")
        if expiry < datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"):
            raise BlobError(403, "AuthenticationFailed", "Signature not valid any more.")
        if not set(wanted) & set(permissions):
            message = "The link does not permit this operation."
            raise BlobError(403, "AuthorizationPermissionMismatch", message)

    def _sign_blob(self, blob: str, permissions: str, expiry: str) -> str:
        # Sixteen lines: start, identifier, addresses, protocol, snapshot, encryption scope and the
        # five overrides of answer headers are empty.
        resource = f"/blob/{self.account}/{CONTAINER}/{blob}"
        lines = [permissions, "", expiry, resource, "", "", "", _VERSION, "b", *[""] * 7]
        return self._hash("\n".join(lines))

    def _hash(self, text: str) -> str:
        key = base64.b64decode(self.key)
        return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
