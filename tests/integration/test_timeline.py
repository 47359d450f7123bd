"""What became of one transaction, asked of the topic that real workers write."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventproc.delivery.timeline_reader import read_timeline
from eventproc.timeline import DestinationTimeline, State, Timeline
from settings import load_settings
from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.replies import first, for_event, status
from tests.servers.worker import CHECKOUT

WALLET, BUSINESS = "client.acme.sep24", "callback-api"


def event(event_id: str, transaction: str) -> Record:
    value = event_value(event_id, transaction, client_name="acme", message="nobody else's business")
    return Record(value, key=event_id.encode())


def update(event_id: str, status: str) -> Record:
    customer = {"id": "c1", "status": status}
    value = {"type": "customer_updated", "id": event_id, "clientName": "acme", "customer": customer}
    return Record(json.dumps(value).encode(), key=event_id.encode())


@dataclass(frozen=True, slots=True)
class Stage:
    """One test's broker, receivers and configuration. Timelines are read as anyone with it can."""

    broker: Broker
    names: Names
    wallet: Receiver
    env: dict[str, str]
    empty: Path

    async def read(self, lane: str) -> Timeline:
        return await read_timeline(load_settings(None, self.env, self.empty), lane, 3600.0)

    async def read_until(self, lane: str, is_there: Callable[[Timeline], bool]) -> Timeline:
        """Asks again, for entries are written a moment after the fact."""
        deadline = time.monotonic() + 60
        while True:
            timeline = await self.read(lane)
            if is_there(timeline):
                return timeline
            assert time.monotonic() < deadline, (self.wallet.event_ids(), timeline)
            await asyncio.sleep(0.1)


@pytest.fixture
def stage(broker: Broker, names: Names, wallet_server: Receiver, tmp_path: Path) -> Stage:
    extra = {
        "TIMELINE_FLUSH_SECONDS": "0.1",
        "DELIVERY_RETRY_INITIAL_SECONDS": "0.2",
        "DELIVERY_RETRY_MAX_SECONDS": "1",
    }
    clients = [
        noncustodial_client("acme", wallet_server.url, domains=["acme.example.com"], seps=["sep24", "sep12"])
    ]
    env = anchor_env(broker.bootstrap, clients=clients, names=names, extra=extra)
    empty = tmp_path / ".env"
    empty.touch()
    return Stage(broker, names, wallet_server, env, empty)


def at(timeline: Timeline, event_id: str, destination: str = WALLET) -> DestinationTimeline:
    (found,) = [
        one
        for event in timeline.events
        if event.event_id == event_id
        for one in event.destinations
        if one.destination == destination
    ]
    return found


def is_delivered(timeline: Timeline) -> bool:
    return {one.state for event in timeline.events for one in event.destinations} == {State.DELIVERED}


def is_dead_lettered(timeline: Timeline) -> bool:
    return bool(timeline.events) and at(timeline, "e1").state is State.DEAD_LETTERED


async def eventproc(stage: Stage, *arguments: str) -> tuple[int | None, str]:
    """The command as an operator gives it: exit code, and what it prints."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("eventproc"),
        *arguments,
        cwd=stage.empty.parent,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **stage.env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode()


def has_failed_twice(timeline: Timeline) -> bool:
    return bool(timeline.events) and len(at(timeline, "e1").attempts) >= 2


async def test_a_timeline_has_every_attempt_with_its_status_and_the_next_try(
    stage: Stage, start_worker: StartWorker, business_server: Receiver
) -> None:
    stage.env.update(
        anchor_env(stage.broker.bootstrap, business_url=business_server.url, names=stage.names)
        | {
            name: value
            for name, value in stage.env.items()
            if not name.startswith("EVENT_PROCESSOR_CALLBACK")
        }
    )
    before = await stage.read("t1")
    assert before.events == ()
    assert before.unknown == (f"there is no topic {stage.names.topic('attempts')} yet",)

    stage.wallet.respond = for_event({"e1": status(503, b"down, for a reason told in confidence")})
    began = time.time()
    await start_worker(stage.env)
    await stage.broker.publish(stage.names.source, [event("e1", "t1"), event("e2", "t1"), event("x", "t2")])
    failing = await stage.read_until("t1", lambda t: len(t.events) == 2 and has_failed_twice(t))
    waiting = at(failing, "e1")
    assert waiting.state in {State.WAITING, State.UNDER_WAY}
    assert waiting.next_try_at == waiting.attempts[-1].next_try_at
    assert waiting.next_try_at is not None
    assert waiting.attempts[-1].at <= waiting.next_try_at < time.time() + 60
    assert (at(failing, "e2").state, at(failing, "e2").behind) == (State.BEHIND, "e1")
    await stage.read_until("t1", lambda t: at(t, "e2", BUSINESS).state is State.DELIVERED)

    stage.wallet.respond = for_event({})
    done = await stage.read_until("t1", is_delivered)
    assert [e.event_id for e in done.events] == ["e1", "e2"]
    assert done.unknown == ()
    attempts = at(done, "e1").attempts
    count = len([request for request in stage.wallet.requests if request.event_id == "e1"])
    assert [attempt.number for attempt in attempts] == list(range(1, count + 1))
    assert [attempt.status for attempt in attempts] == [503] * (count - 1) + [200]
    assert [attempt.outcome for attempt in attempts] == ["failed"] * (count - 1) + ["delivered"]
    assert [attempt.next_try_at is None for attempt in attempts] == [False] * (count - 1) + [True]
    assert all(began <= attempt.at <= time.time() and attempt.seconds > 0 for attempt in attempts)
    routed, source = done.events[0].routed, done.events[0].source
    assert routed is not None
    assert (routed.match, routed.destinations) == ("name", (BUSINESS, WALLET))
    assert source is not None
    assert source[:3] == (stage.names.source, 0, 0)
    text = json.dumps(done.to_json())
    assert "business" not in text
    assert "in confidence" not in text


async def test_whichever_of_two_workers_wrote_it_the_answer_is_whole(
    stage: Stage, start_worker: StartWorker
) -> None:
    lanes = [f"t{number}" for number in range(12)]
    workers = [await start_worker(stage.env), await start_worker(stage.env)]
    stage.wallet.respond = first(6, status(500))
    await stage.broker.publish(stage.names.source, [event(f"e-{lane}", lane) for lane in lanes])
    answers = [await stage.read_until(lane, is_delivered) for lane in lanes]
    attempts = [
        attempt for lane, t in zip(lanes, answers, strict=True) for attempt in at(t, f"e-{lane}").attempts
    ]
    assert len(attempts) == len(stage.wallet.requests)
    makers = {attempt.worker.rpartition("/")[2] for attempt in attempts}
    assert makers == {str(worker.pid) for worker in workers}


async def test_what_was_written_outlives_a_killed_worker_and_the_rest_follows_at_another(
    stage: Stage, start_worker: StartWorker
) -> None:
    stage.wallet.respond = for_event({"e1": status(500)})
    worker = await start_worker(stage.env)
    await stage.broker.publish(stage.names.source, [event("e1", "t1")])
    known = at(await stage.read_until("t1", has_failed_twice), "e1").attempts
    worker.kill()
    assert at(await stage.read("t1"), "e1").attempts[: len(known)] == known

    stage.wallet.respond = for_event({})
    await start_worker(stage.env)
    attempts = at(await stage.read_until("t1", is_delivered), "e1").attempts
    assert attempts[: len(known)] == known
    assert attempts[-1].status == 200
    assert attempts[-1].number == 1, "another worker counts anew"


async def test_a_dead_letter_and_its_redrive_are_part_of_the_story(
    stage: Stage, start_worker: StartWorker
) -> None:
    stage.env["DELIVERY_RETRY_POISON_ATTEMPTS"] = "2"
    stage.wallet.respond = for_event({"e1": status(422)})
    await start_worker(stage.env)
    await stage.broker.publish(stage.names.source, [event("e1", "t1")])
    given_up = at(await stage.read_until("t1", is_dead_lettered), "e1")
    assert [attempt.status for attempt in given_up.attempts] == [422, 422]
    assert given_up.dead_letter is not None
    assert given_up.dead_letter.reason == "rejected"

    stage.wallet.respond = for_event({})
    code, text = await eventproc(stage, "deadletter", "redrive", "--all", "--yes")
    assert code == 0, text
    taken = at(await stage.read_until("t1", is_delivered), "e1")
    assert [attempt.status for attempt in taken.attempts] == [422, 422, 200]
    assert taken.attempts[-1].redriven is not None
    assert taken.redriven_at is not None
    assert given_up.dead_letter.at < taken.redriven_at
    code, text = await eventproc(stage, "timeline", "t1")
    assert code == 0, text
    assert "delivered, redriven" in text
    assert (await eventproc(stage, "timeline", "nobody"))[0] == 1


async def test_a_clean_stop_writes_the_rest_also_what_was_skipped_as_unchanged(
    stage: Stage, start_worker: StartWorker
) -> None:
    stage.env["TIMELINE_FLUSH_SECONDS"] = "600"
    stage.env["DELIVERY_SKIP_UNCHANGED_CUSTOMERS"] = "true"
    worker = await start_worker(stage.env)
    await stage.broker.publish(stage.names.source, [event("e1", "t1")])
    await stage.wallet.wait_for(1, 30)
    assert (await stage.read("t1")).events == (), "nothing is written before its time"
    updates = [update("u1", "NEEDS_INFO"), update("u2", "NEEDS_INFO"), update("u3", "ACCEPTED")]
    await stage.broker.publish(stage.names.source, updates)
    await stage.wallet.wait_until(lambda: "u3" in stage.wallet.event_ids(), 30)
    code, _ = await worker.terminate()
    assert code == 0
    assert at(await stage.read("t1"), "e1").state is State.DELIVERED
    assert stage.wallet.event_ids("/sep12") == ["u1", "u3"]
    customer = await stage.read("c1")
    at_wallet = [at(customer, f"u{number}", "client.acme.sep12") for number in (1, 2, 3)]
    assert [one.state for one in at_wallet] == [State.DELIVERED, State.SKIPPED, State.DELIVERED]
    assert [one.skipped_as for one in at_wallet] == [None, "unchanged", None]


async def test_without_the_journal_events_are_delivered_and_no_topic_is_made(
    stage: Stage, start_worker: StartWorker
) -> None:
    stage.env["TIMELINE_ENABLED"] = "false"
    worker = await start_worker(stage.env)
    await stage.broker.publish(stage.names.source, [event("e1", "t1")])
    await stage.wallet.wait_for(1, 30)
    assert (await worker.terminate())[0] == 0
    assert stage.names.topic("attempts") not in await stage.broker.topics()
    timeline = await stage.read("t1")
    assert timeline.events == ()
    assert any("timeline.enabled" in sentence for sentence in timeline.unknown)
