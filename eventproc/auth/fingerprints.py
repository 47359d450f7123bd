"""Name a secret without giving it away: to see that it has changed, not what it is."""

from __future__ import annotations

import hashlib
from typing import Final

DIGEST_HEX: Final = 4
"""16 bits: each list of candidates has one in 65,536 that fit, so the digest confirms no guess.

A change of the secret goes unnoticed once in 65,536 times.
"""


def short_digest(secret: str | bytes) -> str:
    """Return a digest too short to find the secret by trying candidates, however weak the secret is."""
    data = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    return hashlib.sha256(b"eventproc fingerprint\0" + data).hexdigest()[:DIGEST_HEX]
