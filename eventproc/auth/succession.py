"""One proof until a moment, another from then on: a key that is changed at a planned time."""

from __future__ import annotations

from typing import Protocol


class _Proof(Protocol):
    def headers(self, body: bytes, now: float) -> dict[str, str]:
        """As ``Authenticator.headers``."""

    def fingerprint(self, now: float) -> str:
        """As ``Authenticator.fingerprint``."""


class Succession:
    """``present`` before ``at`` (seconds since the epoch), ``following`` from it on, at each attempt anew."""

    __slots__ = ("_at", "_following", "_present")

    def __init__(self, present: _Proof, following: _Proof, at: float) -> None:
        self._present = present
        self._following = following
        self._at = at

    def __repr__(self) -> str:
        return f"Succession({self._present!r}, {self._following!r}, at={self._at!r})"

    def headers(self, body: bytes, now: float) -> dict[str, str]:
        """The headers of whoever's time it is."""
        return (self._present if now < self._at else self._following).headers(body, now)

    def fingerprint(self, now: float) -> str:
        """Name the key whose time it is."""
        return (self._present if now < self._at else self._following).fingerprint(now)
