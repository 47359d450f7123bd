"""Times as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST_MS: Final = -62_135_596_800_000  # the first of January of year 1
_LAST_MS: Final = 253_402_300_799_999  # the end of year 9999
_AGO: Final = re.compile(r"(\d{1,9})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_time(text: str, now: datetime | None = None) -> datetime | None:
    """A time in ISO-8601 (UTC when it names no zone) or in milliseconds since the epoch; None for neither.

    With ``now`` also how long ago it was: ``90s``, ``15m``, ``2h``, ``3d``, ``1w``.
    """
    try:
        if now is not None and (ago := _AGO.fullmatch(text)):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if text.isascii() and text.isdigit():
            return _EPOCH + timedelta(milliseconds=int(text))
        at = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)


def iso(at: datetime) -> str:
    """ISO-8601 in UTC, to the millisecond: ``2026-11-25T10:00:00.000Z``."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_ms(milliseconds: int) -> datetime:
    """Return the time so many ms after the epoch, as Kafka writes times.

    A producer may write any 64-bit number (microseconds by mistake, -1 for none). What no calendar has is
    taken for the nearest time that one has.
    """
    return _EPOCH + timedelta(milliseconds=min(max(milliseconds, _FIRST_MS), _LAST_MS))


def to_ms(at: datetime) -> int:
    """The whole ms since the epoch; the inverse of ``from_ms``."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def span(seconds: float) -> str:
    """How long something takes, in its two largest units: ``3d 4h``, ``12m 5s``, ``0s``."""
    left = int(seconds)
    parts: list[str] = []
    for name, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count}{name}")
        elif parts:
            break
    return " ".join(parts[:2])
