"""Stellar's text form of keys (SEP-23): base32 of a version byte, the key, and a CRC-16/XMODEM.

No error raised here shows the text it complains about: it may be a seed with one wrong letter.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from eventproc.errors import StrkeyError

_SEED: Final = 18 << 3  # S…
_ACCOUNT: Final = 6 << 3  # G…
_MUXED: Final = 12 << 3  # M…: an account's key and a 64-bit id
_KEY_BYTES: Final = 32
_MUXED_BYTES: Final = 40


def decode_seed(seed: str) -> bytes:
    """The 32 bytes of an ed25519 seed from its ``S…`` text. Raises StrkeyError."""
    return _decode(seed, _SEED, _KEY_BYTES, "a secret seed (S…)")


def decode_account(account: str) -> bytes:
    """The 32 bytes of an ed25519 public key from its ``G…`` text. Raises StrkeyError."""
    return _decode(account, _ACCOUNT, _KEY_BYTES, "an account (G…)")


def encode_account(key: bytes) -> str:
    """The ``G…`` text of a 32-byte ed25519 public key. Raises StrkeyError on another length."""
    if len(key) != _KEY_BYTES:
        raise StrkeyError(
            f"an account's key has {_KEY_BYTES} bytes, not {len(key)}: pass an ed25519 public key"
        )
    return _encode(_ACCOUNT, key)


def base_account(account: str) -> str:
    """The ``G…`` account below a muxed ``M…`` one; a ``G…`` is its own. Raises StrkeyError."""
    if account.startswith("M"):
        return encode_account(_decode(account, _MUXED, _MUXED_BYTES, "a muxed account (M…)")[:_KEY_BYTES])
    decode_account(account)
    return account


def _encode(version: int, payload: bytes) -> str:
    body = bytes((version,)) + payload
    checksum = binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(body + checksum).decode().rstrip("=")


def _decode(text: str, version: int, length: int, what: str) -> bytes:
    try:
        decoded = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        # From None: the cause's own message is harmless today, its traceback would show the text in a frame.
        raise StrkeyError(f"not {what}: it is no base32; copy the key again") from None
    payload = decoded[1:-2]
    if not decoded or decoded[0] != version or len(payload) != length:
        raise StrkeyError(f"not {what}: it is another kind of key or cut short; copy the key again")
    if _encode(version, payload) != text:
        raise StrkeyError(f"not {what}: the checksum does not fit, a letter is wrong; copy the key again")
    return payload
