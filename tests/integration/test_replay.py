"""``eventproc replay`` beside a running worker: exactly what was chosen, again, in order, marked."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from eventproc.replay import ROUND_EVENTS
from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.command import command, environment, eventproc
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.request_record import RequestRecord
from tests.servers.waiting import wait_until

SOON_SECONDS = 60.0
HOUR_MS = 3_600_000

pytestmark = pytest.mark.timeout(300)


def event(number: int, transaction: str, client: str, timestamp_ms: int) -> Record:
    value = event_value(f"e{number}", transaction, client_name=client)
    return Record(value, key=f"e{number}".encode(), timestamp_ms=timestamp_ms)


class Stage:
    """A worker with a business server and two wallets' endpoints, and 30 events an hour apart in the past."""

    def __init__(
        self, broker: Broker, names: Names, business: Receiver, wallet: Receiver, directory: Path
    ) -> None:
        self.broker, self.names, self.business, self.wallet = broker, names, business, wallet
        self.directory = directory
        clients = [
            noncustodial_client(name, f"{wallet.url}/{name}", domains=[f"{name}.example.com"], seps=["sep24"])
            for name in ("acme", "other")
        ]
        self.env = anchor_env(broker.bootstrap, business_url=business.url, clients=clients, names=names)
        self.now_ms = int(time.time() * 1000) // 1000 * 1000
        self.events = [
            event(n, f"t{n % 5}", "acme" if n % 5 < 3 else "other", self.now_ms - (30 - n) * HOUR_MS)
            for n in range(30)
        ]

    async def deliver_all(self) -> None:
        """Until the router's place in the source is committed."""
        await self.broker.publish(self.names.source, self.events)
        await self.business.wait_for(30, SOON_SECONDS)
        await self.wallet.wait_for(30, SOON_SECONDS)

        async def is_committed() -> bool:
            committed = await self.broker.committed(self.names.consumer_group, self.names.source)
            return 0 in committed and committed[0].offset == 30

        await wait_until(is_committed, SOON_SECONDS, "the router's place behind the last event")
        self.business.clear()
        self.wallet.clear()

    def since(self, number: int) -> str:
        """When that event was published, as an operator writes it."""
        seconds = (self.now_ms - (30 - number) * HOUR_MS) // 1000
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

    async def replay(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = await eventproc(self.directory, self.env, "replay", *arguments, "--yes", "--json", code=code)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    async def ends(self) -> dict[str, dict[int, int]]:
        ids = ("callback-api", "client.acme.sep24", "client.other.sep24", "customers", "dead-letter")
        return {id_: await self.broker.end_offsets(self.names.topic(id_)) for id_ in ids}


@pytest.fixture
async def stage(  # noqa: PLR0917 - fixtures
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
    tmp_path: Path,
) -> Stage:
    found = Stage(broker, names, business_server, wallet_server, tmp_path)
    await start_worker(found.env)
    await found.deliver_all()
    return found


def by_lane(requests: Iterable[RequestRecord]) -> dict[str, list[str]]:
    """Event ids in order of arrival, by path and transaction."""
    lanes: dict[str, list[str]] = {}
    for request in requests:
        number = int((request.event_id or "e0")[1:])
        lanes.setdefault(f"{request.path} t{number % 5}", []).append(f"e{number}")
    return lanes


async def test_a_window_is_sent_again_to_all_it_belongs_to_and_a_dry_run_sends_nothing(stage: Stage) -> None:
    before = await stage.ends()
    window = ("--since", stage.since(10), "--until", stage.since(19))
    dry = await stage.replay(*window, "--dry-run")
    assert (dry["events"], dry["copies"], dry["written"]) == (10, 20, 0)
    assert {one["id"]: one["events"] for one in dry["destinations"]} == {
        "callback-api": 10,
        "client.acme.sep24": 6,
        "client.other.sep24": 4,
    }
    assert dry["destinations"][0]["first"]["event_id"] == "e10"
    assert dry["destinations"][0]["last"]["event_id"] == "e19"
    assert await stage.ends() == before

    done = await stage.replay(*window)
    assert (done["written"], done["in_doubt"], done["left_out"]["not_routed"]) == (20, 0, 0)
    await stage.business.wait_for(10, SOON_SECONDS)
    await stage.wallet.wait_for(10, SOON_SECONDS)
    requests = [*stage.business.requests, *stage.wallet.requests]
    assert {request.headers["X-Event-Redriven"] for request in requests} == {done["at"]}
    assert by_lane(stage.business.requests) == {
        f"/event t{n}": [f"e{10 + n}", f"e{15 + n}"] for n in range(5)
    }
    assert by_lane(stage.wallet.requests) == {
        f"/{'acme' if n < 3 else 'other'}/sep24 t{n}": [f"e{10 + n}", f"e{15 + n}"] for n in range(5)
    }
    assert stage.business.unverified == stage.wallet.unverified == []
    # Nothing more follows: what is published now comes directly behind it, and the counts are exact.
    await stage.broker.publish(stage.names.source, [event(30, "t0", "acme", stage.now_ms)])
    await stage.business.wait_until(lambda: "e30" in stage.business.event_ids(), SOON_SECONDS)
    await stage.wallet.wait_until(lambda: "e30" in stage.wallet.event_ids(), SOON_SECONDS)
    assert stage.business.count == stage.wallet.count == 11
    records = await stage.broker.read_all(stage.names.topic("client.acme.sep24"))
    (original, copy) = [record for record in records if record.headers["event-id"] == b"e10"]
    assert copy.value == original.value
    assert copy.key == original.key
    assert dict(copy.headers) == {**original.headers, "redriven": done["at"].encode()}


async def test_one_transaction_of_the_whole_topic_for_one_destination(stage: Stage) -> None:
    done = await stage.replay("--transaction", "t1", "--destination", "client.*")
    assert (done["events"], done["copies"]) == (6, 6)
    await stage.wallet.wait_for(6, SOON_SECONDS)
    assert by_lane(stage.wallet.requests) == {"/acme/sep24 t1": [f"e{n}" for n in (1, 6, 11, 16, 21, 26)]}
    assert stage.business.count == 0


async def test_the_latest_state_of_each_transaction_for_one_client(stage: Stage) -> None:
    done = await stage.replay("--since", "365d", "--client", "other", "--latest-state-only")
    assert (done["events"], done["copies"]) == (2, 2)
    await stage.wallet.wait_for(2, SOON_SECONDS)
    assert by_lane(stage.wallet.requests) == {"/other/sep24 t3": ["e28"], "/other/sep24 t4": ["e29"]}
    assert (stage.business.count, stage.wallet.count) == (0, 2)


async def test_what_no_worker_has_routed_yet_comes_by_itself_once(  # noqa: PLR0917 - fixtures
    apache_kafka: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
    tmp_path: Path,
) -> None:
    stage = Stage(apache_kafka, names, business_server, wallet_server, tmp_path)
    nothing = await eventproc(tmp_path, stage.env, "replay", "--since", "1d", code=1)
    assert "start a worker of this configuration first" in nothing.stderr
    worker = await start_worker(stage.env)
    await stage.deliver_all()
    await worker.terminate()
    await apache_kafka.publish(names.source, [event(n, "t0", "acme", stage.now_ms) for n in (30, 35)])
    done = await stage.replay("--since", stage.since(25))
    assert (done["events"], done["left_out"]["not_routed"]) == (5, 2)
    await start_worker(stage.env)
    await business_server.wait_for(7, SOON_SECONDS)
    assert by_lane(business_server.requests)["/event t0"] == ["e25", "e30", "e35"]
    redriven = {r.event_id: "X-Event-Redriven" in r.headers for r in business_server.requests}
    assert redriven == {f"e{n}": n < 30 for n in (25, 26, 27, 28, 29, 30, 35)}
    missing = await stage.replay("--transaction", "nobody", code=1)
    assert missing["events"] == 0


async def routed_without_a_worker(broker: Broker, stage: Stage, count: int) -> None:
    """As if workers had been there: topics, source records, and the group's place behind them."""
    topics = {
        stage.names.topic(one): 2 for one in ("callback-api", "client.acme.sep24", "client.other.sep24")
    }
    await broker.create_topics({**topics, stage.names.source: 1})
    published = [event(n, f"t{n % 50}", "acme", stage.now_ms - HOUR_MS + n) for n in range(count)]
    await broker.publish(stage.names.source, published)
    group = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap, group_id=stage.names.consumer_group, enable_auto_commit=False
    )
    await group.start()
    try:
        source = TopicPartition(stage.names.source, 0)
        group.assign([source])
        await group.commit({source: count})
    finally:
        await group.stop()


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_says_exactly_how_far_it_came(
    apache_kafka: Broker, names: Names, tmp_path: Path, signal_: signal.Signals
) -> None:
    async with Receiver() as nobody:
        stage = Stage(apache_kafka, names, nobody, nobody, tmp_path)
        await routed_without_a_worker(apache_kafka, stage, 20_000)
        topic = names.topic("callback-api")
        process = await asyncio.create_subprocess_exec(
            *command("replay", "--since", "2h", "--destination", "callback-api", "--yes", "--json"),
            env=environment(stage.env),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        while not sum((await apache_kafka.end_offsets(topic)).values()):
            assert process.returncode is None
        process.send_signal(signal_)
        stdout, stderr = await asyncio.wait_for(process.communicate(), SOON_SECONDS)
        assert process.returncode == 1, stderr
    told = json.loads(stdout)
    assert told["problem"] == "Interrupted."
    found = {record.headers["event-id"].decode() for record in await apache_kafka.read_all(topic)}
    assert 0 < len(found) < 20_000, "it was in the middle"
    assert (told["written"], told["in_doubt"]) == (len(found), 0), "what was under way is waited for"
    whole = [f"e{n}" for n in range(told["whole_events"])]
    assert set(whole) == found
    assert told["last_whole"]["offset"] == told["whole_events"] - 1
    assert f"eventproc replay --resume {told['resume']}".encode() in stderr


async def test_killed_half_way_it_goes_on_with_exactly_the_rest(
    apache_kafka: Broker, names: Names, tmp_path: Path
) -> None:
    """SIGKILL twice, each time somewhere behind a round; what comes twice is at most a round each time."""
    async with Receiver() as nobody:
        stage = Stage(apache_kafka, names, nobody, nobody, tmp_path)
        await routed_without_a_worker(apache_kafka, stage, 20_000)
        chosen = ["--since", "2h", "--destination", "callback-api"]
        shown = await stage.replay(*chosen, "--dry-run")
        for rounds in (3, 4):
            points = await killed_after(stage, rounds, *chosen)
            late = [event(n, f"t{n % 50}", "acme", stage.now_ms) for n in range(20_000, 20_100)]
            await apache_kafka.publish(names.source, late)
            chosen = ["--resume", points[-1]["resume"]]
        assert points[-1]["whole_events"] < points[0]["events"] <= 20_000 - 3 * ROUND_EVENTS
        done = await stage.replay(*chosen)
        nothing = await stage.replay("--resume", points[0]["resume"], "--dry-run")
    topic = names.topic("callback-api")
    copies = await apache_kafka.read_all(topic)
    found = Counter(record.headers["event-id"].decode() for record in copies)
    assert set(found) == {f"e{n}" for n in range(20_000)}, "all of what was shown, and nothing else"
    assert shown["copies"] <= len(copies) <= 20_000 + 2 * ROUND_EVENTS
    assert max(found.values()) <= 3
    assert {record.headers["redriven"].decode() for record in copies} == {done["at"]}
    assert (done["problem"], done["resume"], nothing["at"]) == (None, None, done["at"])
    first_seen: dict[bytes, list[int]] = {}
    for record in copies:
        number = int(record.headers["event-id"][1:])
        lane = first_seen.setdefault(record.key or b"", [])
        if number not in lane:
            lane.append(number)
    assert all(lane == sorted(lane) for lane in first_seen.values()), "in the order of each transaction"


async def killed_after(stage: Stage, rounds: int, *arguments: str) -> list[dict[str, Any]]:
    """Kill a replay when it has printed so many points; what it had printed."""
    process = await asyncio.create_subprocess_exec(
        *command("replay", *arguments, "--yes", "--json"),
        env=environment(stage.env),
        cwd=stage.directory,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1_000_000,
    )
    assert process.stderr is not None
    lines: list[bytes] = []
    while len(lines) <= rounds:
        lines.append(await asyncio.wait_for(process.stderr.readline(), SOON_SECONDS))
    process.kill()
    lines += (await asyncio.wait_for(process.stderr.read(), SOON_SECONDS)).splitlines()
    await process.wait()
    return [json.loads(line) for line in lines]
