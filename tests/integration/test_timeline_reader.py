"""Reading the attempts topic within bounds: from the newest to the oldest, whatever stands there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from eventproc.delivery import timeline_reader
from eventproc.delivery.timeline_reader import read_timeline
from eventproc.errors import BrokerUnavailableError
from eventproc.journal_entries import DROPPED, Attempt, encode, partition_of
from eventproc.timeline import Timeline
from eventproc.times import from_ms, iso
from settings import Settings, load_settings
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.both_brokers import both_brokers
from tests.servers.kafka import Broker
from tests.servers.ports import free_port

PARTITIONS = 3
LANE = "5e3a0d2c-1b7f-4a53-9a0e-2f7c1c1f8f10"
PLACE = partition_of(LANE, PARTITIONS)
HOUR = 3600.0


def attempt(at: float, number: int = 1, lane: str = LANE) -> Attempt:
    return Attempt(
        *(lane, "e1", None, int(at * 1000) / 1000, "callback-api", number, 0.1, "failed", "status", 503),
        *("HTTP 503", None, None),
    )


def settings_for(bootstrap: str, names: Names, tmp_path: Path) -> Settings:
    (tmp_path / ".env").touch()
    env = anchor_env(bootstrap, business_url="http://127.0.0.1:9", names=names)
    return load_settings(None, env, tmp_path / ".env")


@pytest.fixture
async def settings(broker: Broker, names: Names, tmp_path: Path) -> Settings:
    await broker.create_topics({names.topic("attempts"): PARTITIONS})
    return settings_for(broker.bootstrap, names, tmp_path)


async def write(
    settings: Settings, values: Sequence[tuple[float, bytes, Sequence[tuple[str, bytes]]]]
) -> None:
    """Records of the lane's partition: time, value and headers of each."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.events.queue.kafka.bootstrap_server)
    await producer.start()
    try:
        topic = settings.topics.attempts
        for at, value, headers in values:
            await producer.send(
                topic, value, partition=PLACE, timestamp_ms=int(at * 1000), headers=list(headers)
            )
    finally:
        await producer.stop()


def numbers(timeline: Timeline) -> list[int]:
    return [a.number for event in timeline.events for one in event.destinations for a in one.attempts]


@both_brokers
async def test_all_of_it_is_found_among_thousands_of_others_records(settings: Settings) -> None:
    now = time.time()
    others = encode([attempt(now, lane="other")], "w")
    count = 3000
    mine = {0, 499, 500, 501, 1499, 2500, count - 1}
    values = [
        (now - HOUR + n, encode([attempt(now - HOUR + n, n + 1)], "w") if n in mine else others, ())
        for n in range(count)
    ]
    await write(settings, values)
    timeline = await read_timeline(settings, LANE)
    assert numbers(timeline) == sorted(n + 1 for n in mine)


async def test_only_what_was_written_since_then_is_read(settings: Settings) -> None:
    """The embedded broker knows neither records' own times nor where exactly a partition ends."""
    now = time.time()
    ages = (5 * HOUR, 3 * HOUR, HOUR, 0.0)
    for number, age in enumerate(ages, 1):
        await write(settings, [(now - age, encode([attempt(now - age, number)], "w"), ())])
    assert numbers(await read_timeline(settings, LANE, 2 * HOUR)) == [3, 4]
    assert numbers(await read_timeline(settings, LANE, 4 * HOUR)) == [2, 3, 4]
    assert numbers(await read_timeline(settings, LANE, 1000 * HOUR)) == [1, 2, 3, 4]
    assert (
        "entries are kept for 168 hours (timeline.retention_hours)"
        in (await read_timeline(settings, LANE, 1000 * HOUR)).unknown
    )


@both_brokers
async def test_damaged_records_and_dropped_entries_are_told_and_stop_nothing(settings: Settings) -> None:
    now = time.time()
    values = [
        (now, b"nonsense", ()),
        (now, encode([attempt(now)], "w"), [(DROPPED, b"5")]),
        (now, encode([attempt(now, lane="other")], "w"), [(DROPPED, b"2"), ("other", b"x")]),
        (now, encode([attempt(now)], "w"), [(DROPPED, b"many")]),
    ]
    await write(settings, values)
    timeline = await read_timeline(settings, LANE)
    assert numbers(timeline) == [1]
    assert "2 records are damaged, foreign or of a later version" in timeline.unknown
    assert "workers could not write 7 entries, of whatever transaction, in this time" in timeline.unknown


async def test_cut_short_it_has_the_newest_and_says_from_when_on_it_is_complete(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline_reader, "FIRST_STRETCH_RECORDS", 10)
    monkeypatch.setattr(timeline_reader, "MAX_STRETCH_RECORDS", 10)
    monkeypatch.setattr(timeline_reader, "MAX_ENTRIES", 25)
    start = int(time.time()) - HOUR
    await write(settings, [(start + n, encode([attempt(start + n, n)], "w"), ()) for n in range(1, 101)])
    timeline = await read_timeline(settings, LANE)
    assert numbers(timeline) == list(range(71, 101))
    since = iso(from_ms(int(start + 81) * 1000))
    assert timeline.unknown[0] == (
        f"not everything was read, only about 25 entries are looked at; it is complete from {since} on"
    )


async def test_it_takes_no_longer_than_it_is_given(settings: Settings) -> None:
    now = time.time()
    await write(settings, [(now, encode([attempt(now, 1)], "w"), ())])
    timeline = await read_timeline(settings, LANE, within_seconds=1e-9)
    assert timeline.unknown[0] == "not everything was read, only 1e-09 s were given; none of it is sure"


@both_brokers
async def test_reading_makes_no_topic(broker: Broker, names: Names, tmp_path: Path) -> None:
    settings = settings_for(broker.bootstrap, names, tmp_path)
    assert (await read_timeline(settings, LANE)).events == ()
    assert names.topic("attempts") not in await broker.topics()


async def test_without_a_broker_it_says_so(names: Names, tmp_path: Path) -> None:
    settings = settings_for(f"127.0.0.1:{free_port()}", names, tmp_path)
    with pytest.raises(BrokerUnavailableError, match="bootstrap_server"):
        await read_timeline(settings, LANE)
