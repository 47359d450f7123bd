"""One event that a receiver never takes is set aside, alone or with its transaction, and redriven later."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import BUSINESS, Load
from tests.chaos.scene import QUICK, noting, report, wait_until_all_done
from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka, Record
from tests.servers.receiver import Receiver
from tests.servers.replies import OK, Reply, status
from tests.servers.request_record import RequestRecord
from tests.servers.waiting import wait_until
from tests.servers.worker import CHECKOUT

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

POISON_ATTEMPTS = 10


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("answer", "then", "step", "set_aside"),
    [(422, "continue", 4, 1), (500, "hold_transaction", 0, 5)],
    ids=["rejected", "fails_and_holds"],
)
async def test_a_poison_event_is_set_aside_and_redriven(  # noqa: PLR0917 - fixtures and a table
    apache_kafka: ApacheKafka,
    names: Names,
    start_worker: StartWorker,
    tmp_path: Path,
    answer: int,
    then: str,
    step: int,
    set_aside: int,
    chaos_long: bool,
) -> None:
    """The last event of its transaction goes alone; the first one takes its four siblings with it."""
    events = 20_000 if chaos_long else 1_000
    ledger = DeliveryLedger()
    poison, mended = f"e{events // 2 + 20 * step}", False

    def reply(record: RequestRecord, number: int) -> Reply:
        return status(answer, b"no such thing") if record.event_id == poison and not mended else OK

    await apache_kafka.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, reply), keep=False) as receiver,
        Load(apache_kafka.bootstrap, names.source, ledger) as load,
    ):
        extra = {**QUICK, "DELIVERY_RETRY_MAX_SECONDS": "0.2", "DELIVERY_ON_DEAD_LETTER": then}
        env = anchor_env(apache_kafka.bootstrap, business_url=receiver.url, names=names, extra=extra)
        await start_worker(env)
        # A pace at which others pass for as long as the poison event is tried.
        await load.publish(events, rate_per_second=1000 if chaos_long else 300)
        await receiver.wait_until(lambda: ledger.missing == set_aside, 120)
        letter, *held = await _dead_letters(apache_kafka, names, set_aside)
        await wait_until_all_done(apache_kafka, names, names.topic("callback-api"), 30)
        assert letter.headers["event-id"].decode() == poison
        assert letter.headers["dead-letter-destination"] == b"callback-api"
        assert letter.headers["dead-letter-last-status"] == b"%d" % answer
        # A 500 counts as the event's own only once others have passed.
        assert POISON_ATTEMPTS <= int(letter.headers["dead-letter-attempts"]) <= POISON_ATTEMPTS + 5
        for one in (letter, *held):
            ledger.dead_lettered(BUSINESS, one.headers["event-id"].decode())
        before = report(f"poison_{answer}_set_aside", ledger)
        assert (before.dead_lettered, before.duplicates) == (set_aside, 0)
        mended = True
        done = await _redrive(env, tmp_path)
        await receiver.wait_until(lambda: ledger.missing == 0, 30)
        await wait_until_all_done(apache_kafka, names, names.topic("callback-api"), 30)
    after = report(f"poison_{answer}_redriven", ledger)
    assert (after.dead_lettered, after.duplicates) == (0, 0), done


async def _dead_letters(broker: ApacheKafka, names: Names, count: int) -> list[Record]:
    """The dead letters in the order in which they were written, once there are so many; no more may be there."""
    topic = names.topic("dead-letter")

    async def are_there() -> bool:
        return sum((await broker.end_offsets(topic)).values()) >= count

    await wait_until(are_there, 60, f"{count} dead letters")
    letters = await broker.read_all(topic)
    assert len(letters) == count
    return sorted(letters, key=lambda letter: letter.headers["dead-letter-at"])


async def _redrive(env: Mapping[str, str], directory: Path) -> Any:
    """``eventproc deadletter redrive`` of everything, as an operator runs it: what it says it has done."""
    command = [str(Path(sys.executable).with_name("eventproc")), "deadletter", "redrive"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "--all", "--yes", "--json"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
