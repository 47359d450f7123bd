"""The signature on a wallet's callback: ``Signature: t=<unix seconds>, s=<base64>`` over ``t.host.body``.

SEP-6, SEP-12, SEP-24 and SEP-31, "Callback signature". The timestamp is part of what is signed and receivers
refuse old ones, so every attempt signs anew. The receiver's half is ``eventproc.receiver``.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eventproc.signed_text import LEGACY_SIGNATURE_HEADER, SIGNATURE_HEADER, signed_bytes
from eventproc.strkey import decode_seed, encode_account


class StellarSignature:
    """Signs bodies for one host with the anchor's SEP-10 key.

    Args:
        seed: the ``S…`` seed; only the key made of it is kept, and never shown. Raises StrkeyError.
        host: what the receiver knows itself as, see ``signed_host``.
        legacy_header: whether to send ``X-Stellar-Signature`` too.
    """

    __slots__ = ("_fingerprint", "_host", "_key", "_names")

    def __init__(self, seed: str, host: str, legacy_header: bool = False) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(decode_seed(seed))
        self._host = host
        self._names = (SIGNATURE_HEADER, LEGACY_SIGNATURE_HEADER) if legacy_header else (SIGNATURE_HEADER,)
        self._fingerprint = f"stellar {self.account} {host}"

    def __repr__(self) -> str:
        return f"StellarSignature(account={self.account!r}, host={self._host!r})"

    @property
    def account(self) -> str:
        """The ``G…`` account that the signatures verify with."""
        return encode_account(self._key.public_key().public_bytes_raw())

    def headers(self, body: bytes, now: float) -> dict[str, str]:
        """The signature headers for exactly these bytes; ``now`` in seconds since the epoch."""
        timestamp = int(now)
        signature = self._key.sign(signed_bytes(timestamp, self._host, body))
        value = f"t={timestamp}, s={base64.b64encode(signature).decode()}"
        return dict.fromkeys(self._names, value)

    def fingerprint(self, now: float) -> str:  # noqa: ARG002 - one key for all time
        """Name the key in use; no secret."""
        return self._fingerprint
