"""Two wallets and a custodian through a real worker: each gets its own events, whole, and not a byte of another's."""

from __future__ import annotations

import json
import random
from typing import Any

from stellar_sdk import Keypair, MuxedAccount

from tests.conftest import StartWorker
from tests.ownership import Ownership
from tests.servers.anchor_env import TEST_SEED, Names, anchor_env, custodial_client, noncustodial_client
from tests.servers.both_brokers import both_brokers
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver, wallet

KEY = Keypair.random().public_key
SHARED_KEY = Keypair.random().public_key
NAMES = [None, "wallet", "other", "custodian", "Wallet", "wаllet", ""]
DOMAINS = [None, "wallet.example", "OTHER.example", "shared.example", "wаllet.example", "evil.example"]
CREATORS = [None, KEY, MuxedAccount(KEY, 5).account_muxed, SHARED_KEY, Keypair.random().public_key]
TYPES = ["transaction_created", "transaction_status_changed", "customer_updated", "quote_created"]


def some_events(count: int) -> list[dict[str, Any]]:
    """By chance, the same at every run. Each carries a mark that nothing else has, wherever a body takes text."""
    draw = random.Random(7)
    events = []
    for number in range(count):
        mark = f"mark-{number:04}-"
        type_ = draw.choice(TYPES)
        event: dict[str, Any] = {"type": type_, "id": f"{mark}event", "sep": "12"}
        if type_ == "customer_updated":
            event["customer"] = {
                "id": draw.choice(["c1", "c2", "c3", "None", None]),
                "message": f"{mark}text",
            }
        elif type_ == "quote_created":
            event["quote"] = {"id": f"{mark}quote", "creator": {"account": KEY}}
        else:
            said = {"client_name": draw.choice(NAMES), "client_domain": draw.choice(DOMAINS)}
            event["transaction"] = {
                "id": f"{mark}transaction",
                "sep": draw.choice(["6", "24", "31"]),
                "kind": draw.choice(["deposit", "withdrawal", "receive"]),
                "status": "completed",
                "message": f"{mark}text",
                "creator": {"id": draw.choice(["c1", None]), "account": draw.choice(CREATORS)},
                "customers": {"sender": {"id": draw.choice(["c2", "None"])}, "receiver": {"id": "c3"}},
                **{name: value for name, value in said.items() if value is not None},
            }
        events.append(event)
    return events


@both_brokers
async def test_two_wallets_get_their_own_and_nothing_else(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    async with wallet(TEST_SEED) as one, wallet(TEST_SEED) as other, wallet(TEST_SEED) as custodian:
        receivers = {"wallet": one, "other": other, "custodian": custodian}
        clients = [
            noncustodial_client("wallet", one.url, domains=["wallet.example", "shared.example"]),
            noncustodial_client("other", other.url, domains=["other.example", "shared.example"]),
            custodial_client("custodian", custodian.url, signing_keys=[KEY]),
        ]
        events = some_events(300)
        ownership = Ownership(clients)
        expected: dict[str, dict[str, str]] = {name: {} for name in receivers}
        for event in events:
            for name, sep in ownership.endpoints(event):
                expected[name][event["id"]] = f"/{sep}"
        assert all(len(theirs) > 20 for theirs in expected.values()), "a sample that shows something"
        # One partition of the source: customers belong to whom the order of the transactions says.
        await broker.create_topics({names.source: 1})
        await start_worker(
            anchor_env(broker.bootstrap, business_url=business_server.url, clients=clients, names=names)
        )
        await broker.publish(
            names.source, [Record(json.dumps(event).encode(), key=event["id"].encode()) for event in events]
        )
        await business_server.wait_for(len(events), 60)
        for name, receiver in receivers.items():
            await receiver.wait_for(len(expected[name]), 60)
        # What should not come would have been written before the last event was: its topic is read to the end.
        for name, receiver in receivers.items():
            got = {str(request.event_id): request.path for request in receiver.requests}
            assert got == expected[name], name
            assert receiver.count == len(expected[name])
            assert receiver.unverified == []
            strange = {f"mark-{n:04}-".encode() for n in range(300)} - {i[:10].encode() for i in got}
            for request in receiver.requests:
                everything = request.body + repr(dict(request.headers)).encode()
                assert not [mark for mark in strange if mark in everything]
