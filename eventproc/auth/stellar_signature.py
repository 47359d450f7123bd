"""The signature on a wallet's callback: ``Signature: t=<unix seconds>, s=<base64>`` over ``t.host.body``.

SEP-6, SEP-12, SEP-24 and SEP-31, "Callback signature". The timestamp is part of what is signed and receivers
refuse old ones, so every attempt signs anew. ``verify_signature`` is the receiver's half.
"""

from __future__ import annotations

import base64
import enum
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from eventproc.auth.strkey import decode_account, decode_seed, encode_account

SIGNATURE_HEADER: Final = "Signature"
LEGACY_SIGNATURE_HEADER: Final = "X-Stellar-Signature"

_HEADER: Final = re.compile(r"t=([0-9]{1,15})\s*,\s*s=([A-Za-z0-9+/]{86}==)", re.ASCII)


class StellarSignature:
    """Signs bodies for one host with the anchor's SEP-10 key.

    Args:
        seed: the ``S…`` seed; only the key made of it is kept, and never shown. Raises StrkeyError.
        host: what the receiver knows itself as, see ``signed_host``.
        legacy_header: whether to send ``X-Stellar-Signature`` too.
    """

    __slots__ = ("_host", "_key", "_names")

    def __init__(self, seed: str, host: str, legacy_header: bool = False) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(decode_seed(seed))
        self._host = host
        self._names = (SIGNATURE_HEADER, LEGACY_SIGNATURE_HEADER) if legacy_header else (SIGNATURE_HEADER,)

    def __repr__(self) -> str:
        return f"StellarSignature(account={self.account!r}, host={self._host!r})"

    @property
    def account(self) -> str:
        """The ``G…`` account that the signatures verify with."""
        return encode_account(self._key.public_key().public_bytes_raw())

    def headers(self, body: bytes, now: float) -> dict[str, str]:
        """The signature headers for exactly these bytes; ``now`` in seconds since the epoch."""
        timestamp = int(now)
        signature = self._key.sign(_signed_bytes(timestamp, self._host, body))
        value = f"t={timestamp}, s={base64.b64encode(signature).decode()}"
        return dict.fromkeys(self._names, value)


class RejectReason(enum.Enum):
    """Why a receiver does not trust a callback."""

    MALFORMED = "the header is not t=<unix seconds>, s=<base64>"
    TOO_OLD = "the timestamp is too old"
    IN_THE_FUTURE = "the timestamp is ahead of this clock"
    WRONG_SIGNATURE = "the signature is not of these bytes, this host and this account"


@dataclass(frozen=True, slots=True)
class Verified:
    """The callback is the anchor's; ``timestamp`` is when it was signed, in seconds since the epoch."""

    timestamp: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The callback is not to be trusted."""

    reason: RejectReason
    age_seconds: float | None = field(default=None)


def verify_signature(
    header: str, host: str, body: bytes, account: str, now: float, *, max_age_seconds: float = 120
) -> Verified | Rejected:
    """Check a ``Signature`` header as a receiver does.

    Args:
        header: the header's value.
        host: the receiver's host, with ``:port`` when its callback URL names one.
        body: the exact bytes received.
        account: the anchor's ``G…`` account, ``SIGNING_KEY`` in its stellar.toml. Raises StrkeyError.
        now: seconds since the epoch.
        max_age_seconds: how far the timestamp may be from ``now``, to either side.
    """
    key = Ed25519PublicKey.from_public_bytes(decode_account(account))
    match = _HEADER.fullmatch(header.strip())
    if match is None:
        return Rejected(RejectReason.MALFORMED)
    timestamp, age_seconds = int(match[1]), now - int(match[1])
    if age_seconds > max_age_seconds:
        return Rejected(RejectReason.TOO_OLD, age_seconds)
    if age_seconds < -max_age_seconds:
        return Rejected(RejectReason.IN_THE_FUTURE, age_seconds)
    try:
        key.verify(base64.b64decode(match[2]), _signed_bytes(timestamp, host, body))
    except InvalidSignature:
        return Rejected(RejectReason.WRONG_SIGNATURE, age_seconds)
    return Verified(timestamp)


def signed_host(url: str) -> str:
    """The host that is signed for ``url``: as the URL writes it, with the port only if the URL names one.

    The brackets of an IPv6 address and the letters' case stay (AP ``NetUtil.getDomainFromURL``); user and
    password do not belong to it.
    """
    return urlsplit(url).netloc.rpartition("@")[2].removesuffix(":")


def _signed_bytes(timestamp: int, host: str, body: bytes) -> bytes:
    return f"{timestamp}.{host}.".encode() + body
