"""One event that a receiver never takes is set aside; its neighbours and its siblings pass."""

from __future__ import annotations

import pytest

from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import BUSINESS, Load
from tests.chaos.scene import QUICK, noting, report, wait_until, wait_until_all_done
from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.receiver import Receiver
from tests.servers.replies import OK, Reply, status
from tests.servers.request_record import RequestRecord

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

POISON_ATTEMPTS = 10


@pytest.mark.timeout(300)
@pytest.mark.parametrize("answer", [422, 500])
async def test_a_poison_event_alone_is_set_aside(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, answer: int, chaos_long: bool
) -> None:
    events = 20_000 if chaos_long else 1_000
    ledger = DeliveryLedger()
    poison, mended = f"e{events // 2}", False

    def reply(record: RequestRecord, number: int) -> Reply:
        return status(answer, b"no such thing") if record.event_id == poison and not mended else OK

    await apache_kafka.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, reply), keep=False) as receiver,
        Load(apache_kafka.bootstrap, names.source, ledger) as load,
    ):
        extra = {**QUICK, "DELIVERY_RETRY_MAX_SECONDS": "0.2"}
        env = anchor_env(apache_kafka.bootstrap, business_url=receiver.url, names=names, extra=extra)
        await start_worker(env)
        # A pace at which others pass for as long as the poison event is tried.
        await load.publish(events, rate_per_second=None if chaos_long else 300)
        await receiver.wait_until(lambda: ledger.missing == 1, 120)
        topic = names.topic("dead-letter")

        async def is_set_aside() -> bool:
            return sum((await apache_kafka.end_offsets(topic)).values()) > 0

        await wait_until(is_set_aside, 60, "a dead letter")
        await wait_until_all_done(apache_kafka, names, names.topic("callback-api"), 30)
        (letter,) = await apache_kafka.read_all(topic)
        assert letter.headers["event-id"].decode() == poison
        assert letter.headers["dead-letter-destination"] == b"callback-api"
        # A 500 counts as the event's own only once others have passed.
        assert POISON_ATTEMPTS <= int(letter.headers["dead-letter-attempts"]) <= POISON_ATTEMPTS + 5
        assert letter.headers["dead-letter-last-status"] == b"%d" % answer
        assert ledger.times(BUSINESS, poison) == 0
        ledger.dead_lettered(BUSINESS, poison)
    tally = report(f"poison_{answer}", ledger)
    assert (tally.dead_lettered, tally.duplicates) == (1, 0)
