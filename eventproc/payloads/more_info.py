"""``more_info_url``: the page about one transaction, with a token that lets its reader in.

AP ``SimpleMoreInfoUrlConstructor``. The token expires, so a body is built anew for every attempt.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_plus

from eventproc.payloads.context import MoreInfoUrl
from eventproc.payloads.json_bytes import encode, present
from eventproc.payloads.members import Members, amount, text

_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")


def more_info_url(
    settings: MoreInfoUrl | None,
    transaction: Members,
    transaction_id: str,
    client_name: str | None,
    now: float,
) -> str | None:
    """The URL for one transaction; None without settings. ``now`` in seconds since the epoch."""
    if settings is None:
        return None
    claims = present(
        jti=transaction_id,
        exp=int(now) + settings.expiration_seconds,
        client_domain=text(transaction.get("client_domain")),
        client_name=text(transaction.get("client_name")) or client_name,
        data=_data(transaction, settings.txn_fields) if settings.txn_fields else {},
    )
    before, after = settings.around_query
    token = settings.tokens.encode(claims)
    return f"{before}transaction_id={_quoted(transaction_id)}&token={token}{after}"


def _data(transaction: Members, fields: tuple[str, ...]) -> dict[str, str]:
    """The named members as strings under their snake case names; empty ones are left out, as AP does."""
    snake_case = {_snake(name): value for name, value in transaction.items()}
    values = {_snake(name): _data_text(snake_case.get(_snake(name))) for name in fields}
    return {name: value for name, value in values.items() if value}


@lru_cache(maxsize=1024)  # an anchor's transactions have the same members, time and again
def _snake(name: str) -> str:
    return _HUMP.sub(r"_\1", name).lower()  # the transaction has one member in camel case: fundingMethod


def _data_text(value: Any) -> str | None:
    """A string: an amount by its digits, anything else that is no scalar as JSON."""
    if value is None:
        return None
    return (
        amount(value) or text(value) or (encode(value).decode() if isinstance(value, (dict, list)) else None)
    )


def _quoted(transaction_id: str) -> str:
    plain = transaction_id.replace("-", "")  # a UUID, nearly always
    return transaction_id if plain.isalnum() and plain.isascii() else quote_plus(transaction_id)
