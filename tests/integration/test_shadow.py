"""A real worker in shadow, receivers that must hear nothing, and a comparison with what was really sent."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from eventproc.delivery.shadow_reader import read_shadow
from eventproc.shadow.request import SentRequest
from settings import load_settings
from tests.conftest import StartWorker
from tests.golden.recorded import SECRET, load_samples
from tests.golden.traffic import BUSINESS, platform_bytes, platform_requests, wallet_of
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.command import eventproc
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.worker import WorkerProcess

WALLET = wallet_of("sep24")
SAMPLES = [sample for sample in load_samples() if sample.business_server and sample.client.get("sep24")]
UNKNOWN_MEMBERS = [f"payload.transaction.{name}" for name in ("zzz", "nested", "claimable_balance_id")]

pytestmark = pytest.mark.timeout(300)


async def test_a_shadow_worker_sends_nothing_and_would_send_what_the_platform_sent(  # noqa: PLR0917 - fixtures
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
    tmp_path: Path,
) -> None:
    domains = ["wallet-server:8092", "wallet.example.com"]
    async with Receiver() as stranger:
        clients = [
            noncustodial_client("reference", wallet_server.url, domains=domains),
            noncustodial_client("other", f"{stranger.url}/other", domains=["other.example.com"]),
        ]
        secrets = {f"SECRET_{sep}_MORE_INFO_URL_JWT_SECRET": SECRET.decode() for sep in ("SEP6", "SEP24")}
        env = anchor_env(
            broker.bootstrap,
            business_url=business_server.url,
            clients=clients,
            names=names,
            extra={"DELIVERY_MODE": "shadow", **secrets},
        )
        worker = await start_worker(env)
        await broker.publish(names.source, [Record(s.value, key=s.name.encode()) for s in SAMPLES])
        made = await until_written(env, 2 * len(SAMPLES), tmp_path)
        await says_that_it_is_a_shadow(worker)
        await worker.terminate()
        receivers = (business_server, wallet_server, stranger)
        assert [receiver.count for receiver in receivers] == [0, 0, 0]

    assert len(made) == 2 * len(SAMPLES)
    tokens = {one.header("Authorization") for one in made if one.destination == BUSINESS}
    assert tokens == {"Bearer ********"}
    await the_names_of_workers_that_deliver_are_untouched(broker, names)

    urls = {BUSINESS: f"{business_server.url}/event", WALLET: f"{wallet_server.url}/sep24"}
    there = [request for sample in SAMPLES for request in platform_requests(sample, urls)]
    # The platform tells every client everything.
    others = f"{stranger.url}/other/sep24"
    there += [platform_bytes(WALLET, one.body, others) for one in there if one.url == urls[WALLET]]
    told = await compare(tmp_path, env, there, code=0)
    assert (told["paired"], told["differences"]) == (2 * len(SAMPLES), [])
    assert len(told["expected"]) >= 3

    changed = platform_bytes(WALLET, there[1].body.replace(b'"deposit"', b'"DEPOSIT"'), urls[WALLET])
    forged = replace(there[3], body=there[3].body + b" ")
    told = await compare(tmp_path, env, [there[0], changed, there[2], forged, *there[5:]], code=1)
    assert sorted((one["kind"], one["destination"], one["member"]) for one in told["differences"]) == [
        ("body", WALLET, "transaction.kind"),
        ("extra", BUSINESS, ""),
        ("proof", WALLET, "header.signature"),
    ]


async def until_written(env: dict[str, str], count: int, directory: Path) -> list[SentRequest]:
    """What the shadow wrote, once it is so much."""
    empty = directory / ".env"
    empty.touch()
    deadline = time.monotonic() + 60
    while len(requests := await read_shadow(load_settings(None, env, empty))) < count:
        assert time.monotonic() < deadline, requests
        await asyncio.sleep(0.1)
    return requests


async def says_that_it_is_a_shadow(worker: WorkerProcess) -> None:
    """On the page, in its JSON, in the log."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{worker.url}/?format=json") as answer:
            assert (await answer.json())["mode"] == "shadow"
        async with session.get(f"{worker.url}/?format=html") as answer:
            assert "Shadow mode" in await answer.text()
    assert "worker.shadow" in worker.log_text()
    assert "delivery.mode" in worker.log_text()


async def the_names_of_workers_that_deliver_are_untouched(broker: Broker, names: Names) -> None:
    """Neither a topic nor the group."""
    ours = {topic for topic in await broker.topics() if topic.startswith(names.prefix)}
    assert f"{names.prefix}shadow.requests" in ours
    assert {topic for topic in ours if not topic.startswith(f"{names.prefix}shadow.")} == set()
    assert await broker.committed(names.consumer_group, names.source) == {}
    assert await broker.committed(f"{names.consumer_group}-shadow", names.source) != {}


async def compare(directory: Path, env: dict[str, str], there: Iterable[SentRequest], code: int) -> Any:
    """What the command tells about this capture."""
    file = directory / "captured.jsonl"
    file.write_text("".join(json.dumps(one.to_json()) + "\n" for one in there), "utf-8")
    ignored = [argument for member in UNKNOWN_MEMBERS for argument in ("--ignore", member)]
    done = await eventproc(directory, env, "shadow", "diff", str(file), "--json", *ignored, code=code)
    return json.loads(done.stdout)
