"""The old Java key store (JKS), to be read only: its certificates and its first private key.

The format is Java's own and has not changed since 1998; keytool makes PKCS12 since Java 9. Read here, in the
few lines it takes: the one library for it (pyjks) has had no release since 2019 and needs a C compiler, for
ciphers that JKS does not have.

::

    magic 4 | version 4 | entries 4 | entry … | SHA-1 over password, "Mighty Aphrodite" and all before
    entry:   tag 4 (1 key, 2 certificate) | alias | time 8 | [key] | [count 4] certificate …
    alias, certificate's type: length 2, UTF-8        key, certificate: length 4, DER
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

MAGIC: Final = b"\xfe\xed\xfe\xed"

_VERSION: Final = 2
_KEY, _CERTIFICATE = 1, 2
_DIGEST_BYTES: Final = 20
_WHITENER: Final = b"Mighty Aphrodite"
_SEQUENCE, _OCTETS = 0x30, 0x04
_KEY_PROTECTOR: Final = bytes.fromhex("060a2b060104012a02110101")
"""1.3.6.1.4.1.42.2.17.1.1 in DER: the one algorithm that keys in a JKS are locked with."""


class JavaKeyStoreError(Exception):
    """The store is damaged or locked with another password; says which, never the password."""


@dataclass(frozen=True, slots=True)
class JavaKeyStore:
    """What is in a store, all of it DER."""

    trusted: tuple[bytes, ...]
    """The certificates that stand alone."""
    chain: tuple[bytes, ...]
    """The certificates of the first private key, its own first."""
    locked_key: bytes | None
    """The first private key; ``unlock_key`` opens it."""


def read_java_key_store(raw: bytes, password: str | None) -> JavaKeyStore:
    """Read a store; as in Java it is read without a password, too, when nothing proves that it is whole.

    Raises:
        JavaKeyStoreError: it is damaged, or the password is another.
    """
    body, seal = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
    if password is not None and _digest(_utf16(password), _WHITENER, body) != seal:
        raise JavaKeyStoreError("wrong password, or damaged")
    try:
        return _read_entries(_Reader(body))
    except (struct.error, UnicodeDecodeError) as error:
        raise JavaKeyStoreError("damaged") from error


def unlock_key(locked_key: bytes, password: str) -> bytes:
    """The private key as PKCS8.

    Raises:
        JavaKeyStoreError: the password is another, or the key is damaged.
    """
    secret, sealed = _utf16(password), _locked_bytes(locked_key)
    digest, seal = sealed[:_DIGEST_BYTES], sealed[-_DIGEST_BYTES:]
    locked = sealed[_DIGEST_BYTES:-_DIGEST_BYTES]
    key = bytearray()
    for start in range(0, len(locked), _DIGEST_BYTES):
        digest = _digest(secret, digest)
        part = locked[start : start + _DIGEST_BYTES]
        key += bytes(a ^ b for a, b in zip(part, digest[: len(part)], strict=True))
    if _digest(secret, bytes(key)) != seal:
        raise JavaKeyStoreError("the private key has another password")
    return bytes(key)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(kind, self._data, self._at)
        self._at += struct.calcsize(kind)
        return int(value)

    def block(self, length_kind: str) -> bytes:
        length = self.number(length_kind)
        (value,) = struct.unpack_from(f"{length}s", self._data, self._at)
        self._at += length
        return bytes(value)


def _read_entries(reader: _Reader) -> JavaKeyStore:
    magic, version, count = (reader.number(">I") for _ in range(3))
    if magic.to_bytes(4, "big") != MAGIC or version != _VERSION:
        raise JavaKeyStoreError(f"not version {_VERSION} of the format")
    trusted: list[bytes] = []
    keys: list[tuple[bytes, tuple[bytes, ...]]] = []
    for _ in range(count):
        tag, _alias, _time = reader.number(">I"), reader.block(">H"), reader.number(">Q")
        if tag == _CERTIFICATE:
            trusted.append(_certificate(reader))
        elif tag == _KEY:
            locked = reader.block(">I")
            keys.append((locked, tuple(_certificate(reader) for _ in range(reader.number(">I")))))
        else:
            raise JavaKeyStoreError("damaged")
    locked_key, chain = keys[0] if keys else (None, ())
    return JavaKeyStore(tuple(trusted), chain, locked_key)


def _certificate(reader: _Reader) -> bytes:
    reader.block(">H").decode("utf-8")  # "X.509"
    return reader.block(">I")


def _locked_bytes(der: bytes) -> bytes:
    """Salt, locked key and seal out of an EncryptedPrivateKeyInfo (RFC 5208)."""
    algorithm, rest = _split_der(_split_der(der, _SEQUENCE)[0], _SEQUENCE)
    if not algorithm.startswith(_KEY_PROTECTOR):
        raise JavaKeyStoreError("the private key is locked in a way that JKS does not have")
    return _split_der(rest, _OCTETS)[0]


def _split_der(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the value in front, which has this tag, and what stands behind it."""
    if len(der) < 2 or der[0] != tag:
        raise JavaKeyStoreError("the private key is damaged")
    start, length = 2, der[1]
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return der[start : start + length], der[start + length :]


def _utf16(password: str) -> bytes:
    return password.encode("utf-16-be")


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).digest()
