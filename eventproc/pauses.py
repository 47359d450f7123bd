"""Which destinations an operator has paused, as the control topic tells it: the last word for each counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

import orjson

from eventproc.identifiers import DestinationId


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused a destination, why, and when (ISO-8601 UTC)."""

    by: str
    reason: str
    at: str


class UnreadablePauseError(ValueError):
    """A record of the control topic that this version cannot read; what was in force stays."""


def pause_value(pause: Pause) -> bytes:
    """The value of the control topic's record; to resume is a tombstone."""
    return orjson.dumps({"paused": True, **asdict(pause)})


def read_pause(value: bytes | None) -> Pause | None:
    """Read back what ``pause_value`` wrote; None for a tombstone, or for ``paused`` false.

    Raises:
        UnreadablePauseError: it is something else.
    """
    if not value:
        return None
    try:
        said = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise UnreadablePauseError("not JSON") from error
    if not isinstance(said, dict) or not isinstance(said.get("paused"), bool):
        raise UnreadablePauseError("no member paused that is true or false")
    return (
        Pause(**{name: str(said.get(name, "")) for name in ("by", "reason", "at")})
        if said["paused"]
        else None
    )


class PauseBook:
    """Folds the control topic, read from its start, into what is paused now."""

    def __init__(self) -> None:
        self._paused: dict[DestinationId, Pause] = {}

    @property
    def paused(self) -> Mapping[DestinationId, Pause]:
        """What is paused now; also destinations that are not in the configuration."""
        return MappingProxyType(self._paused)

    def apply(self, key: bytes | None, value: bytes | None) -> DestinationId | None:
        """Take the next record: the destination it speaks of, None when it speaks of none.

        Raises:
            UnreadablePauseError: nothing has changed.
        """
        if key is None:
            return None
        destination = DestinationId(key.decode("utf-8", "replace"))
        pause = read_pause(value)
        if pause is None:
            self._paused.pop(destination, None)
        else:
            self._paused[destination] = pause
        return destination
