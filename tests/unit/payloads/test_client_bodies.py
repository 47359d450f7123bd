"""Wallets' bodies: what each SEP asks for, and that odd members cost only themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventproc import payloads
from eventproc.errors import PayloadError
from eventproc.events import Event, EventType, decode
from eventproc.payloads import (
    BUILDERS,
    MoreInfoUrl,
    PayloadContext,
    Sep,
    UnknownSep,
    client_body,
    client_target,
)
from tests.unit.payloads.builders import (
    NO_MORE_INFO,
    NOW,
    business_server_payload,
    event,
    event_of,
    transaction_event,
    wallet_transaction,
)

TRANSACTION_SEPS = [Sep.SEP6, Sep.SEP24, Sep.SEP31]
every_sep = pytest.mark.parametrize("sep", TRANSACTION_SEPS)


@pytest.mark.parametrize(
    ("found", "target"),
    [
        (transaction_event("6"), Sep.SEP6),
        (transaction_event("24"), Sep.SEP24),
        (transaction_event("31"), Sep.SEP31),
        (event_of(transaction={"id": "t", "sep": 24}), Sep.SEP24),
        (event_of(sep="6", transaction={"id": "t"}), Sep.SEP6),
        (transaction_event("12"), UnknownSep("12")),
        (transaction_event("38"), UnknownSep("38")),
        (transaction_event("24 "), UnknownSep("24 ")),
        (transaction_event(None), UnknownSep(None)),
        (event_of(transaction={}), UnknownSep(None)),
        (event_of(customer={"id": "c"}), None),
        (event_of(), None),
        (event_of("quote_created", quote={"id": "q"}), None),
        (event_of("quote_created", quote={"id": "q"}, transaction={"id": "t", "sep": "24"}), None),
        (event_of("customer_updated", customer={"id": "c"}), Sep.SEP12),
        (event_of("customer_updated", customer={"id": "c"}, transaction={"id": "t", "sep": "31"}), Sep.SEP31),
        (event_of("customer_updated", transaction={"id": "t", "sep": "6"}), Sep.SEP6),
        (event_of("customer_updated"), None),
        (event_of("CUSTOMER_UPDATED", customer={}), Sep.SEP12),
    ],
)
def test_target_is_the_transactions_sep_before_the_customer(
    found: Event, target: Sep | UnknownSep | None
) -> None:
    assert client_target(found) == target


def test_every_target_has_a_builder() -> None:
    for kind in EventType:
        targets = {
            client_target(event_of(kind.value, customer={"id": "c"}, transaction=transaction))
            for transaction in (None, {"sep": "6"}, {"sep": "24"}, {"sep": "31"})
        }
        assert {sep for found, sep in BUILDERS if found is kind} == targets - {None}


def test_public_names_are_pinned() -> None:
    assert payloads.__all__ == [
        "BUILDERS",
        "Misfit",
        "MoreInfoUrl",
        "PayloadContext",
        "Sep",
        "UnknownSep",
        "business_server_body",
        "client_body",
        "client_target",
    ]


@every_sep
def test_quotes_and_missing_transactions_have_no_body(sep: Sep) -> None:
    for found in (event_of("quote_created", transaction={"id": "t"}), event_of(), event_of(transaction={})):
        with pytest.raises(PayloadError, match="event e-1"):
            client_body(found, sep, NO_MORE_INFO, NOW)


@pytest.mark.parametrize("transaction_id", [None, "", [], {}])
@every_sep
def test_transaction_without_an_id_has_no_body(sep: Sep, transaction_id: object) -> None:
    with pytest.raises(PayloadError, match="no id"):
        client_body(transaction_event(sep.value, id=transaction_id), sep, NO_MORE_INFO, NOW)


@every_sep
def test_transaction_with_nothing_but_an_id_goes_out(sep: Sep) -> None:
    extra = {} if sep is Sep.SEP6 else {"refunded": False}
    assert wallet_transaction(sep) == {"id": "t-1", **extra}


@every_sep
def test_unknown_status_and_unparsable_instants_go_out_as_received(sep: Sep) -> None:
    odd = {
        "status": "no such",
        "started_at": "yesterday",
        "updated_at": 17,
        "completed_at": "2024-03-01T12:00:00.1Z",
    }
    body = wallet_transaction(sep, **odd)
    assert {name: body[name] for name in odd} == odd


@every_sep
def test_unknown_members_are_left_out(sep: Sep) -> None:
    body = wallet_transaction(
        sep, zzz="q", request_client_ip_address="10.1.2.3", customers={}, client_name="c"
    )
    assert set(body) <= {"id", "refunded"}


@every_sep
@pytest.mark.parametrize(
    ("value", "amount", "asset"),
    [
        ({"amount": "1.50", "asset": "iso4217:USD"}, "1.50", "iso4217:USD"),
        ({"amount": "1.50"}, "1.50", None),
        ({"asset": "iso4217:USD"}, None, "iso4217:USD"),
        ({"amount": None, "asset": None}, None, None),
        ({}, None, None),
        ("1.50", "1.50", None),
        (7, "7", None),
        ([], None, None),
        (None, None, None),
        ({"amount": ["1"], "asset": {}}, None, None),
    ],
)
def test_amounts_are_flattened(sep: Sep, value: object, amount: str | None, asset: str | None) -> None:
    body = wallet_transaction(sep, amount_in=value, amount_out=value)
    for name in ("amount_in", "amount_out"):
        assert body.get(name) == amount
        assert body.get(f"{name}_asset") == asset


@every_sep
@pytest.mark.parametrize("digits", ["1.10", "1E+2", "9" * 30, "100.50"])
def test_amounts_as_numbers_keep_their_digits(sep: Sep, digits: str) -> None:
    value = b'{"id":"e","type":"transaction_created","transaction":{"id":"t","amount_in":{"amount":%b}}}'
    body = json.loads(client_body(event(value % digits.encode()), sep, NO_MORE_INFO, NOW))
    assert body["transaction"]["amount_in"] == digits


@every_sep
@pytest.mark.parametrize(
    ("received", "sent"),
    [
        ({"total": "1", "asset": "a", "x": 1}, {"total": "1", "asset": "a"}),
        ({"total": 1.5, "asset": None, "details": None}, {"total": "1.5"}),
        (
            {"details": [{"name": "n", "amount": 1, "y": 2}, None, "z", {"description": "d"}]},
            {"details": [{"name": "n", "amount": "1"}, {"description": "d"}]},
        ),
        ("2.25", {"total": "2.25"}),
        ({"total": None}, None),
        ([], None),
    ],
)
def test_fee_details_have_the_known_members(sep: Sep, received: object, sent: object) -> None:
    assert wallet_transaction(sep, fee_details=received).get("fee_details") == sent


@every_sep
@pytest.mark.parametrize(
    ("transactions", "sent"),
    [
        ([{"id": "h1"}, {"id": "h2"}], "h1"),
        ([], None),
        (None, None),
        ("h", None),
        ([{"memo": "m"}], None),
    ],
)
def test_first_stellar_transaction_is_named(sep: Sep, transactions: object, sent: str | None) -> None:
    assert wallet_transaction(sep, stellar_transactions=transactions).get("stellar_transaction_id") == sent


MEMO = {"memo": "m", "memo_type": "text", "withdraw_anchor_account": "G1", "claimable_balance_id": "b"}
DEPOSIT_MEMO = {"deposit_memo": "m", "deposit_memo_type": "text"}
WITHDRAW_MEMO = {"withdraw_memo": "m", "withdraw_memo_type": "text", "withdraw_anchor_account": "G1"}


@pytest.mark.parametrize(
    ("received", "kind", "members"),
    [
        ("deposit", "deposit", {**DEPOSIT_MEMO, "claimable_balance_id": "b"}),
        ("deposit-exchange", "deposit", {**DEPOSIT_MEMO, "claimable_balance_id": "b"}),
        ("withdrawal", "withdrawal", WITHDRAW_MEMO),
        ("withdrawal-exchange", "withdrawal", WITHDRAW_MEMO),
        ("no such", "no such", {}),
    ],
)
def test_sep24_has_the_plain_kind_and_its_members(received: str, kind: str, members: dict[str, str]) -> None:
    body = wallet_transaction(Sep.SEP24, kind=received, **MEMO)
    assert body == {"id": "t-1", "kind": kind, "refunded": False, **members}


def test_sep24_receive_is_for_the_business_server_alone() -> None:
    found = transaction_event("24", kind="receive")
    assert business_server_payload(found)["transaction"]["kind"] == "receive"
    with pytest.raises(PayloadError, match="receive"):
        client_body(found, Sep.SEP24, NO_MORE_INFO, NOW)


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("deposit", DEPOSIT_MEMO),
        ("deposit-exchange", DEPOSIT_MEMO),
        ("withdrawal", WITHDRAW_MEMO),
        ("withdrawal-exchange", WITHDRAW_MEMO),
        ("receive", {}),
    ],
)
def test_sep6_keeps_the_kind_and_has_its_members(kind: str, members: dict[str, str]) -> None:
    assert wallet_transaction(Sep.SEP6, kind=kind, **MEMO) == {"id": "t-1", "kind": kind, **members}


def test_sep6_tells_what_is_required_and_how_to_pay() -> None:
    body = wallet_transaction(
        Sep.SEP6,
        required_info_message="why",
        required_info_updates={"transaction": {"a": {"description": 1, "choices": None}}},
        instructions={"bank.number": {"value": 1, "description": None, "x": 1}, "odd": "y"},
        status_eta=3600,
    )
    assert body == {
        "id": "t-1",
        "required_info_message": "why",
        "required_info_updates": {"transaction": {"a": {"description": "1"}}},
        "instructions": {"bank.number": {"value": "1"}},
        "status_eta": 3600,
    }


def test_sep31_has_its_own_names() -> None:
    body = wallet_transaction(
        Sep.SEP31, kind="receive", destination_account="G1", memo="Zm9v", memo_type="hash"
    )
    assert body == {
        "id": "t-1",
        "stellar_account_id": "G1",
        "stellar_memo": "Zm9v",
        "stellar_memo_type": "hash",
        "refunded": False,
    }


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"message": "m"}, "m"),
        ({"message": "m", "required_info_message": "own"}, "own"),
        ({"message": "m", "required_info_message": None}, "m"),
        ({}, None),
    ],
)
def test_sep31_info_message_is_its_own_and_else_the_message(
    members: dict[str, str], message: str | None
) -> None:
    body = wallet_transaction(Sep.SEP31, **members)
    assert body.get("required_info_message") == message
    assert "message" not in body


@pytest.mark.parametrize(
    ("sep", "member"),
    [(Sep.SEP6, "required_info_updates"), (Sep.SEP31, "required_info_updates"), (Sep.SEP31, "fields")],
)
def test_requested_fields_are_an_object_or_left_out(sep: Sep, member: str) -> None:
    asked = {"transaction": {"routing": {"description": "d", "optional": True, "choices": None}}}
    sent = wallet_transaction(sep, **{member: asked})
    assert sent[member] == {"transaction": {"routing": {"description": "d", "optional": True}}}
    for other in (["routing"], [], "routing", 7, True, None):
        assert member not in wallet_transaction(sep, **{member: other}), other


@pytest.mark.parametrize(
    ("customer", "sent"),
    [
        ({"id": "c", "status": "REJECTED", "x": "unknown"}, {"id": "c", "status": "REJECTED"}),
        ({"id": 7, "message": None, "fields": None}, {"id": "7"}),
        (
            {
                "id": "c",
                "fields": {
                    "a": {"type": "string", "choices": ["x", 1, None], "optional": False, "y": 1},
                    "b": 1,
                },
            },
            {"id": "c", "fields": {"a": {"type": "string", "choices": ["x", "1"], "optional": False}}},
        ),
        (
            {"id": "c", "provided_fields": {"a": {"status": "ACCEPTED", "error": None, "choices": "z"}}},
            {"id": "c", "provided_fields": {"a": {"status": "ACCEPTED"}}},
        ),
    ],
)
def test_sep12_is_the_customer_without_an_envelope(customer: dict[str, Any], sent: dict[str, Any]) -> None:
    found = event_of("customer_updated", customer=customer)
    assert json.loads(client_body(found, Sep.SEP12, NO_MORE_INFO, NOW)) == sent


@pytest.mark.parametrize("customer", [None, {}, {"id": None}, {"id": []}])
def test_sep12_without_a_customer_id_has_no_body(customer: object) -> None:
    with pytest.raises(PayloadError, match="customer id"):
        client_body(event_of("customer_updated", customer=customer), Sep.SEP12, NO_MORE_INFO, NOW)


WITH_MORE_INFO = PayloadContext(
    MoreInfoUrl("https://anchor.example/6", b"s6", 600, ("amount_in",)),
    MoreInfoUrl("https://anchor.example/24", b"s24", 600, ("message",)),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "amount", "asset", "fee", "payments", "details", "total", "value", "x"]),
            children,
        )
    ),
    max_leaves=10,
)
KNOWN = [
    "id",
    "kind",
    "status",
    "status_eta",
    "amount_in",
    "amount_out",
    "fee_details",
    "quote_id",
    "started_at",
    "message",
    "refunds",
    "memo",
    "memo_type",
    "stellar_transactions",
    "source_account",
    "client_domain",
    "client_name",
    "required_info_message",
    "required_info_updates",
    "instructions",
    "withdraw_anchor_account",
    "claimable_balance_id",
    "fields",
    "provided_fields",
]


@settings(max_examples=400)
@given(
    st.sampled_from(sorted(BUILDERS, key=str)),
    st.dictionaries(st.sampled_from(KNOWN), JSON),
    st.sampled_from(["t-1", "\ud800", None]),
    st.sampled_from(["deposit", "withdrawal", "receive", None]),
)
def test_any_object_makes_a_body_or_a_payload_error(
    builder: tuple[EventType, Sep], members: dict[str, Any], subject_id: str | None, kind: str | None
) -> None:
    event_type, sep = builder
    subject = {"id": subject_id, "kind": kind, **members}
    value = json.dumps({"id": "e", "type": event_type.value, "transaction": subject, "customer": subject})
    found = decode(value.encode())
    assert isinstance(found, Event)
    try:
        body = client_body(found, sep, WITH_MORE_INFO, NOW)
    except PayloadError:
        assert (
            not isinstance(subject["id"], (str, int, float))
            or subject["id"] == ""
            or kind == "receive"
            or "kind" in members
        )
        return
    parsed = json.loads(body.decode())
    assert None not in parsed.values()
    assert isinstance(parsed.get("transaction", parsed)["id"], str)
