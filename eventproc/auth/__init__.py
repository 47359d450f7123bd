"""Step 6 – sign: the headers that prove who sends, made anew for every attempt.

A new auth type is one file here and one line in ``AUTH_TYPES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from eventproc.auth.api_key import ApiKeyAuth
from eventproc.auth.jwt import JwtAuth
from eventproc.auth.stellar_signature import StellarSignature

__all__ = ["AUTH_TYPES", "ApiKeyAuth", "Authenticator", "JwtAuth", "NoAuth", "StellarSignature"]


class Authenticator(Protocol):
    """What adds proof of the sender to one request."""

    def headers(self, body: bytes, now: float) -> dict[str, str]:
        """Headers for exactly these bytes at this moment (seconds since the epoch)."""

    def fingerprint(self, now: float) -> str:
        """Name the key in use at this moment, so that a change shows; holds no secret."""


class NoAuth:
    """No proof at all (``callback_api.auth.type: none``)."""

    __slots__ = ()

    def headers(self, body: bytes, now: float) -> dict[str, str]:  # noqa: ARG002 - nothing to say
        """No headers."""
        return {}

    def fingerprint(self, now: float) -> str:  # noqa: ARG002 - one key for all time
        """Name the key in use; no secret."""
        return "none"


AUTH_TYPES: Final[Mapping[str, type[Authenticator]]] = MappingProxyType(
    {
        "none": NoAuth,
        "jwt": JwtAuth,
        "api_key": ApiKeyAuth,
        "stellar_signature": StellarSignature,
    }
)
"""Name -> implementation: ``callback_api.auth.type`` chooses among the first three, wallets get the last."""
