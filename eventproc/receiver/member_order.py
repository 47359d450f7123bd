"""The order in which the anchor writes a body's members, to undo a writer that sorted them.

A list for each object of each SEP would repeat the payload builders. One order of all names serves
everywhere, because the builders agree wherever a name is in several. A test sorts the real builders' bodies
and gets each back. Names that the anchor chooses (SEP-6's instructions, SEP-12's fields) have no order here:
as received and turned round are tried, which finds all orders of two.
"""

from __future__ import annotations

from typing import Final

ORDER: Final = (
    *("transaction", "total", "id", "id_type", "kind", "value", "name", "type", "description"),
    *("choices", "optional", "more_info_url", "status", "error", "status_eta", "fields", "provided_fields"),
    *("amount_in", "amount_in_asset", "amount_out", "amount_out_asset", "fee_details", "quote_id"),
    *("amount_refunded", "amount_fee", "payments", "amount", "asset", "fee", "details"),
    *("stellar_account_id", "stellar_memo", "stellar_memo_type"),
    *("started_at", "updated_at", "completed_at", "user_action_required_by", "external_transaction_id"),
    *("message", "from", "to", "required_info_updates", "required_info_message", "instructions"),
    *("stellar_transaction_id", "refunded", "refunds"),
    *("deposit_memo", "deposit_memo_type", "claimable_balance_id"),
    *("withdraw_anchor_account", "withdraw_memo", "withdraw_memo_type"),
)


def rank(name: str) -> int:
    """The place of a name; unknown ones come last."""
    return _PLACES.get(name, len(_PLACES))


_PLACES: Final = {name: place for place, name in enumerate(ORDER)}
