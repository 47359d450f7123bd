"""What of an anchor's ``stellar.toml`` (SEP-1) tells who signs: ``SIGNING_KEY``, and the other accounts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final

from eventproc.errors import EventprocError, StrkeyError
from eventproc.strkey import decode_account

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES: Final = 100 * 1024
"""SEP-1: "The maximum file size is 100KB"."""

PATH: Final = "/.well-known/stellar.toml"


class StellarTomlError(EventprocError):
    """No stellar.toml, or one that cannot be read; the message names where it was looked for."""


@dataclass(frozen=True, slots=True)
class StellarToml:
    """``accounts`` are all that the file names as the anchor's own, each with the member it stands in."""

    signing_key: str | None
    accounts: tuple[tuple[str, str], ...] = ()
    network_passphrase: str | None = None


def parse_stellar_toml(content: bytes, where: str) -> StellarToml:
    """Read the file's bytes.

    Raises:
        StellarTomlError: it is too long, no TOML, or its SIGNING_KEY is no account.
    """
    if len(content) > MAX_BYTES:
        raise StellarTomlError(f"{where}: more than {MAX_BYTES} bytes, and SEP-1 allows no more: shorten it")
    try:
        parsed = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise StellarTomlError(f"{where}: no TOML in UTF-8: {error}"[:300]) from None
    accounts = parsed.get("ACCOUNTS")
    named = [(name, parsed.get(name)) for name in ("SIGNING_KEY", "URI_REQUEST_SIGNING_KEY")]
    named += [("ACCOUNTS", account) for account in (accounts if isinstance(accounts, list) else ())]
    signing_key = _text(parsed.get("SIGNING_KEY"))
    if signing_key is not None and not _is_account(signing_key):
        raise StellarTomlError(f"{where}: its SIGNING_KEY is no account (G…): put the anchor's account there")
    found = tuple((name, account) for name, account in named if _is_account(account))
    return StellarToml(signing_key, found, _text(parsed.get("NETWORK_PASSPHRASE")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_account(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        decode_account(value)
    except StrkeyError:
        return False
    return True
