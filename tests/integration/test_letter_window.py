"""The newest dead letters, read from a real topic within bounds."""

from __future__ import annotations

import pytest

from eventproc.delivery import letter_window
from eventproc.delivery.letter_window import LetterWindow, TooLargeError
from eventproc.errors import BrokerUnavailableError
from settings import Settings, load_settings
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.both_brokers import both_brokers
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.ports import free_port

DESTINATION = "client.acme.sep24"


def settings_of(bootstrap: str, names: Names) -> Settings:
    return load_settings(env=anchor_env(bootstrap, names=names))


def letter(number: int, value: bytes | None = None) -> Record:
    headers = {
        "event-id": b"e%d" % number,
        "dead-letter-record": b"eventproc/0/%d" % number,
        "dead-letter-destination": DESTINATION.encode(),
        "dead-letter-lane": b"t%d" % number,
        "dead-letter-reason": b"rejected: HTTP 422",
    }
    return Record(value or b"value %d" % number, key=f"{DESTINATION}|e{number}".encode(), headers=headers)


def note(number: int, until: int) -> Record:
    headers = {
        "note": b"redriven",
        "dead-letter-destination": DESTINATION.encode(),
        "dead-letter-lane": b"t%d" % number,
        "dead-letter-offset": b"%d" % until,
    }
    return Record(b"", key=f"{DESTINATION}|e{number}".encode(), headers=headers)


@both_brokers
async def test_the_newest_are_read_and_the_older_counted(broker: Broker, names: Names) -> None:
    topic, settings = names.topic("dead-letter"), settings_of(broker.bootstrap, names)
    assert (await LetterWindow(settings).read(lambda _id: True)).entries == [], "no topic, no letters"
    await broker.create_topics({topic: 1})
    await broker.publish(topic, [letter(number) for number in range(100)])
    await broker.publish(topic, [note(99, until=99), note(3, until=3)])

    everything = await LetterWindow(settings).read(lambda _id: False)
    window = await LetterWindow(settings, records=12).read(lambda one: one.offset == 95)

    assert [entry.event_id for entry in everything.entries] == [f"e{n}" for n in range(99) if n != 3]
    assert everything.older_records == 0
    assert all(entry.value is None for entry in everything.entries)
    read = [entry.event_id for entry in window.entries]
    assert read == [f"e{number}" for number in range(99 - len(read), 99)]
    assert window.older_records + len(read) + 3 == 102, "two notes, and what a note ends"
    assert [entry.value for entry in window.entries if entry.value] == [b"value 95"]


@both_brokers
async def test_values_that_are_too_much_for_a_worker_are_refused(
    broker: Broker, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_window, "VALUE_BYTES", 1000)
    topic, settings = names.topic("dead-letter"), settings_of(broker.bootstrap, names)
    await broker.create_topics({topic: 1})
    await broker.publish(topic, [letter(number, b"x" * 300) for number in range(5)])
    with pytest.raises(TooLargeError, match="eventproc deadletter redrive"):
        await LetterWindow(settings).read(lambda _id: True)
    assert len((await LetterWindow(settings).read(lambda one: one.offset == 1)).entries) == 5


async def test_no_broker_is_said_so(names: Names) -> None:
    settings = settings_of(f"127.0.0.1:{free_port()}", names)
    with pytest.raises(BrokerUnavailableError, match=r"Kafka at 127\.0\.0\.1"):
        await LetterWindow(settings).read(lambda _id: True)
