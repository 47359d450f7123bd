"""What could not be read, through a real worker and the real command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.command import eventproc
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver


async def test_what_nobody_got_is_listed_and_shown(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver, tmp_path: Path
) -> None:
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names)
    topic = names.topic("invalid")
    before = await eventproc(tmp_path, env, "invalid", "list")
    assert before.stdout == f"No such record is in {topic}.\n"
    assert topic not in await broker.topics(), "to look makes nothing"

    await start_worker(env)
    bad = Record(b'{"id":"bad"', key=b"bad")
    await broker.publish(names.source, [bad, Record(event_value("good", "t1"), key=b"good")])
    await business_server.wait_for(1, 60)
    (one,) = json.loads((await eventproc(tmp_path, env, "invalid", "list", "--json")).stdout)
    assert one["place"] == f"{names.source}/0/0"
    assert (one["key"], one["value_bytes"]) == ("bad", 11)
    assert one["reason"]
    shown = await eventproc(tmp_path, env, "invalid", "show", one["place"])
    assert f"  invalid-reason: {one['reason']}" in shown.stdout.splitlines()
    assert '  {"id":"bad"' in shown.stdout.splitlines()
    await eventproc(tmp_path, env, "invalid", "show", f"{names.source}/0/1", code=1)
