"""What the body may have been before somebody changed it: each change undone, alone and together.

Two layers: the bytes (line ends, byte order marks, encodings, wrappings), and, where what they hold is JSON,
how it was written. ``Variant.changes`` names what had happened, in the words of a finding.
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from eventproc.receiver.findings import Cause
from eventproc.receiver.json_text import (
    MAX_CHARACTERS,
    Escapes,
    Node,
    Spacing,
    parse,
    reordered,
    with_strings,
    without_nulls,
    write,
)
from eventproc.receiver.member_order import rank

_BOM: Final = b"\xef\xbb\xbf"
_INFLATED_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Change:
    """Something that had happened to the body."""

    cause: Cause
    what: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A body as it may have been; without changes: as given."""

    body: bytes
    changes: tuple[Change, ...] = ()


def body_variants(body: bytes) -> list[Variant]:
    """The body as given first, then the others by the number of changes, each different."""
    found = {body: Variant(body)}

    def add(variant: Variant) -> None:
        known = found.get(variant.body)
        if known is None or len(variant.changes) < len(known.changes):
            found[variant.body] = variant

    unwrapped = _unwrapped(Variant(body))
    for variant in unwrapped:  # before the others: they are the more exact where both explain the same
        add(variant)
    for variant in unwrapped:
        for rewritten in _rewritten(variant):
            add(rewritten)
    return sorted(found.values(), key=lambda variant: len(variant.changes))


def _unwrapped(given: Variant) -> list[Variant]:
    """Up to two changes of the bytes: a file saved by an editor has a byte order mark and a line end."""
    found, latest = [given], [given]
    for _ in range(2):
        latest = [
            Variant(body, (*variant.changes, change))
            for variant in latest
            for change, undo in _BYTE_CHANGES
            if change not in variant.changes and (body := _undone(undo, variant.body)) is not None
        ]
        found += latest
    return found


def _undone(undo: Callable[[bytes], bytes | None], body: bytes) -> bytes | None:
    """None where there is nothing to undo."""
    try:
        undone = undo(body)
    except (ValueError, SyntaxError, RecursionError, MemoryError, zlib.error, binascii.Error):
        return None
    return None if undone == body or not undone else undone


def _stripped(body: bytes) -> bytes:
    return body.strip(b" \t\r\n")


def _without_bom(body: bytes) -> bytes:
    return body.removeprefix(_BOM)


def _from_utf16(body: bytes) -> bytes | None:
    return body.decode("utf-16").encode() if body[:2] in {b"\xff\xfe", b"\xfe\xff"} else None


def _from_latin1(body: bytes) -> bytes | None:
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode("cp1252").encode()
    return None


def _encoded_once(body: bytes) -> bytes:
    """UTF-8 that somebody took for Latin-1 and encoded again: ``Ã¼`` for ``ü``."""
    return _by_pages(body.decode()).encode("latin-1")


def _by_pages(text: str) -> str:
    """The characters of Windows' page 1252 above 255 back to the bytes they stand for."""
    return "".join(c if ord(c) < 256 else c.encode("cp1252").decode("latin-1") for c in text)


def _inflated(body: bytes) -> bytes | None:
    if not body.startswith(b"\x1f\x8b"):
        return None
    return zlib.decompressobj(wbits=31).decompress(body, _INFLATED_BYTES)


def _from_base64(body: bytes) -> bytes | None:
    found = base64.b64decode(body.strip(), validate=True)
    return found if found[:1] in {b"{", b"["} else None


def _from_string(body: bytes) -> bytes | None:
    if not body.startswith(b'"'):
        return None
    inner = json.loads(body)
    return inner.encode() if isinstance(inner, str) else None


def _from_repr(body: bytes) -> bytes | None:
    if not body.startswith((b"b'", b'b"')):
        return None
    inner = ast.literal_eval(body.decode())
    return inner if isinstance(inner, bytes) else None


_BYTE_CHANGES: Final[tuple[tuple[Change, Callable[[bytes], bytes | None]], ...]] = (
    (Change(Cause.BODY_REWRITTEN, "white space or a line end was added at its end or beginning"), _stripped),
    (Change(Cause.BODY_REWRITTEN, "a line end was cut off its end"), lambda body: body + b"\n"),
    (
        Change(Cause.BODY_REWRITTEN, "its line ends were changed to CRLF"),
        lambda body: body.replace(b"\r\n", b"\n"),
    ),
    (Change(Cause.BODY_ENCODING, "a byte order mark was put before it"), _without_bom),
    (Change(Cause.BODY_ENCODING, "it was encoded as UTF-16"), _from_utf16),
    (Change(Cause.BODY_ENCODING, "it was encoded as Latin-1 (or Windows-1252), not as UTF-8"), _from_latin1),
    (Change(Cause.BODY_ENCODING, "it was decoded as Latin-1 and encoded as UTF-8 again"), _encoded_once),
    (Change(Cause.BODY_ENCODING, "it is compressed (gzip)"), _inflated),
    (Change(Cause.BODY_ENCODING, "it is base64 of the body (API gateways do that)"), _from_base64),
    (Change(Cause.BODY_REWRITTEN, "it was put into a JSON string"), _from_string),
    (Change(Cause.BODY_REWRITTEN, "it is Python's text for bytes, b'…'"), _from_repr),
)


def _rewritten(variant: Variant) -> Iterator[Variant]:
    """Members' order, nulls, escapes and white space: every combination, said by what differs."""
    if len(variant.body) > MAX_CHARACTERS * 4:
        return
    try:
        text = variant.body.decode()
    except UnicodeDecodeError:
        return
    tree = parse(text)
    if tree is None or isinstance(tree, str):
        return
    for shape, shape_changes in _shapes(tree):
        for escapes, spacing in product((None, *Escapes), Spacing):
            escaped = shape if escapes is None else with_strings(shape, escapes)
            changes = [*variant.changes, *shape_changes]
            if escaped != shape:
                changes.append(Change(Cause.BODY_REWRITTEN, "other characters are escaped in its strings"))
            if write(tree, spacing) != text:
                changes.append(Change(Cause.BODY_REWRITTEN, "its white space is another"))
            yield Variant(write(escaped, spacing).encode("utf-8", "surrogatepass"), tuple(changes))


def _shapes(tree: Node) -> Iterator[tuple[Node, list[Change]]]:
    for drop_nulls in (False, True):
        lean = without_nulls(tree) if drop_nulls else tree
        if drop_nulls and lean == tree:
            continue
        nulls = [Change(Cause.BODY_REWRITTEN, "members without a value (null) were added")] * drop_nulls
        yield lean, nulls
        for turn in (False, True):
            sorted_ = reordered(lean, rank, turn=turn)
            if sorted_ != lean:
                yield sorted_, [*nulls, Change(Cause.BODY_REWRITTEN, "its members are in another order")]
