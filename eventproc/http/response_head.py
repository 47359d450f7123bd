"""Reads the head of a response that the parser refuses: its status, its framing, and where it ends.

llhttp refuses heads that no later message could be separated from (two Content-Lengths, Content-Length with
chunks) and heads that break the grammar (a space in a header's name, a bare line feed). Receivers send
them, and mean what their status line says: an event that they accepted must not be sent again. So the
status is read here, and the rest is handed on as a head that any parser accepts. A connection with such a
head is not used again, so what follows the response is never taken for another one (RFC 9112, 11.2).

A head is understood when it begins with a status line, in any version and case, and ends with an empty line.
Dropped: llhttp's own leniency flags, which also let framing pass that would be used for the next response.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

KEPT_HEADERS: Final = frozenset({b"retry-after", b"keep-alive", b"date", b"location"})
"""Headers of a response that are looked at, in lower case."""

_STATUS_LINE: Final = re.compile(rb"HTTP/\d{1,3}(?:\.\d{1,3})?[ \t]+([1-9]\d\d)(?:[ \t].*)?", re.IGNORECASE)
_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH: Final = re.compile(rb"\d{1,15}")
_BEGINNING: Final = b"http/"
_SWITCHING_PROTOCOLS: Final = 101


@dataclass(frozen=True, slots=True)
class ReadHead:
    """A head that was understood.

    ``clean`` is a head with the same status, framing and kept headers, and ``rest`` is what came behind it.
    """

    status: int
    clean: bytes
    rest: bytes


@dataclass(frozen=True, slots=True)
class NotHttp:
    """No head of an HTTP response, however it goes on."""


def read_head(received: bytes) -> ReadHead | NotHttp | None:
    """Read the first final head of a response; interim ones (1xx) are skipped, 101 is final.

    Returns:
        None while the head can still become complete.
    """
    while True:
        found = _one_head(received.lstrip(b"\r\n"))
        if not isinstance(found, ReadHead) or found.status >= 200 or found.status == _SWITCHING_PROTOCOLS:
            return found
        received = found.rest


def _one_head(received: bytes) -> ReadHead | NotHttp | None:
    line, newline, _ = received.partition(b"\n")
    if not newline:
        return None if _BEGINNING.startswith(line[: len(_BEGINNING)].lower()) else NotHttp()
    status_line = _STATUS_LINE.fullmatch(line.removesuffix(b"\r"))
    if status_line is None:
        return NotHttp()
    end = _EMPTY_LINE.search(received, len(line))
    if end is None:
        return None
    headers = _headers(received[len(line) : end.start()])
    status = int(status_line[1])
    return ReadHead(status, _clean(status, headers), received[end.end() :])


def _headers(block: bytes) -> dict[bytes, list[bytes]]:
    """Values by lower-case name; lines that are no header, and continuations, are left out."""
    headers: dict[bytes, list[bytes]] = {}
    for line in block.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and not line.startswith((b" ", b"\t")):
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    return headers


def _clean(status: int, headers: dict[bytes, list[bytes]]) -> bytes:
    lines = [b"HTTP/1.1 %d " % status, b"Connection: close"]
    lines += [
        b"%b: %b" % (name, _CONTROL.sub(b" ", headers[name][0])) for name in KEPT_HEADERS & headers.keys()
    ]
    if status not in {204, 304}:
        lines += _framing(headers)
    return b"\r\n".join((*lines, b"", b""))


def _framing(headers: dict[bytes, list[bytes]]) -> list[bytes]:
    """How long the body is, for its excerpt; without it, until the connection ends."""
    if any(b"chunked" in value.lower() for value in headers.get(b"transfer-encoding", ())):
        return [b"Transfer-Encoding: chunked"]
    for value in headers.get(b"content-length", ()):
        if length := _LENGTH.fullmatch(value.partition(b",")[0].strip()):
            return [b"Content-Length: " + length[0]]
    return []
