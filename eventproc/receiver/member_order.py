"""The order in which the anchor writes a body's members, to undo a writer that sorted them.

A list for each object of each SEP would repeat the payload builders. One order of all names serves nearly
everywhere, because the builders agree wherever a name is in several; only ``from`` and ``to`` stand elsewhere
in SEP-6. A test sorts the real builders' bodies and gets each back. Names that the anchor chooses (SEP-6's
instructions, SEP-12's fields) have no order here: as received and turned round are tried, which finds all
orders of two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_HEAD: Final = (
    *("transaction", "total", "id", "id_type", "kind", "value", "name", "type", "description"),
    *("choices", "optional", "status", "error", "status_eta", "fields", "provided_fields", "more_info_url"),
    *("amount_in", "amount_in_asset", "amount_out", "amount_out_asset", "fee_details", "quote_id"),
    *("amount_refunded", "amount_fee", "payments", "amount", "asset", "fee", "details"),
)
_STELLAR: Final = ("stellar_account_id", "stellar_memo", "stellar_memo_type")
_ENDS: Final = ("from", "to")
_MIDDLE: Final = (
    *("started_at", "updated_at", "completed_at", "user_action_required_by"),
    *("stellar_transaction_id", "external_transaction_id", "message", "refunded", "refunds"),
)
_TAIL: Final = (
    *("required_info_message", "required_info_updates", "instructions"),
    *("deposit_memo", "deposit_memo_type", "claimable_balance_id"),
    *("withdraw_anchor_account", "withdraw_memo", "withdraw_memo_type"),
)

ORDERS: Final = (
    (*_HEAD, *_STELLAR, *_MIDDLE, *_ENDS, *_TAIL),
    (*_HEAD, *_ENDS, *_MIDDLE, *_TAIL),
)
"""SEP-24's, which SEP-31 and SEP-12 fit into, and SEP-6's."""


def rank_by(order: tuple[str, ...]) -> Callable[[str], int]:
    """The place of a name; unknown ones come last."""
    places = {name: place for place, name in enumerate(order)}
    return lambda name: places.get(name, len(places))
