"""What is written to the invalid topic for one record: all of it, or as much as fits.

The topic accepts every record that Kafka accepts: neither key nor value, 10 MB of headers, anything. A header
of the copy names each part that was cut, with the size and the SHA-256 of the original part:
``invalid-value: 12000000 bytes, sha256 9f86d0…``.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from eventproc.invalid_records import INVALID_DETAIL, INVALID_REASON
from eventproc.record_limits import record_bytes
from eventproc.records import Headers, Source, source_headers

ORIGINAL_KEY: Final = "invalid-key"
ORIGINAL_VALUE: Final = "invalid-value"
ORIGINAL_HEADERS: Final = "invalid-headers"
DETAIL_BYTES: Final = 1024
NULL: Final = b"null"

_DIGEST_BYTES: Final = 3 * 128
"""For the three headers that tell of what was cut, at most."""


class InvalidCopy(NamedTuple):
    """One record for the invalid topic."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def invalid_copy(
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    *,
    source: Source,
    reason: str,
    detail: str,
    limit: int,
) -> InvalidCopy:
    """Return the copy of one record.

    Args:
        key: the original's.
        value: the original's.
        headers: the original's; ours follow.
        source: where the original is.
        reason: a word of ours.
        detail: for people; cut at ``DETAIL_BYTES``.
        limit: the most bytes of the copy, by ``record_bytes``.
    """
    ours: Headers = [
        *source_headers(source),
        (INVALID_REASON, reason.encode()),
        (INVALID_DETAIL, detail.encode("utf-8", "replace")[:DETAIL_BYTES]),
    ]
    if key is None and value is None:
        # aiokafka sends no record without both. The header tells this empty value from an original one.
        value = b""
        ours.append((ORIGINAL_VALUE, NULL))
    if record_bytes(key, value, [*headers, *ours]) <= limit:
        return InvalidCopy(key, value, [*headers, *ours])
    room = max(0, limit - record_bytes(b"", b"", ours) - _DIGEST_BYTES)
    of_headers = record_bytes(b"", b"", headers) - record_bytes(b"", b"", [])
    for_key, for_value, for_headers = _shares([len(key or b""), len(value or b""), of_headers], room)
    kept = _first_headers(headers, for_headers)
    if len(key or b"") > for_key:
        ours.append((ORIGINAL_KEY, _described(key or b"")))
    if len(value or b"") > for_value:
        ours.append((ORIGINAL_VALUE, _described(value or b"")))
    if kept != headers:
        content = b"".join(name.encode() + (value or b"") for name, value in headers)
        ours.append((ORIGINAL_HEADERS, _described(content)))
    return InvalidCopy(
        None if key is None else key[:for_key],
        None if value is None else value[:for_value],
        [*kept, *ours],
    )


def _shares(sizes: list[int], room: int) -> list[int]:
    """How much of each size: small ones whole, the others alike."""
    shares = [0] * len(sizes)
    for left, index in zip(
        range(len(sizes), 0, -1), sorted(range(len(sizes)), key=sizes.__getitem__), strict=True
    ):
        shares[index] = min(sizes[index], room // left)
        room -= shares[index]
    return shares


def _first_headers(headers: Headers, room: int) -> Headers:
    """As many as fit, the last of them cut; a name is never cut."""
    kept: Headers = []
    base = record_bytes(b"", b"", [])
    for name, value in headers:
        room -= record_bytes(b"", b"", [(name, None)]) - base
        if room < 0:
            break
        kept.append((name, None if value is None else value[:room]))
        room -= len(value or b"")
        if room < 0:
            break
    return kept


def _described(part: bytes) -> bytes:
    return f"{len(part)} bytes, sha256 {hashlib.sha256(part).hexdigest()}".encode()
