"""What a callback's signature is made over: names, host and bytes, for the sender and the receiver.

SEP-6, SEP-12, SEP-24 and SEP-31, "Callback signature".
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

SIGNATURE_HEADER: Final = "Signature"
LEGACY_SIGNATURE_HEADER: Final = "X-Stellar-Signature"
EVENT_ID_HEADER: Final = "X-Event-Id"


def signed_host(url: str) -> str:
    """The host that is signed for ``url``: as the URL writes it, with the port only if the URL names one.

    The brackets of an IPv6 address and the letters' case stay (AP ``NetUtil.getDomainFromURL``); user and
    password do not belong to it.
    """
    return urlsplit(url).netloc.rpartition("@")[2].removesuffix(":")


def signed_bytes(timestamp: int, host: str, body: bytes) -> bytes:
    """``<t>.<host>.<body>``; ``timestamp`` in seconds since the epoch, the body byte for byte."""
    return f"{timestamp}.{host}.".encode() + body
