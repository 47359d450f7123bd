"""Facts to HTML. Everything from outside is hostile here: escaped, made visible, cut to a bound.

Jinja escapes what would be markup. Before, ``_finalize`` sees each value that a template prints: no control
character, writing direction or half surrogate passes, and nothing longer than ``SHOWN_CHARACTERS`` unless the
template asks for more with ``excerpt`` or ``lines``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from yarl import URL

from eventproc.cli.dead_letter_text import printable

SHOWN_CHARACTERS: Final = 160
LINES: Final = 2000
ADDRESS_CHARACTERS: Final = 2000
"""aiohttp takes 8190 bytes of request line; what is longer gets no link."""

_UNITS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""Seconds, name, and the lesser unit beside it."""


class Shown(str):
    """Text that is bounded and visible already."""

    __slots__ = ()


def render(template: str, context: Mapping[str, Any]) -> str:
    """The page; raises for a name that the context does not have."""
    return _environment().get_template(template).render(context)


def excerpt(value: object, limit: int = SHOWN_CHARACTERS) -> Shown:
    """At most ``limit`` characters in one line, and how many there are."""
    text = str(value)
    if len(text) <= limit:
        return Shown(printable(text))
    return Shown(f"{printable(text[:limit])}… ({len(text):,} characters)")


def lines(value: list[str], limit: int = LINES) -> Shown:
    """Lines below each other, each cut, and not too many."""
    shown = [excerpt(line, 1000) for line in value[:limit]]
    if len(value) > limit:
        shown.append(Shown(f"… ({len(value):,} lines)"))
    return Shown("\n".join(shown))


def address(prefix: str, *names: object) -> Shown | None:
    """The path to something by its names; None when no path can carry them."""
    parts = [str(name) for name in names]
    quoted = "/".join(quote(part, safe="", errors="replace") for part in parts)
    if any(part in {"", ".", ".."} for part in parts) or len(quoted) > ADDRESS_CHARACTERS:
        return None
    return Shown(f"{prefix}{quoted}")


def with_query(url: URL, **changes: object) -> Shown:
    """The address of the page shown, with these parameters instead; None takes one out."""
    query = {name: value for name, value in url.query.items() if name not in changes}
    query |= {name: str(value) for name, value in changes.items() if value is not None}
    return Shown(url.with_query(query))


def login(url: URL) -> Shown:
    """The address of the login, which leads back."""
    return Shown(f"/login?next={quote(str(url), safe='')}")


def duration(seconds: float | None) -> Shown:
    """``340 ms``, ``12.4 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 d 3 h``."""
    if seconds is None:
        return Shown("–")
    if seconds < 1:
        return Shown(f"{seconds * 1000:.0f} ms")
    for unit, name, lesser, lesser_name in _UNITS:
        if seconds >= unit:
            whole, rest = divmod(int(seconds), unit)
            more = f" {rest // lesser} {lesser_name}" if rest >= lesser else ""
            return Shown(f"{whole:,} {name}{more}")
    return Shown(f"{seconds:.1f} s")


def rate(per_second: float) -> Shown:
    """Two digits at most behind the point; what is there at all is not shown as zero."""
    if 0 < per_second < 0.01:
        return Shown("< 0.01")
    return Shown(f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2f}".rstrip("0").rstrip("."))


def number(value: int | None) -> Shown:
    """With separators."""
    return Shown("–" if value is None else f"{value:,}")


def moment(value: str | None, digits: int = 0) -> Shown:
    """ISO-8601 in UTC, to be read: ``2026-11-24 10:00:00``, with so many digits of a second."""
    if not value:
        return Shown("–")
    whole, _, rest = value.replace("T", " ").removesuffix("Z").partition(".")
    return excerpt(f"{whole}.{rest[:digits]}" if digits else whole, 40)


@cache
def static_files() -> Mapping[str, tuple[str, bytes]]:
    """Name to content type and content of everything under /static/."""
    folder = resources.files("agents.pages").joinpath("static")
    types = {"pages.css": "text/css", "icon.svg": "image/svg+xml"}
    return {name: (kind, folder.joinpath(name).read_bytes()) for name, kind in types.items()}


def static_address(name: str) -> Shown:
    """The path of a static file; another one when its content is another."""
    return Shown(f"/static/{name}?{hashlib.sha256(static_files()[name][1]).hexdigest()[:12]}")


def _finalize(value: Any) -> Any:
    if value is None:
        return "–"
    return value if isinstance(value, (Markup, Shown, int, float)) else excerpt(value)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("agents.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "excerpt": excerpt,
        "lines": lines,
        "duration": duration,
        "rate": rate,
        "number": number,
        "moment": moment,
    }
    environment.globals |= {
        "address": address,
        "static": static_address,
        "with_query": with_query,
        "login": login,
    }
    return environment
