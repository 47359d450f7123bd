"""A fixed key in a header (``callback_api.auth.type: api_key``)."""

from __future__ import annotations

from eventproc.auth.fingerprints import short_digest


class ApiKeyAuth:
    """``<header>: <key>``. The Anchor Platform ignores the configured header's name; here it counts."""

    __slots__ = ("_fingerprint", "_header", "_key")

    def __init__(self, key: str, header: str) -> None:
        self._key = key
        self._header = header
        self._fingerprint = f"api_key {header} {short_digest(key)}"

    def __repr__(self) -> str:
        return f"ApiKeyAuth(header={self._header!r})"

    def headers(self, body: bytes, now: float) -> dict[str, str]:  # noqa: ARG002 - the same for all requests
        """The header, the same at every call."""
        return {self._header: self._key}

    def fingerprint(self, now: float) -> str:  # noqa: ARG002 - one key for all time
        """Name the key in use; no secret."""
        return self._fingerprint
