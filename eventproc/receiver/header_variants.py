"""Reading a signature header that is not as it should be: what it may have been before."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from eventproc.receiver.errors import MalformedSignatureError
from eventproc.receiver.findings import Cause, Finding, finding
from eventproc.receiver.verifier import read_signature

_SIGNATURE_BYTES: Final = 64
_MILLISECONDS: Final = 100_000_000_000
_PREFIX: Final = re.compile(r"^\s*(?:X-Stellar-)?Signature\s*:\s*", re.IGNORECASE)
_TIME: Final = re.compile(r"(?:^|[\s,;\"'])t\s*=\s*\"?([0-9]{1,15})(?![0-9])", re.ASCII)
_VALUE: Final = re.compile(r"(?:^|[\s,;\"'])s\s*=\s*\"?([^,;\"']+)")


@dataclass(frozen=True, slots=True)
class Reading:
    """A header as read; without findings it has the right form."""

    timestamp: int
    signature: bytes
    findings: tuple[Finding, ...] = ()


def read_leniently(header: str) -> Reading | Finding:
    """What the header says, and what is wrong with its form; a finding alone where it says too little."""
    try:
        return Reading(*read_signature(header))
    except MalformedSignatureError:
        pass
    text = unquote(_PREFIX.sub("", header.strip())) if "%" in header else _PREFIX.sub("", header.strip())
    time, value = _TIME.search(text), _VALUE.search(text)
    if time is None or value is None:
        missing = " and ".join(name for name, found in (("t=", time), ("s=", value)) if found is None)
        return finding(
            Cause.MALFORMED_HEADER, f"the header has no usable {missing}" if header else "the header is empty"
        )
    timestamp = int(time[1])
    for what, decode in _DECODERS:
        signature = _decoded(decode, value[1].strip())
        if signature is not None:
            return Reading(timestamp, signature, tuple(_form_findings(timestamp, what)))
    return finding(
        Cause.MALFORMED_HEADER,
        f"s= holds no 64 bytes of signature, in no encoding tried: {len(value[1].strip())} characters, "
        "where base64 has 88; it may be cut short",
    )


def _form_findings(timestamp: int, encoding: str | None) -> Iterator[Finding]:
    if encoding is not None:
        yield finding(Cause.SIGNATURE_ENCODING, f"s= is {encoding}, not plain base64")
    if timestamp >= _MILLISECONDS:
        yield finding(Cause.MALFORMED_HEADER, "t= is in milliseconds, not in seconds")
    if encoding is None and timestamp < _MILLISECONDS:
        yield finding(
            Cause.MALFORMED_HEADER, "the header says the right things in another form than t=…, s=…"
        )


def _decoded(decode: Callable[[str], bytes], text: str) -> bytes | None:
    try:
        decoded = decode(text)
    except (ValueError, binascii.Error):
        return None
    return decoded if len(decoded) == _SIGNATURE_BYTES else None


def _padded(text: str) -> str:
    bare = text.rstrip("=")
    return bare + "=" * (-len(bare) % 4)


_DECODERS: Final[tuple[tuple[str | None, Callable[[str], bytes]], ...]] = (
    (None, lambda text: base64.b64decode(text, validate=True)),
    ("base64 without its padding", lambda text: base64.b64decode(_padded(text), validate=True)),
    ("URL-safe base64", lambda text: base64.b64decode(_padded(text), altchars=b"-_", validate=True)),
    ("hexadecimal", bytes.fromhex),
    (
        "base64 whose + became spaces",
        lambda text: base64.b64decode(_padded(text.replace(" ", "+")), validate=True),
    ),
)
