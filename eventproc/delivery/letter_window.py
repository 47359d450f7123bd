"""The newest dead letters, for a page of a worker: bounded, because its memory and time are the deliveries'.

A note comes after its dead letter, so whether one of the window waits is known from the window alone. What
cannot be known without the rest is whether an older one of its transaction waits: hence ``older_records``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from eventproc.dead_letters import LetterId
from eventproc.delivery.bounded_kafka import (
    Spans,
    admin_client,
    all_partitions,
    as_unavailable,
    consumer_client,
    scan,
    whole_spans,
    within,
)
from eventproc.delivery.redriver import Redriver
from eventproc.errors import EventprocError
from eventproc.redrive import Entry, Plan, TopicRecord, WaitingLetters, read_id
from settings import Settings

WINDOW_RECORDS: Final = 10_000
VALUE_BYTES: Final = 64 * 1024 * 1024
READ_SECONDS: Final = 60.0
FETCH_BYTES: Final = 1024 * 1024


class TooLargeError(EventprocError):
    """The dead letters asked for are too many bytes for a worker's memory."""


@dataclass(frozen=True, slots=True)
class Window:
    """What waits of the newest records, in the topic's order, and how many older ones were not read."""

    entries: list[Entry]
    older_records: int


class LetterWindow:
    """The dead-letter topic, as a worker's pages see it."""

    def __init__(self, settings: Settings, records: int = WINDOW_RECORDS) -> None:
        self._settings = settings
        self._records = records

    async def read(self, keeps_value: Callable[[LetterId], bool]) -> Window:
        """What waits; entries have their value only where ``keeps_value`` says so.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused.
            TooLargeError: the values to be kept are too much.
        """
        with as_unavailable(self._settings):
            window: Window = await within(READ_SECONDS, self._read(keeps_value))
        return window

    async def send(self, plan: Plan) -> None:
        """As ``eventproc deadletter redrive`` does.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused; what is not done still waits.
        """
        await Redriver(self._settings).send(plan, lambda _done: None)

    async def _read(self, keeps_value: Callable[[LetterId], bool]) -> Window:
        letters, kept_bytes = WaitingLetters(), 0
        async with admin_client(self._settings) as admin:
            partitions = (await all_partitions(admin)).get(self._settings.topics.dead_letter, [])
        async with consumer_client(self._settings, max_partition_fetch_bytes=FETCH_BYTES) as consumer:
            spans, older = _newest(await whole_spans(consumer, partitions), self._records)
            async for record in scan(consumer, spans):
                letter = TopicRecord(
                    record.offset, record.key, record.value, list(record.headers), record.partition
                )
                id_ = read_id(letter)
                if id_ is None or not keeps_value(id_):
                    letter = replace(letter, value=None)
                kept_bytes += len(letter.value or b"")
                if kept_bytes > VALUE_BYTES:
                    raise TooLargeError(
                        f"These dead letters are more than {VALUE_BYTES // 1024**2} MB, too much for a page. "
                        "Use `eventproc deadletter redrive`."
                    )
                letters.add(letter)
        return Window(letters.entries(), older)


def _newest(spans: Spans, records: int) -> tuple[Spans, int]:
    """The end of each partition, ``records`` in all, and how many records come before."""
    share = records // max(1, len(spans))
    newest = {one: (max(start, end - share), end) for one, (start, end) in spans.items()}
    return newest, sum(newest[one][0] - spans[one][0] for one in spans)
