"""A fixed key in a header (``callback_api.auth.type: api_key``)."""

from __future__ import annotations


class ApiKeyAuth:
    """``<header>: <key>``. The Anchor Platform ignores the configured header's name; here it counts."""

    __slots__ = ("_header", "_key")

    def __init__(self, key: str, header: str) -> None:
        self._key = key
        self._header = header

    def __repr__(self) -> str:
        return f"ApiKeyAuth(header={self._header!r})"

    def headers(self, body: bytes, now: float) -> dict[str, str]:  # noqa: ARG002 - the same for all requests
        """The header, the same at every call."""
        return {self._header: self._key}
