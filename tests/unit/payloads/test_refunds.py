"""Refunds in the three SEPs' forms, and when a transaction counts as refunded."""

from __future__ import annotations

from typing import Any

import pytest

from eventproc.payloads import Sep
from tests.unit.payloads.builders import wallet_transaction

PAYMENT = {
    "id": "r1",
    "id_type": "stellar",
    "amount": {"amount": "0.90", "asset": "iso4217:USD"},
    "fee": {"amount": "0.10", "asset": "iso4217:USD"},
    "requested_at": "2024-03-01T12:00:01.500Z",
    "refunded_at": "2024-03-01T12:05:09Z",
}
REFUNDS = {
    "amount_refunded": {"amount": "1.00", "asset": "iso4217:USD"},
    "amount_fee": {"amount": "0.10", "asset": "iso4217:USD"},
    "payments": [PAYMENT],
}


def test_sep24_has_flat_amounts_and_the_id_type() -> None:
    assert wallet_transaction(Sep.SEP24, refunds=REFUNDS)["refunds"] == {
        "amount_refunded": "1.00",
        "amount_fee": "0.10",
        "payments": [{"id": "r1", "id_type": "stellar", "amount": "0.90", "fee": "0.10"}],
    }


def test_sep31_has_flat_amounts_without_the_id_type() -> None:
    assert wallet_transaction(Sep.SEP31, refunds=REFUNDS)["refunds"] == {
        "amount_refunded": "1.00",
        "amount_fee": "0.10",
        "payments": [{"id": "r1", "amount": "0.90", "fee": "0.10"}],
    }


def test_sep6_keeps_amounts_as_objects_without_the_dates() -> None:
    sent = {name: PAYMENT[name] for name in ("id", "id_type", "amount", "fee")}
    assert wallet_transaction(Sep.SEP6, refunds=REFUNDS)["refunds"] == {**REFUNDS, "payments": [sent]}


@pytest.mark.parametrize("sep", [Sep.SEP6, Sep.SEP24, Sep.SEP31])
@pytest.mark.parametrize(
    ("refunds", "sent"),
    [
        ({"payments": None, "amount_refunded": {"amount": "1"}}, {"payments": [], "amount_refunded": "1"}),
        (
            {"amount_refunded": "1", "amount_fee": 0},
            {"payments": [], "amount_refunded": "1", "amount_fee": "0"},
        ),
        ({"payments": []}, {"payments": []}),
        ({"payments": [None, "x", {"id": 1, "fee": None}]}, {"payments": [{"id": "1"}]}),
        ({"payments": "x", "amount_refunded": {"amount": None}}, {"payments": []}),
        ({"payments": None}, None),
        ({}, None),
        ([], None),
        ("all", None),
    ],
)
def test_incomplete_refunds_lose_only_what_is_missing(
    sep: Sep, refunds: object, sent: dict[str, Any] | None
) -> None:
    if sep is Sep.SEP6 and sent is not None:
        sent = {name: value if name == "payments" else {"amount": value} for name, value in sent.items()}
    assert wallet_transaction(sep, refunds=refunds).get("refunds") == sent


def money(amount: object) -> dict[str, object]:
    return {"amount": amount, "asset": "iso4217:USD"}


@pytest.mark.parametrize("sep", [Sep.SEP24, Sep.SEP31])
@pytest.mark.parametrize(
    ("amount_in", "refunded", "fee", "all_of_it"),
    [
        ("100.50", "100.50", "0", True),
        ("100.50", "98", "2.5", True),
        ("100.50", "98", "3", True),
        ("100.50", "98", "2.49", False),
        ("100.50", "100.5000000", None, True),
        ("1e2", "100", "0", True),
        (100.5, 100.50, 0, True),
        ("100000000000000000000000000000.0000001", "100000000000000000000000000000", "0", False),
        ("100000000000000000000000000000.0000001", "100000000000000000000000000000", "0.0000001", True),
        ("abc", "1", "0", False),
        ("1", "abc", "0", False),
        ("1", "1", "abc", False),
        ("NaN", "1", "0", False),
        ("1", "Infinity", "0", False),
        ("1_0", "1_0", "0", False),
        ("1", "1e999999999", "0", False),
        ("", "", "", False),
        (None, "1", "0", False),
        ("1", None, "1", False),
        ("0", "0", "0", False),
        (["1"], {"x": "1"}, True, False),
    ],
)
def test_refunded_is_a_boolean_and_true_when_all_came_back(
    sep: Sep, amount_in: object, refunded: object, fee: object, *, all_of_it: bool
) -> None:
    refunds = {"amount_refunded": money(refunded), "amount_fee": money(fee), "payments": []}
    assert wallet_transaction(sep, amount_in=money(amount_in), refunds=refunds)["refunded"] is all_of_it


def test_sep6_has_no_refunded_member() -> None:
    assert "refunded" not in wallet_transaction(Sep.SEP6, refunds=REFUNDS)
