"""A JWT that tells the business server who calls (``callback_api.auth.type: jwt``)."""

from __future__ import annotations

from typing import Any, Final

import jwt

from eventproc.errors import ConfigurationError

_RECOMMENDED_KEY_BYTES: Final = 32


def encode_hs256(claims: dict[str, Any], secret: bytes) -> str:
    """An HS256 token of these claims, whatever the secret's length.

    PyJWT warns at every token about a secret below 32 bytes, and the guide's own example has 25; the
    operator hears of it once, when settings are read. HMAC fills a short key up with zero bytes (RFC 2104),
    so filling it up here changes no signature.

    Raises ConfigurationError for a secret that is a public key's text: whoever has that key could sign.
    """
    try:
        return jwt.encode(claims, secret.ljust(_RECOMMENDED_KEY_BYTES, b"\0"), algorithm="HS256")
    except jwt.InvalidKeyError:
        problem = "a JWT secret is the text of a PEM or SSH key: use a random secret of 32 bytes or more"
        raise ConfigurationError([problem]) from None


class JwtAuth:
    """``<header>: Bearer <jwt>`` with ``iat`` and ``exp``, reused while half of its life remains.

    Args:
        secret: the key, as bytes. Raises ConfigurationError as ``encode_hs256`` does, at once.
        expiration_ms: the token's life in milliseconds; settings refuse less than 5000.
        header: the header's name.
    """

    __slots__ = ("_header", "_issued_at", "_life_seconds", "_secret", "_value")

    def __init__(self, secret: bytes, expiration_ms: int, header: str) -> None:
        self._secret = secret
        self._life_seconds = expiration_ms // 1000
        self._header = header
        self._issued_at: int | None = None
        self._value = ""
        encode_hs256({}, secret)

    def __repr__(self) -> str:
        return f"JwtAuth(header={self._header!r}, life_seconds={self._life_seconds})"

    def headers(self, body: bytes, now: float) -> dict[str, str]:  # noqa: ARG002 - the token is not about the body
        """The header for this moment; ``now`` in seconds since the epoch."""
        # Below zero: the clock was set back, and receivers would take the token for one not yet valid.
        if self._issued_at is None or not 0 <= now - self._issued_at <= self._life_seconds / 2:
            self._issued_at = int(now)
            claims = {"iat": self._issued_at, "exp": self._issued_at + self._life_seconds}
            self._value = f"Bearer {encode_hs256(claims, self._secret)}"
        return {self._header: self._value}
