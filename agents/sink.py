"""Joins Faust's streams to the handlers: batches in, never a wait, never Faust's own ack.

An event of these streams is what one poll fetched of one partition (``faust_internals.Consumer.getmany``).
Offsets are committed from the handlers' watermarks (``delivery/ledger.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from eventproc.delivery.inbound import InboundRecord


class RecordHandler(Protocol):
    """Takes records of one topic."""

    def accept(self, record: InboundRecord) -> None:
        """Take one record without waiting."""


def feed(handler: RecordHandler, name: str) -> Callable[[Any], Any]:
    """The body of an agent that hands every record of its topic to ``handler``; ``name`` is for the log."""

    async def agent(stream: Any) -> None:
        accept = handler.accept
        async for event in stream.noack().events():
            partition = event.message.tp
            for record in event.value:
                accept(
                    InboundRecord(
                        partition,
                        record.offset,
                        record.key,
                        record.value,
                        list(record.headers),
                        record.timestamp,
                    )
                )

    agent.__name__ = agent.__qualname__ = name
    return agent
