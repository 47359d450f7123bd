"""Joins Faust's streams to the handlers: a poll's records in, never a wait, never Faust's own ack.

An event of these streams is what one poll brought of all the topics of an agent, by partition
(``faust_internals.Consumer.getmany``). Offsets are committed from the handlers' watermarks
(``delivery/ledger.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import structlog

from eventproc.delivery.inbound import InboundRecord
from eventproc.delivery.partitions import Partition
from eventproc.delivery.read_positions import Step

log = structlog.stdlib.get_logger("eventproc")


class RecordHandler(Protocol):
    """Takes records of one topic."""

    def accept(self, record: InboundRecord) -> None:
        """Take one record without waiting."""

    def step(self, partition: Partition, step: Step) -> None:
        """Reading has moved without a record."""


def feed(handler_of: Callable[[str], RecordHandler | None], name: str) -> Callable[[Any], Any]:
    """The body of an agent that hands every record to its topic's handler; ``name`` is for the log.

    A topic without one has been let go of. A handler that fails ends the worker: what came with the record
    would be neither delivered nor missed here, and comes again elsewhere.
    """

    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            for partition, records in event.value:
                handler = handler_of(partition[0])
                if handler is None:
                    continue
                try:
                    if isinstance(records, list):
                        _take(handler, partition, records)
                    else:
                        handler.step((partition[0], partition[1]), records)
                except Exception as error:
                    log.critical("records.not_taken", partition=tuple(partition), problem=repr(error))
                    await stream.app.crash(error)
                    raise

    agent.__name__ = agent.__qualname__ = name
    return agent


def _take(handler: RecordHandler, partition: tuple[str, int], records: list[Any]) -> None:
    accept = handler.accept
    for record in records:
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
