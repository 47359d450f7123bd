"""A JWT that tells the business server who calls (``callback_api.auth.type: jwt``)."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import Any, Final

import jwt
import orjson
from jwt.algorithms import HMACAlgorithm

from eventproc.auth.fingerprints import short_digest
from eventproc.errors import ConfigurationError

_RECOMMENDED_KEY_BYTES: Final = 32


class Hs256:
    """Makes HS256 tokens with one secret, whatever its length.

    The key is prepared, hashed and the header encoded once: ``jwt.encode`` does that for every token (19 µs,
    here 3). PyJWT judges the key, and reads the tokens in the tests.

    PyJWT warns at every token about a secret below 32 bytes, and the guide's own example has 25; the
    operator hears of it once, when settings are read. HMAC fills a short key up with zero bytes (RFC 2104),
    so filling it up here changes no signature.

    Raises ConfigurationError for a secret that is a public key's text: whoever has that key could sign.
    """

    __slots__ = ("_mac",)

    def __init__(self, secret: bytes) -> None:
        algorithm = HMACAlgorithm(HMACAlgorithm.SHA256)
        try:
            key = algorithm.prepare_key(secret.ljust(_RECOMMENDED_KEY_BYTES, b"\0"))
        except jwt.InvalidKeyError:
            problem = "a JWT secret is the text of a PEM or SSH key: use a random secret of 32 bytes or more"
            raise ConfigurationError([problem]) from None
        self._mac = hmac.new(key, digestmod="sha256")

    def encode(self, claims: dict[str, Any]) -> str:
        """The token in its compact form (RFC 7515, 7.1)."""
        signed = _HEADER + _base64url(orjson.dumps(claims))
        mac = self._mac.copy()
        mac.update(signed)
        return (signed + b"." + _base64url(mac.digest())).decode()


class JwtAuth:
    """``<header>: Bearer <jwt>`` with ``iat`` and ``exp``, reused while half of its life remains.

    Args:
        secret: the key, as bytes. Raises ConfigurationError as ``Hs256`` does, at once.
        expiration_ms: the token's life in milliseconds; settings refuse less than 5000.
        header: the header's name.
    """

    __slots__ = ("_fingerprint", "_header", "_issued_at", "_life_seconds", "_tokens", "_value")

    def __init__(self, secret: bytes, expiration_ms: int, header: str) -> None:
        self._tokens = Hs256(secret)
        self._life_seconds = expiration_ms // 1000
        self._header = header
        self._issued_at: int | None = None
        self._value = ""
        self._fingerprint = f"jwt {header} {short_digest(secret)}"

    def __repr__(self) -> str:
        return f"JwtAuth(header={self._header!r}, life_seconds={self._life_seconds})"

    def headers(self, body: bytes, now: float) -> dict[str, str]:  # noqa: ARG002 - the token is not about the body
        """The header for this moment; ``now`` in seconds since the epoch."""
        # Below zero: the clock was set back, and receivers would take the token for one not yet valid.
        if self._issued_at is None or not 0 <= now - self._issued_at <= self._life_seconds / 2:
            self._issued_at = int(now)
            claims = {"iat": self._issued_at, "exp": self._issued_at + self._life_seconds}
            self._value = f"Bearer {self._tokens.encode(claims)}"
        return {self._header: self._value}

    def fingerprint(self, now: float) -> str:  # noqa: ARG002 - one key for all time
        """Name the key in use; no secret."""
        return self._fingerprint


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


_HEADER: Final = _base64url(b'{"alg":"HS256","typ":"JWT"}') + b"."
