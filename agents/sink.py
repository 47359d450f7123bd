"""Joins Faust's streams to the handlers: a record in, never a wait, never Faust's own ack.

Offsets are committed from the handlers' watermarks (``delivery/ledger.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from eventproc.delivery.engine import InboundRecord


class RecordHandler(Protocol):
    """Takes records of one topic."""

    def accept(self, record: InboundRecord) -> None:
        """Take one record without waiting."""


def feed(handler: RecordHandler) -> Callable[[Any], Any]:
    """The body of an agent that hands every record of its topic to ``handler``."""

    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            handler.accept(
                InboundRecord(
                    partition=message.tp,
                    offset=message.offset,
                    key=message.key,
                    value=message.value,
                    headers=_headers(message.headers),
                    timestamp_ms=round((message.timestamp or 0) * 1000),
                )
            )

    return agent


def _headers(headers: Any) -> list[tuple[str, bytes]]:
    if not headers:
        return []
    return list(headers.items()) if isinstance(headers, dict) else list(headers)
