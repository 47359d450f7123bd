"""Step 2: an event goes to the business server and to the one client it belongs to, and to nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import Keypair, MuxedAccount

from eventproc.customer_index import CustomerIndex, named_customers
from eventproc.events import Event, decode
from eventproc.identifiers import DestinationId
from eventproc.ownership import ClientMatch, ClientRule
from eventproc.payloads import Sep
from eventproc.routing import Route, RoutingTable

BUSINESS = DestinationId("callback-api")
ACCOUNT_A = Keypair.random().public_key
ACCOUNT_B = Keypair.random().public_key
STRANGER = Keypair.random().public_key


def rule(name: str, domains: tuple[str, ...] = (), accounts: tuple[str, ...] = ()) -> ClientRule:
    return ClientRule(
        name, domains, accounts, {sep: DestinationId(f"client.{name}.sep{sep.value}") for sep in Sep}
    )


CLIENTS = [
    rule("wallet", domains=("wallet.example.com", "wallet-server:8092")),
    rule("custodian", accounts=(ACCOUNT_A,)),
    rule("other", domains=("other.example.com",), accounts=(ACCOUNT_B,)),
]
TABLE = RoutingTable(CLIENTS, BUSINESS)


def event(
    *,
    type_: str = "transaction_status_changed",
    sep: str | None = "24",
    attribution: dict[str, Any] | None = None,
    **members: Any,
) -> Event:
    transaction = {"id": "t", "kind": "deposit", **({} if sep is None else {"sep": sep}), **members}
    value = {"type": type_, "id": "e", "transaction": transaction, **(attribution or {})}
    decoded = decode(json.dumps(value).encode())
    assert isinstance(decoded, Event)
    return decoded


def customer_updated(customer: str) -> Event:
    value = {"type": "customer_updated", "id": "e", "sep": "12", "customer": {"id": customer}}
    decoded = decode(json.dumps(value).encode())
    assert isinstance(decoded, Event)
    return decoded


def route(one: Event, table: RoutingTable = TABLE, index: CustomerIndex | None = None) -> Route:
    return table.route(one, CustomerIndex() if index is None else index)


def test_the_name_decides_first() -> None:
    found = route(
        event(client_name="wallet", client_domain="other.example.com", creator={"account": ACCOUNT_A})
    )
    assert found.destinations == (BUSINESS, "client.wallet.sep24")
    assert found.match is ClientMatch.NAME


def test_then_the_domain_with_its_port_and_in_any_case() -> None:
    assert route(event(client_domain="WALLET-server:8092")).clients == ("wallet",)
    assert route(event(client_name="unheard of", client_domain="wallet.example.com")).clients == ("wallet",)
    assert route(event(client_domain="wallet.example.com.evil.com")).clients == ()


def test_then_the_account_of_the_creator() -> None:
    found = route(event(creator={"account": ACCOUNT_A}))
    assert (found.clients, found.match) == (("custodian",), ClientMatch.ACCOUNT)


def test_a_muxed_account_stands_for_the_account_below_it() -> None:
    muxed = MuxedAccount(ACCOUNT_A, 42).account_muxed
    assert route(event(creator={"account": muxed})).clients == ("custodian",)


def test_a_receive_is_known_by_its_source_account() -> None:
    assert route(event(sep="31", kind="receive", source_account=ACCOUNT_A)).clients == ("custodian",)
    assert route(event(sep="24", kind="deposit", source_account=ACCOUNT_A)).clients == ()


def test_the_creator_decides_before_the_source_account() -> None:
    found = route(event(sep="31", kind="receive", source_account=ACCOUNT_A, creator={"account": ACCOUNT_B}))
    assert found.clients == ("other",)


def test_nobody_gets_what_belongs_to_nobody() -> None:
    found = route(event(creator={"account": STRANGER}))
    assert found.destinations == (BUSINESS,)
    assert found.match is ClientMatch.NO_CLIENT


def test_each_sep_has_its_own_endpoint() -> None:
    for sep in ("6", "24", "31"):
        assert route(event(sep=sep, client_name="wallet")).destinations[1] == f"client.wallet.sep{sep}"


def test_no_url_means_not_wanted() -> None:
    table = RoutingTable(
        [ClientRule("wallet", endpoints={Sep.SEP6: DestinationId("client.wallet.sep6")})], None
    )
    assert route(event(client_name="wallet"), table).destinations == ()


def test_quotes_go_to_the_business_server_only() -> None:
    decoded = decode(b'{"type":"quote_created","id":"e","quote":{"id":"q"}}')
    assert isinstance(decoded, Event)
    assert route(decoded).destinations == (BUSINESS,)


def test_a_sep_without_a_body_is_a_dead_letter_of_its_client_alone() -> None:
    found = route(event(sep=None, client_name="wallet"))
    assert found.destinations == (BUSINESS,)
    assert found.unbuildable == ("wallet",)


def test_a_receive_under_sep24_is_told_to_no_client_and_is_no_dead_letter() -> None:
    found = route(event(sep="24", kind="receive", client_name="wallet"))
    assert (found.destinations, found.unbuildable) == ((BUSINESS,), ())
    assert found.misfit == "SEP-24 has no kind receive"


def test_a_customer_is_told_to_the_clients_of_its_transactions() -> None:
    index = CustomerIndex()
    learned = route(
        event(client_name="wallet", creator={"id": "c1"}, customers={"receiver": {"id": "c2"}}), index=index
    )
    assert [naming.customer for naming in learned.learned] == ["c1", "c2"]
    assert route(customer_updated("c1"), index=index).destinations == (BUSINESS, "client.wallet.sep12")
    assert route(customer_updated("c2"), index=index).match is ClientMatch.CUSTOMER
    unknown = route(customer_updated("c3"), index=index)
    assert (unknown.destinations, unknown.match) == ((BUSINESS,), ClientMatch.UNKNOWN_CUSTOMER)


def test_a_customer_of_two_clients_is_told_to_both() -> None:
    index = CustomerIndex()
    route(event(client_name="wallet", creator={"id": "c"}), index=index)
    route(event(client_name="other", creator={"id": "c"}), index=index)
    assert set(route(customer_updated("c"), index=index).clients) == {"wallet", "other"}


def test_what_is_known_is_not_written_again() -> None:
    index = CustomerIndex()
    one = event(client_name="wallet", creator={"id": "c"})
    assert [naming.customer for naming in route(one, index=index).learned] == ["c"]
    assert route(one, index=index).learned == ()


@pytest.mark.parametrize(
    ("attribution", "members", "expected"),
    [
        ({"clientName": "other"}, {}, "other"),
        ({"clientName": "other"}, {"client_name": "other", "client_domain": "nowhere.example"}, "other"),
        ({"clientName": "custodian"}, {"creator": {"account": ACCOUNT_A}}, "custodian"),
        ({"clientName": "nobody", "clientDomain": "wallet.example.com"}, {}, "wallet"),
        ({"clientName": "other", "clientDomain": "nowhere.example"}, {}, "other"),
        ({"clientName": "", "clientDomain": None}, {"client_name": "wallet"}, "wallet"),
        ({"clientName": "nobody"}, {}, None),
        ({"clientName": "Other"}, {}, None),
        ({"clientName": ["other"]}, {}, None),
        ({"clientName": "other", "clientDomain": True}, {}, None),
    ],
)
def test_what_the_platform_attributes_decides(
    attribution: dict[str, Any], members: dict[str, Any], expected: str | None
) -> None:
    found = route(event(attribution=attribution, **members))
    assert found.clients == (() if expected is None else (expected,))
    assert found.contradiction is None
    if expected is None:
        assert found.match is ClientMatch.UNKNOWN_CLIENT


@pytest.mark.parametrize(
    ("attribution", "members"),
    [
        ({"clientName": "wallet"}, {"client_name": "other"}),
        ({"clientName": "wallet"}, {"client_name": "nobody"}),
        ({"clientName": "nobody"}, {"client_name": "wallet"}),
        ({"clientName": "wallet"}, {"client_domain": "other.example.com"}),
        ({"clientName": "wallet"}, {"creator": {"account": ACCOUNT_A}}),
        ({"clientName": "nobody"}, {"creator": {"account": ACCOUNT_A}}),
        ({"clientDomain": "wallet.example.com"}, {"client_name": "other"}),
        (
            {"clientDomain": "wallet.example.com"},
            {"client_name": "wallet", "client_domain": "OTHER.example.com"},
        ),
        ({"clientName": "wallet", "clientDomain": "other.example.com"}, {}),
        ({"clientName": {}}, {"client_name": "wallet"}),
    ],
)
def test_a_contradiction_reaches_the_business_server_alone_and_teaches_nothing(
    attribution: dict[str, Any], members: dict[str, Any]
) -> None:
    index = CustomerIndex()
    stated: dict[str, Any] = {**members, "customers": {"sender": {"id": "c"}}}
    for type_ in ("transaction_status_changed", "customer_updated", "quote_created"):
        found = route(event(type_=type_, attribution=attribution, **stated), index=index)
        assert (found.destinations, found.match) == ((BUSINESS,), ClientMatch.CONTRADICTION)
        assert found.contradiction is not None
        assert found.learned == ()
    assert len(index) == 0


def test_an_attributed_transaction_teaches_its_customers() -> None:
    index = CustomerIndex()
    route(event(attribution={"clientName": "other"}, creator={"id": "c"}), index=index)
    assert route(customer_updated("c"), index=index).clients == ("other",)


def test_broadcast_is_the_way_of_old_platforms() -> None:
    table = RoutingTable(CLIENTS, BUSINESS, broadcast=True)
    assert len(route(event(), table).destinations) == 4
    assert len(route(customer_updated("anybody"), table).destinations) == 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["id", "creator", "customers", "client_name", "kind"]), json_values))
def test_no_transaction_can_break_it(transaction: dict[str, Any]) -> None:
    assert all(isinstance(one, str) and one for one, _ in named_customers(transaction))
    decoded = decode(
        json.dumps({"type": "transaction_created", "id": "e", "transaction": transaction}).encode()
    )
    if isinstance(decoded, Event):
        assert BUSINESS in route(decoded).destinations


identities = st.fixed_dictionaries(
    {},
    optional={
        "client_name": st.sampled_from(["wallet", "custodian", "other", "nobody", "", None]),
        "client_domain": st.sampled_from(["wallet.example.com", "other.example.com", "evil.com", "", None]),
        "creator": st.sampled_from([{"account": a} for a in (ACCOUNT_A, ACCOUNT_B, STRANGER, "junk", None)]),
        "source_account": st.sampled_from([ACCOUNT_A, ACCOUNT_B, STRANGER]),
        "kind": st.sampled_from(["receive", "deposit", "withdrawal"]),
    },
)


@given(identities, st.sampled_from(["6", "24", "31"]))
def test_at_most_one_client_and_only_one_that_something_names(members: dict[str, Any], sep: str) -> None:
    found = route(event(sep=sep, **members))
    endpoints = [one for one in found.destinations if one != BUSINESS]
    assert len(endpoints) <= 1
    for endpoint in endpoints:
        owner = next(client for client in CLIENTS if endpoint in client.endpoints.values())
        creator = members.get("creator", {}).get("account")
        named = {
            members.get("client_name"),
            members.get("client_domain"),
            creator,
            members.get("source_account"),
        }
        assert named & {owner.name, *owner.domains, *owner.accounts}
