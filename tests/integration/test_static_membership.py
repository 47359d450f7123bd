"""What the chart's StatefulSet is for: a worker that comes back under its name moves no partitions."""

from __future__ import annotations

import pytest

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver

SOON_SECONDS = 60.0
JOINS = "(Re-)joining group"
"""What aiokafka logs whenever a worker takes part in a rebalance; the dynamic case below sees that it does."""


def event(number: int) -> Record:
    return Record(event_value(f"e{number}", f"t{number}"), key=f"e{number}".encode())


@pytest.mark.kafka
@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_static", [True, False], ids=["static", "dynamic"])
async def test_a_restart_is_not_noticed_by_the_others_when_workers_keep_their_names(
    is_static: bool,
    apache_kafka: ApacheKafka,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
) -> None:
    env = anchor_env(
        apache_kafka.bootstrap,
        business_url=business_server.url,
        names=names,
        partitions=4,
        # A restart takes seconds on a busy machine; in it the name is kept.
        extra={"CONSUMER_SESSION_TIMEOUT_SECONDS": "60"},
    )
    named = [
        {"CONSUMER_GROUP_INSTANCE_ID": f"{names.consumer_group}-{i}"} if is_static else {} for i in (0, 1)
    ]
    first = await start_worker(env | named[0])
    second = await start_worker(env | named[1])
    await first.wait_ready(SOON_SECONDS)
    joins = first.log_text().count(JOINS)
    assert joins >= 2, "at its start, and when the second came"

    await second.terminate()
    await apache_kafka.publish(names.source, [event(number) for number in range(40)])
    again = await start_worker(env | named[1])
    await again.wait_ready(SOON_SECONDS)
    await business_server.wait_for(40, SOON_SECONDS)

    assert first.log_text().count(JOINS) == joins if is_static else first.log_text().count(JOINS) > joins
    assert len(business_server.requests) == 40, "each event once"
