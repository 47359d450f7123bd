"""The key that we sign with against what the anchor's ``stellar.toml`` tells wallets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from eventproc.auth.stellar_signature import StellarSignature
from eventproc.doctor.findings import Check, ok, problem, skipped
from eventproc.doctor.stellar_toml_source import read_stellar_toml, stellar_toml_url
from eventproc.stellar_toml import StellarTomlError
from settings import Settings

SUBJECT: Final = "signing key"
_NAME: Final = "stellar.toml"


def home_domains(settings: Settings, given: Sequence[str]) -> list[str]:
    """The domains whose file to look at: those given, else the configuration's without patterns."""
    domains = given or settings.sep10.home_domains
    return [domain for domain in domains if "*" not in domain]


async def judge_signing_key(
    settings: Settings,
    domains: Sequence[str],
    timeout_seconds: float,
    ca_path: Path | None,
    at: datetime | None = None,
) -> list[Check]:
    """One check for each domain; no key, or no domain, is nothing to look at.

    Args:
        settings: have the seed.
        domains: whose file to look at.
        timeout_seconds: for each of them.
        ca_path: a PEM file of the certificates to believe; None: the system's.
        at: when the key signs that is to be there; None: now.
    """
    now = datetime.now(timezone.utc)
    seed = settings.sep10.seed_at(at or now)
    if seed is None:
        return [skipped(SUBJECT, _NAME, "there is none: no client has a callback URL")]
    if not domains:
        way_out = "give --home-domain, or set sep10.home_domains"
        return [skipped(SUBJECT, _NAME, "the anchor's home domain is not known", way_out)]
    account = StellarSignature(seed.get_secret_value(), "").account
    we_sign = "we sign with" if at is None or at <= now else f"from {at.isoformat()} on we sign with"
    return [await _judge(account, we_sign, domain, timeout_seconds, ca_path) for domain in domains]


async def _judge(
    account: str, we_sign: str, domain: str, timeout_seconds: float, ca_path: Path | None
) -> Check:
    url = stellar_toml_url(domain)
    try:
        found = await read_stellar_toml(url, timeout_seconds=timeout_seconds, ca_path=ca_path)
    except StellarTomlError as error:
        return problem(SUBJECT, _NAME, str(error), "wallets look there for the key: put the file right")
    if found.signing_key is None:
        way_out = f'add SIGNING_KEY = "{account}"'
        return problem(SUBJECT, _NAME, f"{url} has no SIGNING_KEY", way_out)
    if found.signing_key != account:
        what = f"{we_sign} {account}, and {url} tells wallets {found.signing_key}"
        way_out = (
            "every wallet refuses every callback: correct SECRET_SEP10_SIGNING_SEED, or SIGNING_KEY there"
        )
        return problem(SUBJECT, _NAME, what, way_out)
    return ok(SUBJECT, _NAME, f"{account}, as {url} has it")
