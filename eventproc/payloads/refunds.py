"""Refunds, in the forms of the three SEPs, and whether they amount to everything."""

from __future__ import annotations

import decimal
import re
from typing import Any, Final

from eventproc.payloads.json_bytes import present
from eventproc.payloads.members import Members, amount, asset, mapping, mappings, text

# Plain decimals of a sane length: Decimal also takes "NaN" and "1_000", and 1e999999999 would cost memory.
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,60}(\.[0-9]{0,60})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_EXACT: Final = decimal.Context(prec=400)


def flat_refunds(transaction: Members, *, with_id_type: bool) -> Members | None:
    """SEP-24's and SEP-31's form: amounts as strings; SEP-24 tells each payment's ``id_type`` as well.

    ``payments`` is a list in both SEPs and no option, so a null one goes out empty.
    """
    refunds = _told(transaction)
    if refunds is None:
        return None
    return present(
        amount_refunded=amount(refunds.get("amount_refunded")),
        amount_fee=amount(refunds.get("amount_fee")),
        payments=[
            present(
                id=text(payment.get("id")),
                id_type=text(payment.get("id_type")) if with_id_type else None,
                amount=amount(payment.get("amount")),
                fee=amount(payment.get("fee")),
            )
            for payment in mappings(refunds.get("payments"))
        ],
    )


def nested_refunds(transaction: Members) -> Members | None:
    """SEP-6's form, as the platform sends it: amounts as ``{amount, asset}``, without the payments' dates."""
    refunds = _told(transaction)
    if refunds is None:
        return None
    return present(
        amount_refunded=_amount_object(refunds.get("amount_refunded")),
        amount_fee=_amount_object(refunds.get("amount_fee")),
        payments=[
            present(
                id=text(payment.get("id")),
                id_type=text(payment.get("id_type")),
                amount=_amount_object(payment.get("amount")),
                fee=_amount_object(payment.get("fee")),
            )
            for payment in mappings(refunds.get("payments"))
        ],
    )


def is_fully_refunded(transaction: Members) -> bool:
    """Whether amount_refunded plus amount_fee reaches amount_in; false when one of them is no number."""
    refunds = mapping(transaction.get("refunds"))
    if refunds is None:
        return False
    total_in = _number(amount(transaction.get("amount_in")))
    refunded = _number(amount(refunds.get("amount_refunded")))
    fee_text = amount(refunds.get("amount_fee"))
    fee = decimal.Decimal(0) if fee_text is None else _number(fee_text)
    if total_in is None or refunded is None or fee is None or refunded <= 0:
        return False
    return _EXACT.add(refunded, fee) >= total_in


def _told(transaction: Members) -> Members | None:
    """The refunds, unless they say nothing."""
    refunds = mapping(transaction.get("refunds"))
    told = refunds is not None and any(
        refunds.get(name) is not None for name in ("amount_refunded", "amount_fee", "payments")
    )
    return refunds if told else None


def _amount_object(value: Any) -> Members | None:
    return present(amount=amount(value), asset=asset(value)) or None


def _number(value: str | None) -> decimal.Decimal | None:
    if value is None or _DECIMAL.fullmatch(value) is None:
        return None
    return decimal.Decimal(value)
