"""Example events are events like the anchor's: routed, built for every SEP, and marked as examples."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from eventproc.customer_index import CustomerIndex
from eventproc.events import Event, EventType, decode
from eventproc.example_events import (
    CUSTOMER_STATUSES,
    KINDS,
    PREFIX,
    STATUSES,
    Example,
    ExampleError,
    Owner,
    Wish,
    example_account,
    make_examples,
    teacher,
)
from eventproc.identifiers import DestinationId
from eventproc.ownership import ClientMatch, ClientRule
from eventproc.payloads import Sep, client_body, client_target
from eventproc.routing import RoutingTable
from eventproc.strkey import decode_account
from tests.golden.recorded import CONTEXT, load_samples

NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
SECONDS = NOW.timestamp()
ACCOUNT = example_account("custodian")
OWNER = Owner("lobstr", "lobstr.co")
TRANSACTIONS = (EventType.TRANSACTION_CREATED, EventType.TRANSACTION_STATUS_CHANGED)


def make(wish: Wish, owner: Owner = OWNER, count: int = 1) -> list[Example]:
    ids = itertools.count(1)
    return make_examples(wish, owner, now=NOW, new_id=lambda: f"{next(ids):04}", count=count)


def decoded(example: Example) -> Event:
    event = decode(example.value)
    assert isinstance(event, Event), event
    return event


def body(example: Example) -> dict[str, Any]:
    event = decoded(example)
    target = client_target(event)
    assert isinstance(target, Sep)
    parsed: dict[str, Any] = json.loads(client_body(event, target, CONTEXT, SECONDS))
    return parsed


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("sep", "kind"), [(sep, kind) for sep, kinds in KINDS.items() for kind in kinds])
@pytest.mark.parametrize("type_", TRANSACTIONS)
def test_every_transaction_has_a_body_for_its_wallet(
    type_: EventType, sep: Sep, kind: str, status: str
) -> None:
    (example,) = make(Wish(type_, sep, kind, status))
    event = decoded(example)
    assert (event.type, event.sep) == (type_, sep.value)
    built = body(example)["transaction"]
    assert built["status"] == status
    assert built["id"].startswith(PREFIX)
    assert built.get("kind", kind) == kind


def test_ids_say_that_it_is_an_example() -> None:
    for type_ in EventType:
        (example,) = make(Wish(type_))
        parsed = json.loads(example.value)
        about = parsed.get("transaction") or parsed.get("quote") or parsed["customer"]
        assert parsed["id"] == example.event_id == example.key.decode()
        assert example.event_id.startswith(PREFIX)
        assert about["id"].startswith(PREFIX)
        assert about.get("message", "This is an example").startswith("This is an example")
        assert example.headers == [("type", type_.value.encode())]


def test_members_are_those_that_the_platform_writes() -> None:
    """No member that no recorded sample has, apart from the few that only some statuses bring."""
    recorded: set[str] = set()
    for sample in load_samples():
        event = decode(sample.value)
        if isinstance(event, Event):
            recorded |= set(event.transaction or {})
    for sep, kinds in KINDS.items():
        for kind, status in itertools.product(kinds, STATUSES):
            (example,) = make(Wish(EventType.TRANSACTION_STATUS_CHANGED, sep, kind, status))
            assert set(json.loads(example.value)["transaction"]) <= recorded


def test_what_a_completed_deposit_tells_its_wallet() -> None:
    (example,) = make(Wish(EventType.TRANSACTION_STATUS_CHANGED, Sep.SEP24))
    told = body(example)["transaction"]
    assert told["status"] == "completed"
    assert (told["amount_in"], told["amount_in_asset"], told["amount_out"]) == (
        "100.50",
        "iso4217:USD",
        "98.25",
    )
    assert told["updated_at"] == told["completed_at"] == "2026-11-25T12:00:00.000Z"
    assert len(told["stellar_transaction_id"]) == 64
    decode_account(told["to"])


def test_refunds_are_whole() -> None:
    (example,) = make(Wish(EventType.TRANSACTION_STATUS_CHANGED, Sep.SEP24, status="refunded"))
    assert body(example)["transaction"]["refunded"] is True


@pytest.mark.parametrize(
    ("owner", "match"),
    [
        (Owner(name="lobstr"), ClientMatch.NAME),
        (Owner(domain="LOBSTR.co"), ClientMatch.DOMAIN),
        (Owner(account=ACCOUNT), ClientMatch.ACCOUNT),
    ],
)
def test_routing_finds_the_owner(owner: Owner, match: ClientMatch) -> None:
    endpoint = DestinationId("client.lobstr.sep31")
    table = RoutingTable(
        [ClientRule("lobstr", ("lobstr.co",), (ACCOUNT,), {Sep.SEP31: endpoint})],
        DestinationId("callback-api"),
    )
    (example,) = make(Wish(EventType.TRANSACTION_CREATED, Sep.SEP31), owner)
    route = table.route(decoded(example), CustomerIndex())
    assert (route.match, route.destinations) == (match, ("callback-api", endpoint))


def test_nobodys_example_reaches_no_client() -> None:
    table = RoutingTable(
        [ClientRule("lobstr", ("lobstr.co",), (ACCOUNT,), {Sep.SEP24: DestinationId("client.lobstr.sep24")})],
        None,
    )
    (example,) = make(Wish(EventType.TRANSACTION_STATUS_CHANGED), Owner())
    assert table.route(decoded(example), CustomerIndex()).destinations == ()


def test_a_customer_is_known_after_its_teacher() -> None:
    endpoint = DestinationId("client.lobstr.sep12")
    table = RoutingTable([ClientRule("lobstr", endpoints={Sep.SEP12: endpoint})], None)
    (example,) = make(Wish(EventType.CUSTOMER_UPDATED, status="NEEDS_INFO"))
    customers = CustomerIndex()
    assert table.route(decoded(example), customers).destinations == ()
    lesson = teacher(OWNER, Sep.SEP6, example, now=NOW, new_id=lambda: "lesson")
    assert table.route(decoded(lesson), customers).destinations == ()
    assert table.route(decoded(example), customers).destinations == (endpoint,)
    assert body(example)["fields"]


@pytest.mark.parametrize("status", CUSTOMER_STATUSES)
def test_every_status_of_a_customer_can_be_made(status: str) -> None:
    (example,) = make(Wish(EventType.CUSTOMER_UPDATED, status=status))
    assert body(example)["status"] == status


def test_several_are_of_one_transaction_or_each_of_its_own() -> None:
    own = make(Wish(EventType.TRANSACTION_STATUS_CHANGED), count=3)
    assert len({example.event_id for example in own}) == 3
    assert len({body(example)["transaction"]["id"] for example in own}) == 3
    one = make(Wish(EventType.TRANSACTION_STATUS_CHANGED, transaction_id="t1"), count=3)
    assert len({example.event_id for example in one}) == 3
    told = [body(example)["transaction"] for example in one]
    assert {transaction["id"] for transaction in told} == {"t1"}
    times = [transaction["updated_at"] for transaction in told]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(EventType.TRANSACTION_CREATED, Sep.SEP24, "receive"), "right: deposit, withdrawal"),
        (Wish(EventType.TRANSACTION_CREATED, Sep.SEP31, "deposit"), "right: receive"),
        (Wish(EventType.TRANSACTION_CREATED, Sep.SEP12), "no transactions"),
        (Wish(EventType.TRANSACTION_CREATED, status="done"), "there is no status done; right: incomplete"),
        (Wish(EventType.CUSTOMER_UPDATED, status="completed"), "right: ACCEPTED"),
        (Wish(EventType.CUSTOMER_UPDATED, Sep.SEP24), "SEP 12"),
        (Wish(EventType.CUSTOMER_UPDATED, kind="deposit"), "has no transaction"),
        (Wish(EventType.QUOTE_CREATED, transaction_id="t"), "has no transaction"),
        (Wish(EventType.QUOTE_CREATED, status="completed"), "a quote has no status"),
    ],
)
def test_what_there_is_not_is_refused(wish: Wish, said: str) -> None:
    with pytest.raises(ExampleError, match=said):
        make(wish)
