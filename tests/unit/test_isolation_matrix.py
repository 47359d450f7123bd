"""No event reaches a client that it does not belong to, whatever clients there are and whatever it says.

Configurations and events are made by chance from few names, domains, keys and customers, so that they meet; go
through the real settings and the real decoder; and are judged by ``tests/ownership.py``, which knows neither.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from stellar_sdk import Keypair, MuxedAccount

from eventproc.customer_index import CustomerIndex, NamedAt
from eventproc.destinations import build_destinations
from eventproc.destinations.routes import build_routing_table
from eventproc.events import Event, decode
from eventproc.ownership import ClientMatch
from eventproc.routing import Route, RoutingTable
from settings import Settings, SettingsError, load_settings
from tests.ownership import Ownership
from tests.servers.anchor_env import TEST_SEED

KEYS = [Keypair.from_raw_ed25519_seed(bytes([number]) * 32).public_key for number in range(1, 4)]
STRANGER = Keypair.from_raw_ed25519_seed(b"s" * 32).public_key
SEPS = ["sep6", "sep24", "sep31", "sep12"]

# Look-alikes: a Cyrillic letter, the Kelvin sign (whose lower case is k), dotless i, full-width letters, combining accents.
NAMES = ["wallet", "Wallet", "wаllet", "kiosk", "\u212aiosk", "b.example", "é", "e\u0301", "None", "123"]
DOMAINS = [
    "wallet.example",
    "WALLET.example",
    "wаllet.example",
    "kiosk.example",
    "\u212aiosk.example",
    "kıosk.example",
    "bücher.example",
    "xn--bcher-kva.example",
    "ｋiosk.example",
    "wallet.example:8092",
    "wallet.example.evil.example",
    "b.example",
]
CUSTOMERS = ["c1", "c2", "None", "True", "[]", "7"]


def muxed(key: str, number: int) -> str:
    return str(MuxedAccount(key, number).account_muxed)


def one_of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


@st.composite
def clients(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Identities of both kinds at every client, shared ones too; only its own kind's count."""
    found = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        kind = draw(one_of("custodial", "noncustodial"))
        needs = kind == "noncustodial"
        domains = draw(st.lists(one_of(*DOMAINS[:5]), min_size=1 if needs else 0, max_size=2, unique=True))
        keys = draw(st.lists(one_of(*KEYS[:2]), min_size=0 if needs else 1, max_size=2, unique=True))
        seps = draw(st.sampled_from([SEPS, SEPS, ["sep6", "sep12"], ["sep24"]]))
        urls = {sep: f"https://receiver.example/{sep}" for sep in seps}
        found.append(
            {"name": name, "type": kind, "domains": domains, "signing_keys": keys, "callback_urls": urls}
        )
    return found


odd = one_of(None, "", 123, True, [], ["wallet"], {"name": "wallet"})
accounts = one_of(*KEYS, *(muxed(key, 7) for key in KEYS), STRANGER, None) | one_of(
    muxed(STRANGER, 7), KEYS[0].lower(), f" {KEYS[0]}", "M", "", "S", 5, [KEYS[0]], {"account": KEYS[0]}
)
customer_id_values = one_of(*CUSTOMERS) | one_of(None, "", 7, True, [], ["c1"], {"id": "c1"})
people = st.fixed_dictionaries({"id": customer_id_values, "account": accounts}) | st.fixed_dictionaries(
    {}, optional={"id": customer_id_values, "account": accounts, "memo": one_of("1", "2", None)}
)


@st.composite
def events(draw: st.DrawFn, configured: list[dict[str, Any]]) -> dict[str, Any]:
    """An event about one of these clients, nearly: half of what it says is right, and half a look-alike."""
    type_ = draw(
        one_of("transaction_created", "transaction_status_changed", "customer_updated", "quote_created")
    )
    event: dict[str, Any] = {"type": type_, "id": "e1"}
    if type_ != "customer_updated" or draw(one_of(False, False, False, True)):
        event["transaction"] = draw(transactions(configured))
    if type_ == "customer_updated" or draw(st.booleans()):
        event["customer"] = draw(
            st.fixed_dictionaries({"id": customer_id_values}) | one_of({}, None) | st.just({"id": "c1"})
        )
    if draw(st.booleans()):
        event["sep"] = draw(one_of("6", "24", "31", "12", 31, None))
    if draw(st.booleans()):
        event |= draw(attributions(configured))
    return event


def attributions(configured: list[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """What platform 4.4 and later say at the top level."""
    return st.fixed_dictionaries(
        {}, optional={"clientName": said_names(configured), "clientDomain": said_domains(configured)}
    )


def said_names(configured: list[dict[str, Any]]) -> st.SearchStrategy[Any]:
    names = [one["name"] for one in configured]
    look_alikes = (f" {names[0]}", f"{names[0]} ", names[0].upper(), names[0].lower())
    return st.sampled_from(names) | one_of(*NAMES, *look_alikes) | odd


def said_domains(configured: list[dict[str, Any]]) -> st.SearchStrategy[Any]:
    theirs = [domain for one in configured for domain in one["domains"]] or DOMAINS
    spellings = [spell(one) for one in theirs for spell in (str.upper, str.lower, "{}.".format)]
    return st.sampled_from(theirs) | st.sampled_from(spellings) | one_of(*DOMAINS) | odd


def transactions(configured: list[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any] | None]:
    identity: dict[str, st.SearchStrategy[Any]] = {
        "client_name": said_names(configured),
        "client_domain": said_domains(configured),
        "creator": people | one_of(None, [], "c1"),
        "source_account": accounts,
        "destination_account": accounts,
        "customers": st.fixed_dictionaries({}, optional={"sender": people, "receiver": people})
        | one_of(None, []),
    }
    common = {
        "id": one_of("t1", "t2"),
        "sep": one_of("6", "24", "31", "31", 24, "12", "", None),
        "kind": one_of("deposit", "withdrawal", "receive", None),
    }
    by_one = [
        st.fixed_dictionaries({**common, name: identity[name], "customers": identity["customers"]})
        for name in ("client_name", "client_domain", "creator", "source_account")
    ]
    return st.one_of(*by_one, st.fixed_dictionaries(common, optional=identity))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Clients, and a stream of events."""
    configured = draw(clients())
    return configured, draw(st.lists(events(configured), min_size=1, max_size=10))


def settings_of(configured: list[dict[str, Any]], **env: str) -> Settings:
    return load_settings(
        env={
            "CLIENTS_TYPE": "json",
            "CLIENTS_VALUE": json.dumps(configured),
            "SECRET_SEP10_SIGNING_SEED": TEST_SEED,
            **env,
        }
    )


def table_of(settings: Settings) -> RoutingTable:
    return build_routing_table(settings, build_destinations(settings))


def read(event: dict[str, Any]) -> Event:
    decoded = decode(json.dumps(event).encode())
    assert isinstance(decoded, Event)
    return decoded


def endpoints(route: Route) -> set[tuple[str, str]]:
    found = set()
    for destination in route.destinations:
        if destination != "callback-api":
            name, _, sep = destination.removeprefix("client.").rpartition(".")
            found.add((name, sep))
    return found


def client(name: str, kind: str = "noncustodial", **identity: list[str]) -> dict[str, Any]:
    urls = {sep: f"https://receiver.example/{sep}" for sep in SEPS}
    return {"name": name, "type": kind, "callback_urls": urls, **identity}


def transaction(**members: Any) -> dict[str, Any]:
    return {"type": "transaction_created", "id": "e", "transaction": {"id": "t", "sep": "31", **members}}


def customer_updated(**members: Any) -> dict[str, Any]:
    return {"type": "customer_updated", "id": "e", "customer": members}


# --- every combination of what an event can say -----------------------------------------------------------------

CLIENTS: list[dict[str, Any]] = [
    {"name": "wallet", "type": "noncustodial", "domains": ["wallet.example", "wallet.example:8092"]},
    {"name": "Wallet", "type": "noncustodial", "domains": ["wаllet.example"], "signing_keys": [KEYS[2]]},
    {"name": "\u212aiosk", "type": "noncustodial", "domains": ["kiosk.example", "shared.example"]},
    {"name": "b", "type": "noncustodial", "domains": ["bücher.example", "Shared.Example"]},
    {"name": "one", "type": "custodial", "signing_keys": KEYS[:1], "domains": ["wallet.example"]},
    {"name": "two", "type": "custodial", "signing_keys": [KEYS[1]]},
    {"name": "three", "type": "custodial", "signing_keys": [KEYS[1]], "domains": ["three.example"]},
]
for one_client in CLIENTS:
    one_client["callback_urls"] = {sep: f"https://receiver.example/{sep}" for sep in SEPS}
CLIENTS[1]["callback_urls"].pop("sep24")

SAID_NAMES = [None, "wallet", "Wallet", "WALLET", "wаllet", "wallet ", "kiosk", "\u212aiosk", "one", "", 123]
SAID_DOMAINS = [
    None, "wallet.example", "WALLET.Example", "wallet.example:8092", "wallet.example:443", "wаllet.example",
    "\u212aiosk.example", "Kiosk.example", "shared.example", "xn--bcher-kva.example", "BÜCHER.example",
    "bücher.example", "three.example", "wallet.example.", "evil.example", "", ["wallet.example"],
]  # fmt: skip
SAID_CREATORS = [
    None, {}, {"account": None}, {"account": KEYS[0], "memo": "1"}, {"account": muxed(KEYS[0], 7)},
    {"account": KEYS[1]}, {"account": muxed(KEYS[1], 2**64 - 1)}, {"account": KEYS[2]}, {"account": STRANGER},
    {"account": KEYS[0].lower()}, {"account": ""}, {"account": [KEYS[0]]}, [KEYS[0]],
]  # fmt: skip
SAID_SOURCES = [None, KEYS[0], muxed(KEYS[0], 9), KEYS[1]]
SAID_KINDS = ["deposit", "receive"]
SAID_SEPS = ["24", "31"]


def said(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@pytest.mark.parametrize("order", [1, -1], ids=["as written", "the other way round"])
def test_every_combination_goes_exactly_where_it_belongs(order: int) -> None:
    configured = CLIENTS[::order]
    table, ownership = table_of(settings_of(configured)), Ownership(configured)
    told: Counter[str] = Counter()
    for name, domain, creator, source, kind, sep in product(
        SAID_NAMES, SAID_DOMAINS, SAID_CREATORS, SAID_SOURCES, SAID_KINDS, SAID_SEPS
    ):
        members = said(client_name=name, client_domain=domain, creator=creator, source_account=source)
        event = transaction(kind=kind, sep=sep, **members)
        found = endpoints(table.route(read(event), CustomerIndex()))
        assert found == ownership.endpoints(event), event
        told.update(name for name, _ in found)
    assert set(told) == {"wallet", "Wallet", "\u212aiosk", "b", "one"}, "two and three claim the same key"


ATTRIBUTED_NAMES: list[Any] = [*SAID_NAMES, "nobody", True, []]
ATTRIBUTED_DOMAINS: list[Any] = [
    None, "wallet.example", "Wallet.EXAMPLE", "kiosk.example", "shared.example", "three.example",
    "evil.example", "", 5, {},
]  # fmt: skip
STATED: list[dict[str, Any]] = [
    {}, {"client_name": "wallet"}, {"client_name": "Wallet"}, {"client_name": "nobody"}, {"client_name": ""},
    {"client_domain": "wallet.example"}, {"client_domain": "KIOSK.example"}, {"client_domain": "shared.example"},
    {"client_domain": "evil.example"}, {"creator": {"account": KEYS[0]}}, {"creator": {"account": KEYS[1]}},
    {"client_name": "wallet", "client_domain": "kiosk.example", "creator": {"account": KEYS[0]}},
]  # fmt: skip


@pytest.mark.parametrize("type_", ["transaction_created", "customer_updated", "quote_created"])
def test_every_combination_of_attribution_and_transaction(type_: str) -> None:
    table, ownership = table_of(settings_of(CLIENTS)), Ownership(CLIENTS)
    told: Counter[str] = Counter()
    for name, domain, stated in product(ATTRIBUTED_NAMES, ATTRIBUTED_DOMAINS, [None, *STATED]):
        event = said(clientName=name, clientDomain=domain, customer={"id": "c1"}) | {"type": type_, "id": "e"}
        if stated is not None:
            event["transaction"] = {"id": "t", "sep": "31", **stated}
        route = table.route(read(event), CustomerIndex())
        assert endpoints(route) == ownership.endpoints(event), event
        assert (route.contradiction is None) == (route.match is not ClientMatch.CONTRADICTION)
        told.update(name for name, _ in endpoints(route))
    assert set(told) == (set() if type_ == "quote_created" else {"wallet", "Wallet", "\u212aiosk", "one"})


@pytest.mark.parametrize("shared", ["false", "true"])
def test_every_order_of_claims_tells_only_whom_a_customer_belongs_to(shared: str) -> None:
    settings = settings_of(CLIENTS, DELIVERY_SHARED_CUSTOMERS=shared)
    roles: list[Any] = [
        {"creator": {"id": "c1"}},
        {"customers": {"sender": {"id": "c1"}}},
        {"customers": {"receiver": {"id": "c1"}, "sender": {"id": "None"}}},
        {"creator": {"id": "c2"}, "customers": {"sender": {"id": 7}, "receiver": {"id": "c1"}}},
        {"creator": {"id": None}, "customers": {"sender": {"id": ["c1"]}, "receiver": None}},
    ]
    claims = [transaction(client_name=name, **role) for name in ("wallet", "one", "nobody") for role in roles]
    customers = [
        customer_updated(**one)
        for one in ({"id": "c1"}, {"id": "c2"}, {"id": "7"}, {"id": None}, {"id": ["c1"]}, {})
    ]
    table = table_of(settings)
    for stream in product(claims, repeat=3):
        index = CustomerIndex()
        ownership = Ownership(CLIENTS, shared_customers=shared == "true")
        for number, event in enumerate((*stream, *customers)):
            found = table.route(read(event), index, NamedAt(1_000, 0, number))
            assert endpoints(found) == ownership.endpoints(event), stream


# --- configurations and events by chance ------------------------------------------------------------------------


@hypothesis_settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(scenes(), one_of(False, False, True))
def test_an_event_goes_exactly_where_it_belongs(
    scene: tuple[list[dict[str, Any]], list[dict[str, Any]]], shared: bool
) -> None:
    configured, stream = scene
    settings = settings_of(configured, DELIVERY_SHARED_CUSTOMERS=str(shared).lower())
    table, index = table_of(settings), CustomerIndex()
    ownership = Ownership(configured, shared_customers=shared)
    for number, event in enumerate(stream):
        expected = ownership.endpoints(event)
        assert endpoints(table.route(read(event), index, NamedAt(1_000, 0, number))) == expected, event


@hypothesis_settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(scenes())
def test_broadcast_tells_all_that_want_the_sep_and_only_because_it_is_set(
    scene: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    configured, (event, *_) = scene
    settings = settings_of(configured, DELIVERY_CLIENT_ROUTING="broadcast")
    told = endpoints(table_of(settings).route(read(event), CustomerIndex()))
    seps = {sep for _, sep in told}
    assert len(seps) <= 1
    for sep in seps:
        assert told == {(one["name"], sep) for one in configured if sep in one["callback_urls"]}


@hypothesis_settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(scenes())
def test_what_came_before_changes_nothing_for_a_transaction(
    scene: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    """Whatever one wallet makes happen: another's transactions go where they would go alone."""
    configured, stream = scene
    table, index = table_of(settings_of(configured)), CustomerIndex()
    for event in stream:
        told = endpoints(table.route(read(event), index))
        if event.get("transaction") is not None:
            assert told == endpoints(table.route(read(event), CustomerIndex()))


@pytest.mark.parametrize("customer_events", [["c"], ["c", "other"]])
def test_a_customer_updated_goes_to_the_client_that_it_names(customer_events: list[str]) -> None:
    """Platform 4.4: what transactions taught counts for records that name no client alone."""
    table, index = table_of(settings_of([WALLET, OTHER])), CustomerIndex()
    table.route(read(transaction(client_name="wallet", creator={"id": "c"})), index)
    for customer in customer_events:
        for said_members in ({"clientName": "other"}, {"clientDomain": "OTHER.example"}):
            route = table.route(read(customer_updated(id=customer) | said_members), index)
            assert (route.clients, route.match) == (("other",), ClientMatch.ATTRIBUTION)
    assert table.route(read(customer_updated(id="c") | {"clientName": None}), index).clients == ("wallet",)
    route = table.route(read(customer_updated(id="c") | {"clientName": "nobody"}), index)
    assert (route.clients, route.match) == ((), ClientMatch.UNKNOWN_CLIENT)


# --- what was found, each by name -------------------------------------------------------------------------------


WALLET = client("wallet", domains=["wallet.example"])
OTHER = client("other", domains=["other.example"])


def test_a_customer_without_an_id_is_not_the_customer_called_none() -> None:
    """``sender_id: "None"`` in one's own transaction would have brought every customer whose id is null."""
    table, index = table_of(settings_of([WALLET, OTHER])), CustomerIndex()
    for id_ in ("None", "True", "['x']", "{}"):
        table.route(read(transaction(client_name="wallet", customers={"sender": {"id": id_}})), index)
    customers: list[dict[str, Any]] = [{"id": None}, {"id": True}, {"id": ["x"]}, {"id": {}}, {}]
    for customer in customers:
        route = table.route(read(customer_updated(**customer)), index)
        assert (route.clients, route.match) == ((), ClientMatch.UNKNOWN_CUSTOMER)


def test_naming_another_clients_customer_gives_nothing() -> None:
    """SEP-31 clients write any ``sender_id`` into their request, and the platform believes them."""
    table, index = table_of(settings_of([WALLET, OTHER])), CustomerIndex()
    table.route(read(transaction(client_name="wallet", customers={"sender": {"id": "c"}})), index)
    for members in ({"sender": {"id": "c"}}, {"receiver": {"id": "c"}}):
        event = read(transaction(client_name="other", customers=members))
        stolen = table.route(event, index, NamedAt(1, 0, 1))
        assert stolen.contested == (("c",) if "sender" in members else ()), "reported once"
    assert table.route(read(customer_updated(id="c")), index).clients == ("wallet",)


@pytest.mark.parametrize("first", ["wallet", "other"])
def test_the_first_by_time_and_position_is_the_owner_in_whatever_order_the_partitions_are_read(
    first: str,
) -> None:
    """After a restart, client b received the events of 30 of client a's 60 customers."""
    names = sorted(("wallet", "other"), key=lambda name: name != first)
    for places in ((NamedAt(5, 1, 9), NamedAt(6, 0, 0)), (NamedAt(5, 0, 3), NamedAt(5, 1, 2))):
        namings = list(zip(names, places, strict=True))
        for order in (1, -1):
            table, index = table_of(settings_of([WALLET, OTHER])), CustomerIndex()
            contested: list[str] = []
            for name, at in namings[::order]:
                members = {"client_name": name, "customers": {"sender": {"id": "c"}}}
                contested += table.route(read(transaction(**members)), index, at).contested
            assert table.route(read(customer_updated(id="c")), index).clients == (first,)
            assert (contested, index.contested_count) == (["c"], 1)


def test_a_customer_that_logged_in_by_two_wallets_is_both_wallets() -> None:
    table, index = table_of(settings_of([WALLET, OTHER])), CustomerIndex()
    for name in ("wallet", "other"):
        table.route(read(transaction(client_name=name, creator={"id": "c"})), index)
    assert set(table.route(read(customer_updated(id="c")), index).clients) == {"wallet", "other"}


def test_customers_in_common_only_by_setting() -> None:
    settings = settings_of([WALLET, OTHER], DELIVERY_SHARED_CUSTOMERS="true")
    table, index = table_of(settings), CustomerIndex()
    for name in ("wallet", "other"):
        route = table.route(read(transaction(client_name=name, customers={"receiver": {"id": "c"}})), index)
        assert route.contested == ()
    assert set(table.route(read(customer_updated(id="c")), index).clients) == {"wallet", "other"}


def test_only_a_noncustodial_client_is_known_by_a_domain_and_only_a_custodial_one_by_a_key() -> None:
    custodian = client("custodian", "custodial", signing_keys=[KEYS[0]], domains=["wallet.example"])
    keyed = client("keyed", domains=["keyed.example"], signing_keys=[KEYS[0], KEYS[1]])
    table = table_of(settings_of([custodian, keyed, WALLET]))
    assert table.route(read(transaction(client_domain="wallet.example")), CustomerIndex()).clients == (
        "wallet",
    )
    by_key = [
        table.route(read(transaction(creator={"account": key})), CustomerIndex()).clients for key in KEYS[:2]
    ]
    assert by_key == [("custodian",), ()]


@pytest.mark.parametrize("order", [1, -1])
def test_what_two_clients_claim_is_nobodys(order: int) -> None:
    """Whichever stands first in the configuration."""
    claimed = [
        WALLET,
        client("thief", domains=["thief.example", "Wallet.Example"]),
        client("one", "custodial", signing_keys=[KEYS[0]]),
        client("two", "custodial", signing_keys=[KEYS[1], KEYS[0]]),
    ][::order]
    settings = settings_of(claimed)
    assert [warning.key for warning in settings.warnings if "also belongs" in warning.wrong]
    table = table_of(settings)
    for members in (
        {"client_domain": "wallet.example"},
        {"creator": {"account": KEYS[0]}},
        {"creator": {"account": muxed(KEYS[0], 1)}},
        {"client_domain": "wallet.example", "creator": {"account": KEYS[1]}},
    ):
        route = table.route(read(transaction(**members)), CustomerIndex())
        assert (route.clients, route.match) == ((), ClientMatch.AMBIGUOUS), members
    assert table.route(
        read(transaction(client_name="wallet", client_domain="wallet.example")), CustomerIndex()
    ).clients == ("wallet",)


def test_a_look_alike_of_a_domain_is_another_domain() -> None:
    table = table_of(settings_of([client("kiosk", domains=["kiosk.example"])]))
    assert table.route(read(transaction(client_domain="KIOSK.example")), CustomerIndex()).clients
    foreign = table_of(settings_of([client("foreign", domains=["bücher.Example"])]))
    assert foreign.route(read(transaction(client_domain="Bücher.example")), CustomerIndex()).clients
    assert not foreign.route(read(transaction(client_domain="BÜCHER.example")), CustomerIndex()).clients
    for domain in (
        "\u212aiosk.example",
        "kıosk.example",
        "ｋiosk.example",
        "kiosk.example.",
        "kiosk.example:1",
    ):
        assert table.route(read(transaction(client_domain=domain)), CustomerIndex()).clients == (), domain


def test_memos_of_one_account_are_one_client() -> None:
    """A custodian's customers share its account: the wallet is told, and tells them apart by the memo."""
    table = table_of(settings_of([client("custodian", "custodial", signing_keys=[KEYS[0]]), OTHER]))
    for creator in (
        {"account": KEYS[0], "memo": "1"},
        {"account": KEYS[0], "memo": "2"},
        {"account": muxed(KEYS[0], 1)},
    ):
        assert table.route(read(transaction(creator=creator)), CustomerIndex()).clients == ("custodian",)


def test_no_client_is_called_as_anothers_endpoint() -> None:
    """Dead letters of one would be sent again to the other: ``client.wallet.sep24`` has two meanings then."""
    with pytest.raises(SettingsError) as caught:
        settings_of([WALLET, client("wallet.sep24", domains=["other.example"])])
    assert [problem.key for problem in caught.value.problems] == ["clients.items[1].name"]
    assert settings_of([client("a.sep24", domains=["a.example"]), OTHER]).warnings
