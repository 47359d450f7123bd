"""The events of the demo, recorded and made up, and the deliveries that each must lead to."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from eventproc.events import EventType
from eventproc.example_events import KINDS, Example, Owner, Wish, make_examples
from tests.servers.kafka import Record

SAMPLES = Path(__file__).resolve().parents[1] / "tests" / "golden" / "samples"
CLIENT_NAME = "reference"
CLIENT_DOMAINS = ("wallet-server:8092", "wallet.example.com")
BUSINESS_SERVER = "business server"
WALLET = "wallet"


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of the source topic."""

    name: str
    record: Record
    is_readable: bool  # else it belongs in the invalid topic
    event_id: str | None
    type: str
    status: str
    sep_of_client: str | None  # the client's endpoint that gets it


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event at one endpoint."""

    receiver: str
    path: str
    event_id: str


def load_samples(directory: Path = SAMPLES) -> list[Sample]:
    """All samples, by name."""
    return [_as_sample(json.loads(path.read_text("utf-8"))) for path in sorted(directory.glob("*.json"))]


def make_samples() -> list[Sample]:
    """Events of this moment, as ``eventproc send-example`` makes them: each kind of each SEP, and a quote."""
    owner, now = Owner(CLIENT_NAME, CLIENT_DOMAINS[0]), datetime.now(timezone.utc)
    changed = EventType.TRANSACTION_STATUS_CHANGED
    wishes = [Wish(changed, sep, kind) for sep, kinds in KINDS.items() for kind in kinds]
    return [
        _as_made_sample(wish, example)
        for wish in [*wishes, Wish(EventType.QUOTE_CREATED)]
        for example in make_examples(wish, owner, now=now, new_id=lambda: str(uuid.uuid4()))
    ]


def expected_deliveries(samples: Iterable[Sample]) -> set[Delivery]:
    """Each readable event once to the business server, and once to the wallet if it is the wallet's."""
    expected: set[Delivery] = set()
    for sample in samples:
        if not sample.is_readable or sample.event_id is None:
            continue
        expected.add(Delivery(BUSINESS_SERVER, "/event", sample.event_id))
        if sample.sep_of_client is not None:
            expected.add(Delivery(WALLET, f"/{sample.sep_of_client}", sample.event_id))
    return expected


def _as_made_sample(wish: Wish, example: Example) -> Sample:
    transaction = json.loads(example.value).get("transaction") or {}
    sep = None if wish.sep is None else f"sep{wish.sep.value}"
    return Sample(
        name=f"example_{sep or 'quote'}{'_' + wish.kind if wish.kind else ''}",
        record=Record(example.value, example.key, dict(example.headers)),
        is_readable=True,
        event_id=example.event_id,
        type=example.type.value,
        status=transaction.get("status") or "",
        sep_of_client=sep,
    )


def _as_sample(sample: dict[str, Any]) -> Sample:
    source = sample["record"]
    headers = {name: text.encode() for name, text in source["headers"].items()}
    record = Record(
        source["value"].encode(), None if source["key"] is None else source["key"].encode(), headers
    )
    # What the Anchor Platform could read is what has a body for the business server.
    body = sample["business_server"]
    transaction = (body or {}).get("payload", {}).get("transaction") or {}
    return Sample(
        name=sample["name"],
        record=record,
        is_readable=body is not None,
        event_id=body["id"] if body else None,
        type=body["type"] if body else "",
        status=transaction.get("status") or "",
        sep_of_client=_sep_of_client(sample, transaction) if body else None,
    )


def _sep_of_client(sample: dict[str, Any], transaction: dict[str, Any]) -> str | None:
    """The SEP under which the wallet must hear of it.

    Up to 4.3 the Anchor Platform sends everything to every client; here a client gets what names it, at the
    top level or in the transaction. And the Anchor Platform fails to build some bodies, which do arrive here.
    """
    event = json.loads(sample["record"]["value"])
    names = {event.get("clientName"), transaction.get("client_name")}
    domains = {event.get("clientDomain"), transaction.get("client_domain")}
    if CLIENT_NAME not in names and not domains & set(CLIENT_DOMAINS):
        return None
    if sample.get("anchor_platform_failed"):
        return f"sep{transaction['sep']}"
    return next(iter(sample["client"]), None)
