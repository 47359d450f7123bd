"""The events of the benchmark: one of the platform's own, with new ids, as many as wanted.

An event has about 1,350 bytes. Every transaction has four events, which stand far apart, as they do in an
anchor with many customers; a customer has many transactions, so the customer index is warm soon.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventproc.events import Unreadable, decode
from eventproc.payloads.spans import transaction_span
from eventproc.records import Headers, Source, internal_headers
from tests.servers.anchor_env import noncustodial_client

SAMPLE = Path(__file__).resolve().parents[1] / "tests/golden/samples/s24_dep_putstart_full.json"
EVENTS_PER_TRANSACTION = 4
CUSTOMERS = 200
SOURCE_PARTITIONS = 8

_EVENT = b"00000000-0000-4000-8000-event0000000"
_TRANSACTION = b"00000000-0000-4000-8000-transaction0"
_CUSTOMER = b"00000000-0000-4000-8000-customer0000"
_CLIENT = b"client-nnnn"


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One record to publish, into the partition given."""

    partition: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Load:
    """``events`` events of ``clients`` clients in turn; ``mark`` makes the ids differ from another load's."""

    events: int
    clients: int = 1
    mark: int = 0

    def event_id(self, number: int) -> str:
        """The id of one event."""
        return f"{self.mark:08x}-0000-4000-8000-{number:012x}"

    def value(self, number: int) -> bytes:
        """The record's value, as the platform writes it."""
        transaction = number % max(1, self.events // EVENTS_PER_TRANSACTION)
        return event_value(
            self.event_id(number),
            f"{self.mark:08x}-0000-4000-9000-{transaction:012x}",
            f"00000000-0000-4000-a000-{transaction % CUSTOMERS:012x}",
            client_name(transaction % self.clients),
        )

    def source_records(self) -> Iterator[LoadRecord]:
        """For the anchor's topic: keyed by event id, so in any partition."""
        for number in range(self.events):
            key = self.event_id(number).encode()
            headers: Headers = [("type", b"transaction_status_changed")]
            yield LoadRecord(number % SOURCE_PARTITIONS, key, self.value(number), headers)

    def internal_records(self, partitions: int, client: int | None = None) -> Iterator[LoadRecord]:
        """For a destination's topic, as the router writes them; ``client``: only that one's events."""
        now_ms = round(time.time() * 1000)
        for number in range(self.events):
            transaction = number % max(1, self.events // EVENTS_PER_TRANSACTION)
            if client is not None and transaction % self.clients != client:
                continue
            event = decode(self.value(number))
            assert not isinstance(event, Unreadable)
            source = Source("bench", number % SOURCE_PARTITIONS, number // SOURCE_PARTITIONS, now_ms)
            headers = internal_headers(event, source, span=transaction_span(event))
            yield LoadRecord(transaction % partitions, event.lane_key.encode(), event.raw, headers)


def event_value(event_id: str, transaction_id: str, customer_id: str, client: str) -> bytes:
    """One event of a transaction, as the platform writes it."""
    return (
        _TEMPLATE.replace(_EVENT, event_id.encode())
        .replace(_TRANSACTION, transaction_id.encode())
        .replace(_CUSTOMER, customer_id.encode())
        .replace(_CLIENT, client.encode())
    )


def client_name(number: int) -> str:
    """The name of one client."""
    return f"client-{number:04}"


def clients(count: int, wallet_url: str, seps: tuple[str, ...] = ("sep24",)) -> list[dict[str, Any]]:
    """The configuration of ``count`` clients, each with one endpoint per SEP."""
    return [
        noncustodial_client(
            client_name(n), f"{wallet_url}/{client_name(n)}", domains=[f"w{n}.test"], seps=seps
        )
        for n in range(count)
    ]


def _template() -> bytes:
    event = json.loads(json.loads(SAMPLE.read_text())["record"]["value"])
    event["id"] = _EVENT.decode()
    transaction = event["transaction"]
    transaction["id"] = _TRANSACTION.decode()
    transaction["client_name"] = _CLIENT.decode()
    transaction["client_domain"] = "wallet.test"
    transaction["creator"]["id"] = _CUSTOMER.decode()
    transaction["customers"] = {"sender": {"id": _CUSTOMER.decode()}}
    return json.dumps(event, separators=(",", ":")).encode()


_TEMPLATE = _template()
