"""The journal of attempts: cheap, bounded, and never in the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from eventproc.delivery import journal_writer
from eventproc.delivery.inbound import Job
from eventproc.delivery.journal import Timing
from eventproc.delivery.journal_writer import BUFFER_ENTRIES, BUNDLE_ENTRIES, STOP_SECONDS, JournalWriter
from eventproc.identifiers import DestinationId
from eventproc.journal_entries import DROPPED, Attempt, Redriven, partition_of
from eventproc.outcomes import Delivered, Failed, FailureKind, Rejected
from eventproc.records import read_origin
from eventproc.redrive import TopicRecord, read_entry
from settings import load_settings
from tests.fakes.attempts_topic import FakeAttemptsTopic
from tests.fakes.records import record

WALLET = DestinationId("client.w.sep24")
TAKEN = Delivered(200)
SECONDS = 20.0
"""How long a test waits for what takes moments."""


def writer(topic: FakeAttemptsTopic, flush_seconds: float = 0.01) -> JournalWriter:
    return JournalWriter(load_settings(env={"TIMELINE_FLUSH_SECONDS": str(flush_seconds)}), topic)


@pytest.fixture
async def topic() -> FakeAttemptsTopic:
    return FakeAttemptsTopic()


@pytest.fixture
async def journal(topic: FakeAttemptsTopic) -> AsyncIterator[JournalWriter]:
    journal = writer(topic)
    async with journal:
        yield journal


def note(journal: JournalWriter, lane: str, outcome: Delivered | Rejected | Failed = TAKEN) -> None:
    one = record(0, lane)
    job = Job(one, read_origin(one.headers), attempts=1)
    journal.attempted(WALLET, job, outcome, Timing(10.00051, 0.01, None))


async def until(topic: FakeAttemptsTopic, lane: str, count: int = 1) -> list[Attempt]:
    deadline = time.monotonic() + SECONDS
    while len(found := topic.entries(lane)) < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    return [entry for entry in found if isinstance(entry, Attempt)]


def told_dropped(topic: FakeAttemptsTopic) -> dict[int, int]:
    """What readers of each partition are told."""
    told: dict[int, int] = {}
    for partition, _, headers in topic.records:
        told[partition] = told.get(partition, 0) + sum(
            int(value or 0) for name, value in headers if name == DROPPED
        )
    return told


async def test_a_redrive_is_noted_from_its_beginning(topic: FakeAttemptsTopic) -> None:
    """Not from when it is noted, which is after the copy's first attempt."""
    journal = writer(topic)
    added = [("dead-letter-destination", WALLET.encode()), ("dead-letter-lane", b"t1")]
    letter = read_entry(TopicRecord(0, b"", b"", [*record(0, "t1").headers, *added]))
    assert letter is not None
    journal.redriven(letter, "2026-11-24T10:00:00.250Z")
    await journal.on_stop()
    (noted,) = topic.entries("t1")
    assert isinstance(noted, Redriven)
    assert (noted.at, noted.destination) == (1795514400.25, WALLET)


async def test_many_entries_share_a_record_and_each_is_where_its_lane_belongs(
    topic: FakeAttemptsTopic,
) -> None:
    journal = writer(topic)
    lanes = [f"t{number}" for number in range(100)]
    for lane in lanes:
        note(journal, lane)
    await journal.on_stop()
    assert len(topic.records) == topic.partitions
    for lane in lanes:
        (found,) = topic.entries(lane)
        assert found.at == 10.0
    for partition, value, _ in topic.records:
        alone = FakeAttemptsTopic(records=[(partition, value, [])])
        assert all(bool(alone.entries(lane)) is (partition_of(lane, 4) == partition) for lane in lanes)


async def test_entries_are_written_without_being_asked(
    topic: FakeAttemptsTopic, journal: JournalWriter
) -> None:
    note(journal, "t1")
    (found,) = await until(topic, "t1")
    assert found.worker
    note(journal, "t1")
    await until(topic, "t1", 2)


async def test_a_burst_does_not_wait_for_its_time(topic: FakeAttemptsTopic) -> None:
    async with writer(topic, flush_seconds=3600) as journal:
        for _ in range(BUNDLE_ENTRIES):
            note(journal, "t1")
        assert topic.records == []
        note(journal, "t1")
        await until(topic, "t1", BUNDLE_ENTRIES + 1)


async def test_no_answer_of_a_receiver_is_written(topic: FakeAttemptsTopic) -> None:
    journal = writer(topic)
    note(journal, "t1", Rejected(422, None, b"the customer's name"))
    note(journal, "t1", Failed(FailureKind.STATUS, 503, 5.0, b"the customer's name", "HTTP 503"))
    note(journal, "t1", Failed(FailureKind.CONNECT, None, None, b"", "x" * 1000))
    await journal.on_stop()
    found = topic.entries("t1")
    assert "name" not in repr(found)
    assert [(e.outcome, e.kind, e.status) for e in found if isinstance(e, Attempt)] == [
        ("rejected", None, 422),
        ("failed", "status", 503),
        ("failed", "connect", None),
    ]
    assert len(repr(found)) < 2000


async def test_when_kafka_does_not_take_them_the_oldest_go_and_every_reader_is_told(
    topic: FakeAttemptsTopic,
) -> None:
    journal = writer(topic)
    for _ in range(7):
        note(journal, "old")
    for number in range(BUFFER_ENTRIES):
        note(journal, f"t{number % 100}")
    assert journal.dropped == 7
    await journal.on_stop()
    assert topic.entries("old") == []
    assert sum(len(topic.entries(f"t{number}")) for number in range(100)) == BUFFER_ENTRIES
    assert told_dropped(topic) == dict.fromkeys(range(4), 7)


async def test_a_refusal_costs_its_entries_is_logged_once_and_told_when_it_is_over(
    topic: FakeAttemptsTopic,
) -> None:
    journal = writer(topic)
    topic.refuses = PermissionError("no right to write")
    with capture_logs() as logs:
        for _ in range(3):
            note(journal, "t1")
            await journal.on_stop()
    assert [line["event"] for line in logs] == ["timeline.not_written"]
    assert journal.dropped == 3
    topic.refuses = None
    note(journal, "t1")
    await journal.on_stop()
    note(journal, "t1")
    await journal.on_stop()
    assert told_dropped(topic) == {partition_of("t1", 4): 3}


async def test_what_goes_wrong_in_writing_ends_nothing(topic: FakeAttemptsTopic) -> None:
    async with writer(topic) as journal:
        topic.refuses = ZeroDivisionError()
        note(journal, "t1")
        deadline = time.monotonic() + SECONDS
        while not journal.dropped:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        topic.refuses = None
        note(journal, "t1")
        await until(topic, "t1")
        assert not journal.crashed


async def test_a_topic_that_is_not_there_is_not_asked_for_at_every_event(topic: FakeAttemptsTopic) -> None:
    topic.is_unknown = True
    async with writer(topic) as journal:
        for _ in range(BUNDLE_ENTRIES + 200):
            note(journal, "t1")
            await asyncio.sleep(0)
        assert topic.asked <= 2
        topic.is_unknown = False
        await until(topic, "t1", BUNDLE_ENTRIES + 200)


@pytest.mark.parametrize("how", ["hangs", "does_not_acknowledge"])
async def test_a_stop_does_not_wait_for_a_broker_that_is_away(
    topic: FakeAttemptsTopic, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "STOP_SECONDS", 0.2)
    setattr(topic, how, True)
    journal = writer(topic)
    await journal.maybe_start()
    note(journal, "t1")
    deadline = time.monotonic() + SECONDS
    while journal._entries:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    note(journal, "t2")
    await asyncio.wait_for(journal.stop(), SECONDS)
    assert topic.records == []


def test_the_bound_on_a_stop_is_short() -> None:
    assert STOP_SECONDS <= 3
