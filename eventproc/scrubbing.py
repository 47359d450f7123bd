"""Takes what proves who we are out of what a receiver answers, before anybody is shown it.

A receiver in debug mode answers 500 with the whole request in it, our key or token included; its first bytes
stand in dead letters, on pages and in commands' output. A careless echo is found, also encoded; a
receiver that means to hide it from us is not, and has the key anyway.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

import orjson

MASK: Final = b"***"
SHORTEST: Final = 6
"""Characters of a form that are worth a mask: less is found everywhere by chance."""

_HARMLESS: Final = frozenset(
    {"content-type", "x-event-id", "x-event-redriven", "traceparent", "tracestate", "user-agent"}
)
_TOKEN: Final = re.compile(rb"eyJ[\w-]+(?:\.[\w-]+){1,2}")
"""A JWT, whole or cut off: ours in ``Authorization``, and the one in a body's ``more_info_url``."""


def scrub(text: bytes, sent: Mapping[str, str]) -> bytes:
    """``text`` without the secrets of a request's headers; ``text`` may be cut off within one.

    Args:
        text: from the receiver.
        sent: all headers of the request; those that are known to be no secret are left out of account.
    """
    forms = {form for name, value in sent.items() if name.lower() not in _HARMLESS for form in _forms(value)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    text = _TOKEN.sub(MASK, text)
    for form in forms:
        text = _without_beginning(text, form)
    return text


def _without_beginning(text: bytes, form: bytes) -> bytes:
    """``text`` without a beginning of ``form`` at its end."""
    at = text.find(form[:SHORTEST], max(0, len(text) - len(form)))
    while at >= 0:
        if form.startswith(text[at:]):
            return text[:at] + MASK
        at = text.find(form[:SHORTEST], at + 1)
    return text


def _forms(value: str) -> Iterator[bytes]:
    """The value, and its part behind ``Bearer``, as they may come back."""
    for plain in {value, value.rpartition(" ")[2]}:
        raw = plain.encode()
        if len(raw) < SHORTEST:
            continue
        yield raw
        yield orjson.dumps(plain)[1:-1]
        yield orjson.dumps(plain)[1:-1].replace(b"/", b"\\/")
        yield html.escape(plain).encode()
        yield quote(plain, safe="").encode()
        yield quote(plain, safe="/").encode()
        yield quote(plain, safe="").lower().encode()
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        yield repr(plain)[1:-1].encode()
        for encoded in _base64(raw):
            yield encoded
            yield encoded.translate(bytes.maketrans(b"+/", b"-_"))


def _base64(raw: bytes) -> Iterator[bytes]:
    """What is in common of every base64 text with ``raw`` in it, by where it begins among three bytes."""
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        yield base64.b64encode(b"\0" * before + raw)[first:last]
