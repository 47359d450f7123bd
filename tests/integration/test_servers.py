"""The test servers themselves: what the other tests stand on."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import jwt
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from stellar_sdk import Keypair

from tests.servers.anchor_env import CALLBACK_SECRET, TEST_SEED, Names
from tests.servers.both_brokers import both_brokers
from tests.servers.kafka import ApacheKafka, Broker, Committed, EmbeddedBroker, Record
from tests.servers.process import ChildProcess
from tests.servers.receiver import Receiver
from tests.servers.replies import (
    Drip,
    Garbage,
    Hang,
    Hold,
    Huge,
    Reset,
    always,
    delay,
    first,
    first_attempts,
    for_event,
    for_path,
    redirect,
    redirect_loop,
    retry_after,
    sequence,
    status,
)
from tests.servers.worker import CHECKOUT, WorkerProcess

BODY = b'{"transaction":{"id":"tx-1"}}'
# Ready when it has its partitions: Faust alone, told to stop while it joins its group, may wait for ever.
TINY_APP = """
import os
import faust
app = faust.App("tiny", broker="kafka://" + os.environ["BOOTSTRAP"], web_host="127.0.0.1",
                broker_session_timeout=6, broker_heartbeat_interval=1, topic_disable_leader=True)
source = app.topic(os.environ["SOURCE"], value_serializer="raw")
rebalanced = []

@app.on_rebalance_complete.connect
def note(app, **kwargs):
    rebalanced.append(True)

@app.agent(source)
async def read(stream):
    async for value in stream:
        print("read", value)

@app.page("/health/ready")
async def ready(self, request):
    return self.json({"leaks": os.environ.get("LEAK", "nothing")}, status=200 if rebalanced else 503)
"""


# --- brokers --------------------------------------------------------------------------------------------------------


@both_brokers
async def test_what_is_published_can_be_read_back(broker: Broker, names: Names) -> None:
    topic = names.topic("a")
    await broker.create_topics({topic: 2, names.topic("empty"): 1})
    sent = [Record(b"%d" % n, b"key", {"type": b"x"}, partition=n % 2) for n in range(5)]
    sent.append(Record(None, b"tombstone", partition=0, timestamp_ms=int(time.time() * 1000) - 1000))

    written = await broker.publish(topic, sent)
    read = await broker.read_all(topic)

    assert [record.value for record in read] == [b"0", b"2", b"4", None, b"1", b"3"]
    assert read[3].timestamp_ms == sent[-1].timestamp_ms
    in_order = sorted(written, key=lambda record: (record.partition or 0, record.offset or 0))
    assert [replace(record, timestamp_ms=None) for record in in_order] == [
        replace(record, timestamp_ms=None) for record in read
    ]
    assert await broker.end_offsets(topic) == {0: 4, 1: 2}
    assert await broker.read_all(names.topic("empty")) == []
    assert {topic, names.topic("empty")} <= await broker.topics()


@both_brokers
async def test_a_committed_position_can_be_seen(broker: Broker, names: Names) -> None:
    topic = names.topic("a")
    await broker.create_topics({topic: 2})
    await broker.publish(topic, [Record(b"1", partition=0)])
    assert await broker.committed(names.consumer_group, topic) == {}

    await _commit(broker.bootstrap, names.consumer_group, TopicPartition(topic, 0), 1, "metadata")

    # The embedded broker drops the metadata: what depends on it is tested on Apache Kafka.
    kept = "metadata" if broker.keeps_data else ""
    assert await broker.committed(names.consumer_group, topic) == {0: Committed(1, kept)}


@pytest.mark.kafka
async def test_apache_kafka_keeps_records_and_offsets_over_a_kill(own_apache_kafka: ApacheKafka) -> None:
    broker = own_apache_kafka
    await broker.create_topics({"a": 1})
    await broker.publish("a", [Record(b"before")])
    await _commit(broker.bootstrap, "group", TopicPartition("a", 0), 1, "metadata")

    broker.kill()
    assert not broker.process.is_running
    await broker.start_async()
    await broker.publish("a", [Record(b"after")])

    assert [record.value for record in await broker.read_all("a")] == [b"before", b"after"]
    assert await broker.committed("group", "a") == {0: Committed(1, "metadata")}


async def test_a_stopped_embedded_broker_comes_back_empty_on_its_port() -> None:
    async with EmbeddedBroker() as broker:
        await broker.create_topics({"a": 1})
        bootstrap = broker.bootstrap
        await broker.stop_async()
        assert broker.process.exit_code is not None
        await broker.start_async()
        assert broker.bootstrap == bootstrap
        assert await broker.topics() == set()


async def _commit(bootstrap: str, group: str, partition: TopicPartition, offset: int, metadata: str) -> None:
    consumer = AIOKafkaConsumer(
        partition.topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
    )
    await consumer.start()
    try:
        await consumer.commit({partition: OffsetAndMetadata(offset, metadata)})
    finally:
        await consumer.stop()


# --- what a receiver verifies ---------------------------------------------------------------------------------------


async def test_a_right_signature_is_verified(wallet_server: Receiver) -> None:
    await _post(wallet_server, headers={"Signature": _sign(wallet_server.netloc)})
    assert [record.problem for record in wallet_server.requests] == [None]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"host": "other:1"}, "fits none of the hosts"),
        ({"body": BODY + b" "}, "fits none of the hosts"),
        ({"seed": Keypair.random().secret}, "fits none of the hosts"),
        ({"timestamp": int(time.time()) - 3600}, "more than 60 s from now"),
    ],
)
async def test_a_wrong_signature_is_not_verified(
    wallet_server: Receiver, change: dict[str, object], problem: str
) -> None:
    signature = _sign(**{"host": wallet_server.netloc, **change})  # type: ignore[arg-type]
    await _post(wallet_server, headers={"Signature": signature})
    assert problem in str(wallet_server.requests[0].problem)
    assert wallet_server.unverified == wallet_server.requests


@pytest.mark.parametrize("value", [None, "", "t=1,s=AAAA", "s=AAAA, t=1", "t=x, s=AAAA", "t=1, s=AAAA "])
async def test_a_malformed_signature_is_not_verified(wallet_server: Receiver, value: str | None) -> None:
    await _post(wallet_server, headers={} if value is None else {"Signature": value})
    assert not wallet_server.requests[0].verified


@pytest.mark.parametrize(
    ("claims", "secret", "right"),
    [
        ({"iat": 0, "exp": 30}, CALLBACK_SECRET, True),
        ({"iat": -60, "exp": -30}, CALLBACK_SECRET, False),
        ({"exp": 30}, CALLBACK_SECRET, False),
        ({"iat": 0}, CALLBACK_SECRET, False),
        ({"iat": 0, "exp": 30}, CALLBACK_SECRET[::-1], False),
    ],
)
async def test_a_token_is_verified_only_when_right(
    business_server: Receiver, claims: dict[str, int], secret: str, right: bool
) -> None:
    now = int(time.time())
    token = jwt.encode({name: now + seconds for name, seconds in claims.items()}, secret, algorithm="HS256")
    await _post(business_server, headers={"Authorization": f"Bearer {token}"})
    assert business_server.requests[0].verified is right


async def test_ids_are_found_in_header_and_body(business_server: Receiver) -> None:
    body = b'{"id":"event-1","type":"x","payload":{"transaction":{"id":"tx-1"}}}'
    await _post(business_server, body)
    await _post(business_server, headers={"X-Event-Id": "event-2"})
    await _post(business_server, headers={"X-Event-Id": "event-2"})
    await _post(business_server, b"not json")
    assert business_server.event_ids() == ["event-1", "event-2", "event-2", None]
    assert [record.transaction_id for record in business_server.requests] == ["tx-1", "tx-1", "tx-1", None]
    assert [record.attempt for record in business_server.requests] == [1, 1, 2, 1]
    assert business_server.requests[0].body == body


# --- how a receiver misbehaves --------------------------------------------------------------------------------------


async def test_scripts_answer_by_number_attempt_event_and_path() -> None:
    async with Receiver() as receiver:
        receiver.respond = first(2, status(503), then=status(201))
        assert [await _post(receiver) for _ in range(3)] == [503, 503, 201]
        receiver.clear()
        receiver.respond = sequence(status(500), status(404))
        assert [await _post(receiver) for _ in range(3)] == [500, 404, 404]
        receiver.respond = first_attempts(1, status(503))
        assert [await _post(receiver, headers={"X-Event-Id": i}) for i in "aabb"] == [503, 200, 503, 200]
        receiver.respond = for_event({"bad": status(422)})
        assert [await _post(receiver, headers={"X-Event-Id": i}) for i in ("bad", "good")] == [422, 200]
        receiver.respond = for_path({"/sep24": status(410)})
        assert await _post(receiver) == 410


async def test_a_delay_and_headers_are_as_told() -> None:
    async with Receiver(
        respond=sequence(delay(0.2), retry_after(7), redirect("http://elsewhere/"))
    ) as receiver:
        began = time.monotonic()
        assert await _post(receiver) == 200
        assert time.monotonic() - began >= 0.2
        async with aiohttp.ClientSession() as session:
            async with session.post(receiver.url) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "7")
            async with session.post(receiver.url, allow_redirects=False) as response:
                assert (response.status, response.headers["Location"]) == (302, "http://elsewhere/")


async def test_a_redirect_loop_has_no_end() -> None:
    async with Receiver(respond=redirect_loop) as receiver:
        with pytest.raises(aiohttp.TooManyRedirects):
            await _post(receiver)


async def test_a_hang_lasts_until_the_client_gives_up() -> None:
    async with Receiver(respond=always(Hang())) as receiver:
        with pytest.raises(asyncio.TimeoutError):
            await _post(receiver, timeout_seconds=0.3)
        await receiver.wait_until(lambda: receiver.concurrent == 0)
        assert receiver.answered == {}


async def test_a_held_request_is_answered_when_told() -> None:
    release = asyncio.Event()
    async with Receiver(respond=always(Hold(release, status(202)))) as receiver:
        posts = asyncio.gather(*(_post(receiver) for _ in range(3)))
        await receiver.wait_for(3)
        assert receiver.concurrent == 3
        release.set()
        assert await posts == [202, 202, 202]
        assert receiver.max_concurrent == 3
        assert receiver.answered == {1: 202, 2: 202, 3: 202}


async def test_a_reset_is_seen_as_one() -> None:
    async with Receiver(respond=always(Reset())) as receiver:
        reader, writer = await asyncio.open_connection(*receiver.netloc.split(":"))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def test_garbage_is_no_http() -> None:
    async with Receiver(respond=always(Garbage())) as receiver:
        with pytest.raises(aiohttp.ClientError):
            await _post(receiver)


async def test_a_body_drips() -> None:
    async with Receiver(respond=always(Drip(body_bytes=1_000_000, interval_seconds=0.01))) as receiver:
        with pytest.raises(asyncio.TimeoutError):
            await _post(receiver, timeout_seconds=0.5)
        assert 2 < receiver.body_bytes_sent < 100


async def test_of_a_huge_body_only_what_the_client_takes_is_sent() -> None:
    async with Receiver(respond=always(Huge(body_bytes=1 << 30))) as receiver:
        async with aiohttp.ClientSession() as session, session.post(receiver.url) as response:
            assert len(await response.content.readexactly(1_000)) == 1_000
        await receiver.wait_until(lambda: receiver.concurrent == 0)
        assert receiver.body_bytes_sent < 64 << 20


async def test_refuse_and_accept_close_and_reopen_the_port() -> None:
    async with Receiver() as receiver, aiohttp.ClientSession() as session:
        async with session.post(receiver.url) as response:
            assert response.status == 200
        await receiver.refuse()
        with pytest.raises(aiohttp.ClientConnectionError):  # the kept connection is closed too
            await session.post(receiver.url)
        with pytest.raises(aiohttp.ClientConnectorError):
            await _post(receiver)
        await receiver.accept()
        assert await _post(receiver) == 200
        assert receiver.count == 2


async def test_refuse_does_not_wait_for_a_hanging_request() -> None:
    async with Receiver(respond=always(Hang())) as receiver:
        post = asyncio.ensure_future(_post(receiver))
        await receiver.wait_for(1)
        began = time.monotonic()
        await receiver.refuse()
        assert time.monotonic() - began < 2
        with pytest.raises(aiohttp.ClientError):
            await post


async def test_a_wait_that_fails_tells_what_came() -> None:
    async with Receiver() as receiver:
        await _post(receiver, headers={"X-Event-Id": "event-7"})
        with pytest.raises(TimeoutError, match="event-7"):
            await receiver.wait_for(2, timeout_seconds=0.1)


async def test_bodies_over_a_megabyte_are_taken() -> None:
    async with Receiver() as receiver:
        assert await _post(receiver, io.BytesIO(b"x" * 3_000_000)) == 200
        assert len(receiver.requests[0].body) == 3_000_000


async def test_the_receiver_runs_as_a_process(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    command = [
        sys.executable,
        "-m",
        "tests.servers.receiver",
        "--log",
        str(log),
        "--jwt-secret",
        CALLBACK_SECRET,
    ]
    child = ChildProcess(command, log_file=tmp_path / "out", cwd=CHECKOUT)
    child.start()
    try:
        url = await asyncio.wait_for(_ready_url(child), 20)
        async with aiohttp.ClientSession() as session, session.post(url, data=BODY) as response:
            assert response.status == 200
        assert await asyncio.to_thread(child.terminate, 10.0)
    finally:
        child.kill()
    assert child.exit_code == 0, child.log_tail()
    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["transaction_id"], line["verified"]) == ("tx-1", False)


async def _ready_url(child: ChildProcess) -> str:
    while not (ready := [line for line in child.log_text().splitlines() if line.startswith("ready ")]):
        assert child.is_running, child.log_tail()
        await asyncio.sleep(0.05)
    return ready[0].removeprefix("ready ")


async def _post(
    receiver: Receiver,
    body: bytes | io.BytesIO = BODY,
    *,
    headers: dict[str, str] | None = None,
    timeout_seconds: float = 5.0,
) -> int:
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{receiver.url}/sep24", data=body, headers=headers or {}) as response,
    ):
        await response.read()
        return response.status


def _sign(host: str, body: bytes = BODY, seed: str = TEST_SEED, timestamp: int | None = None) -> str:
    timestamp = timestamp or int(time.time())
    signature = Keypair.from_secret(seed).sign(f"{timestamp}.{host}.".encode() + body)
    return f"t={timestamp}, s={base64.b64encode(signature).decode()}"


# --- worker processes -----------------------------------------------------------------------------------------------


async def test_a_worker_starts_with_its_own_environment_and_ends(
    embedded_broker: EmbeddedBroker, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAK", "the parent's environment")
    (tmp_path / "tiny_app.py").write_text(TINY_APP)
    await embedded_broker.create_topics({names.source: 1})
    env = {"BOOTSTRAP": embedded_broker.bootstrap, "SOURCE": names.source}
    async with WorkerProcess(env, app="tiny_app", python_path=[tmp_path]) as worker:
        await worker.wait_ready(60)
        async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/health/ready") as page:
            assert await page.json() == {"leaks": "nothing"}
        assert 10_000_000 < worker.memory_bytes <= worker.peak_memory_bytes < 1_000_000_000
        code, seconds = await worker.terminate(30)
        assert (code, seconds < 30) == (0, True), worker.log_tail()
        assert "tiny" in worker.log_text()
    assert not worker.directory.exists()


async def test_a_worker_that_ends_early_shows_why() -> None:
    async with WorkerProcess({}, app="no_such_module") as worker:
        with pytest.raises(RuntimeError, match="no_such_module"):
            await worker.wait_ready(60)


async def test_a_worker_that_is_never_ready_fails_in_time(
    embedded_broker: EmbeddedBroker, names: Names, tmp_path: Path
) -> None:
    async def never(worker: WorkerProcess) -> bool:
        return False

    (tmp_path / "tiny_app.py").write_text(TINY_APP)
    env = {"BOOTSTRAP": embedded_broker.bootstrap, "SOURCE": names.source}
    async with WorkerProcess(env, app="tiny_app", python_path=[tmp_path]) as worker:
        with pytest.raises(TimeoutError, match=r"worker\.log"):
            await worker.wait_ready(0.5, never)
        worker.kill()
        assert await worker.wait(5) == -signal.SIGKILL


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    shell = shutil.which("sh") or "sh"
    child = ChildProcess(
        [shell, "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"],
        log_file=tmp_path / "log",
        cwd=tmp_path,
    )
    child.start()
    while "up" not in child.log_text():
        time.sleep(0.01)
    with pytest.raises(TimeoutError, match="up"):
        child.terminate(0.3)
    assert child.exit_code == -signal.SIGKILL


# --- the demo, which stands on all of them --------------------------------------------------------------------------


def test_the_demo_delivers_every_sample_verified_and_ends(tmp_path: Path) -> None:
    demo = _demo(tmp_path, "--once")
    demo.start()
    try:
        code = demo.wait(100)
    finally:
        demo.kill()
    assert code == 0, demo.log_tail()
    last_line = demo.log_text().splitlines()[-1]
    done, total = re.fullmatch(r"demo: (\d+) of (\d+) deliveries verified", last_line).groups()  # type: ignore[union-attr]
    assert done == total
    assert int(total) > 30


def test_ctrl_c_ends_the_demo_and_everything_it_started(tmp_path: Path) -> None:
    demo = _demo(tmp_path)
    demo.start()
    try:
        deadline = time.monotonic() + 100
        while "Ctrl-C ends the demo" not in demo.log_text():
            assert demo.is_running, demo.log_tail()
            assert time.monotonic() < deadline, demo.log_tail()
            time.sleep(0.1)
        children = _children(demo.pid)
        assert len(children) == 2  # broker and worker
        demo.send_signal(signal.SIGINT)
        code = demo.wait(30)
    finally:
        demo.kill()
    assert code == 0, demo.log_tail()
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def _demo(tmp_path: Path, *options: str) -> ChildProcess:
    return ChildProcess(
        [sys.executable, "-m", "demo", *options], log_file=tmp_path / "demo.log", cwd=CHECKOUT
    )


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
