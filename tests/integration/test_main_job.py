"""The main job through a real worker: real records in, exactly what their receivers expect out."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest

from tests.conftest import StartWorker
from tests.golden.recorded import Sample, expected_client_body, load_samples, missing_members
from tests.servers.anchor_env import (
    MORE_INFO_SECRET,
    Names,
    anchor_env,
    custodial_client,
    noncustodial_client,
)
from tests.servers.both_brokers import both_brokers
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.replies import first, status
from tests.servers.request_record import RequestRecord

SAMPLES = load_samples()
INVALID = {"raw_id_null", "raw_malformed_text", "raw_single_quotes_lenient", "raw_type_unknown"}


@both_brokers
async def test_every_sample_reaches_its_receivers_and_nobody_else(
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
) -> None:
    reference = noncustodial_client(
        "reference", wallet_server.url, domains=["wallet-server:8092", "wallet.example.com"]
    )
    async with Receiver() as stranger:
        other = noncustodial_client("other", stranger.url, domains=["other.example.com"])
        env = anchor_env(
            broker.bootstrap, business_url=business_server.url, clients=[reference, other], names=names
        )
        worker = await start_worker(env)
        readable = [sample for sample in SAMPLES if sample.name not in INVALID]
        # customer_updated carries no client: the router must have seen a transaction of that customer.
        introduction = {
            "type": "transaction_created",
            "id": "introduction",
            "sep": "24",
            "transaction": {
                "id": "t-introduction",
                "sep": "24",
                "kind": "deposit",
                "client_name": "reference",
                "creator": {"id": "cust-1"},
            },
        }
        await broker.publish(names.source, [Record(json.dumps(introduction).encode(), key=b"introduction")])
        await wallet_server.wait_for(1, 20)
        before = time.time()
        published = [Record(sample.value, key=sample.name.encode()) for sample in SAMPLES]
        await broker.publish(names.source, published)
        to_client = [sample for sample in readable if _names_a_client(sample)]
        at_business = await business_server.wait_for(1 + len(readable), 30)
        at_wallet = await wallet_server.wait_for(1 + len(to_client), 30)

        assert business_server.unverified == []
        assert wallet_server.unverified == []
        assert stranger.requests == []
        for sample in readable:
            _check_business_server(sample, _one(at_business, _event_id(sample)), before)
        for sample in to_client:
            _check_client(sample, _one(at_wallet, _event_id(sample)))
        invalid = await broker.read_all(names.topic("invalid"))
        assert {record.headers["invalid-reason"].decode() for record in invalid} == {
            "not-json",
            "no-id",
            "unknown-type",
        }
        assert {record.value for record in invalid} == {s.value for s in SAMPLES if s.name in INVALID}
        assert all(record.headers["source-topic"].decode() == names.source for record in invalid)
        code, _ = await worker.terminate()
        assert code == 0
        committed = await broker.committed(names.consumer_group, names.source)
        assert sum(one.offset for one in committed.values()) == len(SAMPLES) + 1


def _names_a_client(sample: Sample) -> bool:
    """Some samples name no client, so no client receives them. A quote never goes to clients."""
    event = json.loads(sample.value)
    is_named = "clientName" in event or "client_name" in event.get("transaction", {})
    return is_named or event["type"] == "customer_updated"


def _one(requests: list[RequestRecord], event_id: str) -> RequestRecord:
    (found,) = [request for request in requests if request.event_id == event_id]
    return found


def _event_id(sample: Sample) -> str:
    return str(json.loads(sample.value)["id"])


def _check_business_server(sample: Sample, request: RequestRecord, before: float) -> None:
    assert request.path == "/event"
    assert request.headers["Content-Type"].partition(";")[0] == "application/json"
    assert sample.business_server is not None
    body = request.json
    assert missing_members(sample.business_server, body) == []
    assert set(body) == {"id", "timestamp", "type", "payload"}
    assert body["timestamp"].endswith("Z")
    assert body["timestamp"][:4] == time.strftime("%Y", time.gmtime(before))


def _check_client(sample: Sample, request: RequestRecord) -> None:
    (sep,) = sample.client or [f"sep{json.loads(sample.value)['transaction']['sep']}"]
    assert request.path == f"/{sep}"
    body = request.json
    if "transaction" in body and "more_info_url" in body["transaction"]:
        body["transaction"]["more_info_url"] = _take_apart(body["transaction"]["more_info_url"])
    assert missing_members(sample.client.get(sep, {}), body) == []
    assert body == expected_client_body(sample.name)


def _take_apart(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    query = parse_qs(parts.query, strict_parsing=True)
    claims = jwt.decode(query["token"][0], MORE_INFO_SECRET, algorithms=["HS256"])
    assert 0 < claims.pop("exp") - time.time() <= 600
    return {
        "base": f"{parts.scheme}://{parts.netloc}{parts.path}",
        "transaction_id": query["transaction_id"][0],
        "claims": claims,
    }


@both_brokers
async def test_odd_records_block_nobody(
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
) -> None:
    """Tombstones, null and unparsable instants stop the Anchor Platform for ever; 5 MB is no reason either."""
    clients = [noncustodial_client("reference", wallet_server.url, domains=["wallet.example.com"])]
    env = anchor_env(broker.bootstrap, business_url=business_server.url, clients=clients, names=names)
    await start_worker(env)
    big = {
        "type": "transaction_created",
        "id": "big",
        "transaction": {"id": "t-big", "message": "x" * 5_000_000},
    }
    no_transaction_id = {"type": "transaction_created", "id": "no-tid", "transaction": {"kind": "deposit"}}
    bad_instant = {
        "type": "transaction_created",
        "id": "bad-instant",
        "transaction": {"id": "t", "sep": "24", "started_at": "yesterday", "client_name": "reference"},
    }
    no_sep = {
        "type": "transaction_created",
        "id": "no-sep",
        "transaction": {"id": "u", "client_name": "reference"},
    }
    values: list[bytes | None] = [None, b"", b"null", b"[]", b"{}", b'{"id":"x"}']
    values += [json.dumps(one).encode() for one in (big, no_transaction_id, bad_instant, no_sep)]
    await broker.publish(names.source, [Record(value, key=b"same") for value in values])
    at_business = await business_server.wait_for(4, 30)
    (at_wallet,) = await wallet_server.wait_for(1, 30)
    assert {request.event_id for request in at_business} == {"big", "no-tid", "bad-instant", "no-sep"}
    assert len(_one(at_business, "big").body) > 5_000_000
    assert at_wallet.json["transaction"]["started_at"] == "yesterday"
    letters = await broker.read_all(names.topic("dead-letter"))
    assert [letter.headers["dead-letter-destination"] for letter in letters] == [b"client.reference"]
    assert b"cannot-build" in letters[0].headers["dead-letter-reason"]
    assert len(await broker.read_all(names.topic("invalid"))) == 6


async def test_a_custodial_client_is_known_by_its_account(
    broker: Broker, names: Names, start_worker: StartWorker, wallet_server: Receiver
) -> None:
    account = "GDJLBYYKMCXNVVNABOE66NYXQGIA5AC5D223Z2KF6ZEYK4UBCA7FKLTG"
    clients = [custodial_client("name with spaces/é", wallet_server.url, signing_keys=[account])]
    await start_worker(anchor_env(broker.bootstrap, clients=clients, names=names))
    event = {
        "type": "transaction_created",
        "id": "e",
        "transaction": {"id": "t", "sep": "6", "kind": "deposit", "creator": {"account": account}},
    }
    await broker.publish(names.source, [Record(json.dumps(event).encode(), key=b"e")])
    (request,) = await wallet_server.wait_for(1, 20)
    assert request.verified, request.problem
    assert request.path == "/sep6"


async def test_a_retry_has_the_same_timestamp_and_a_fresh_signature(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    business_server.respond = first(2, status(503))
    extra = {"DELIVERY_RETRY_INITIAL_SECONDS": "0.1"}
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names, extra=extra)
    await start_worker(env)
    event = {"type": "transaction_created", "id": "e", "transaction": {"id": "t"}}
    await broker.publish(names.source, [Record(json.dumps(event).encode(), key=b"e")])
    requests = await business_server.wait_for(3, 20)
    assert len({request.body for request in requests}) == 1
    assert business_server.unverified == []


@pytest.mark.parametrize(
    ("auth", "secret", "headers", "mode", "base_path", "path"),
    [
        ({"CALLBACK_API_AUTH_TYPE": "none"}, None, {}, "root", "/base", "/event"),
        (
            {"CALLBACK_API_AUTH_TYPE": "api_key"},
            "the key",
            {"X-Api-Key": "the key"},
            "append",
            "/base/?tenant=7",
            "/base/event?tenant=7",
        ),
        (
            {"CALLBACK_API_AUTH_TYPE": "api_key", "CALLBACK_API_AUTH_API_KEY_HTTP_HEADER": "X-Own"},
            "the key",
            {"X-Own": "the key"},
            "append",
            "/base",
            "/base/event",
        ),
    ],
)
async def test_the_other_ways_to_be_known_and_addressed(  # noqa: PLR0917 - fixtures and a table
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    auth: dict[str, str],
    secret: str | None,
    headers: dict[str, str],
    mode: str,
    base_path: str,
    path: str,
) -> None:
    async with Receiver() as server:
        extra = {**auth, "CALLBACK_API_EVENT_PATH_MODE": mode}
        if secret is not None:
            extra["SECRET_CALLBACK_API_AUTH_SECRET"] = secret
        env = anchor_env(broker.bootstrap, business_url=f"{server.url}{base_path}", names=names, extra=extra)
        await start_worker(env)
        event = {"type": "quote_created", "id": "e", "quote": {"id": "q"}}
        await broker.publish(names.source, [Record(json.dumps(event).encode(), key=b"e")])
        (request,) = await server.wait_for(1, 20)
        assert request.path == path
        assert {name: request.headers[name] for name in headers} == headers
        assert "Authorization" not in request.headers


@both_brokers
async def test_two_workers_share_the_work_and_hand_over_without_a_duplicate(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names, partitions=4)
    first = await start_worker(env)
    second = await start_worker(env)
    for start in range(0, 400, 100):
        events = [
            {"type": "transaction_created", "id": f"e{n}", "transaction": {"id": f"t{n}"}}
            for n in range(start, start + 100)
        ]
        await broker.publish(
            names.source, [Record(json.dumps(e).encode(), key=str(e["id"]).encode()) for e in events]
        )
        await business_server.wait_for(start + 100, 40)
        if start == 100:
            shares = [await _deliveries(worker.url) for worker in (first, second)]
            assert all(shares), f"both work: {shares}"
            code, seconds = await first.terminate()
            assert (code, seconds < 35) == (0, True)
    ids = business_server.event_ids()
    assert sorted(filter(None, ids)) == sorted(f"e{n}" for n in range(400))


async def _deliveries(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/destinations/") as page:
        return sum(one["deliveries"] for one in await page.json())


async def test_fausts_status_page_answers(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names)
    worker = await start_worker(env)
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/health/live", "/health/ready", "/destinations/", "/metrics", "/stats/"):
            async with session.get(worker.url + path) as page:
                assert page.status == 200, path
        async with session.get(worker.url + "/stats/assignment/") as page:
            actives = (await page.json())["actives"]
        assert actives[names.source] == [0]
        assert names.topic("callback-api") in actives
        for path in ("/router/", "/table/", "/graph/"):
            async with session.get(worker.url + path) as page:
                assert page.status == 404, path
