"""The account that signs requests to wallets, by which people know the key."""

from __future__ import annotations

from datetime import datetime

from pydantic import SecretStr

from eventproc.auth.stellar_signature import StellarSignature
from settings.sep import Sep10Settings


def account_of(seed: SecretStr | None) -> str | None:
    """Return the ``G…`` account of a seed; None without a seed."""
    return None if seed is None else StellarSignature(seed.get_secret_value(), "").account


def signing_account(sep10: Sep10Settings, moment: datetime) -> str | None:
    """Return the account that signs at this moment, which a planned change decides."""
    return account_of(sep10.seed_at(moment))
