"""What is wrong with a callback that does not verify: clock, host, key, body, encoding, one or several.

Nobody can tell from a signature alone what it was made over. But the mistakes that people make are few, so
they are undone one by one, then two at a time, until the signature fits: what fits is the diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from eventproc.receiver.body_variants import Variant, body_variants
from eventproc.receiver.findings import Cause, Finding, finding
from eventproc.receiver.header_variants import Reading, read_leniently
from eventproc.receiver.host_variants import host_variants
from eventproc.receiver.json_text import is_json
from eventproc.receiver.verifier import TOLERANCE_SECONDS, is_signed_by, public_key
from eventproc.signed_text import signed_bytes

__all__ = ["Cause", "Diagnosis", "Evidence", "Finding", "NamedKey", "diagnose"]

_MAX_TRIES: Final = 10_000
"""About 100 µs each: a second for a body that fits nothing."""

_MAX_HASHED_BYTES: Final = 500_000_000
"""The same bound for large bodies, which take 4 ms a megabyte."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """An account that may have signed, and where it is from."""

    account: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.account} ({self.source})" if self.source else self.account


@dataclass(frozen=True, slots=True)
class Evidence:
    """One callback, and what its receiver verifies it with.

    ``keys`` are those that count as right, ``other_keys`` those that may have signed although they should
    not. ``url`` is the callback URL where it is known, ``header`` None where there was none.
    ``request_hosts`` are the hosts that the request itself names, with the header that names each.
    """

    header: str | None
    body: bytes
    host: str
    keys: Sequence[NamedKey]
    other_keys: Sequence[NamedKey] = ()
    url: str | None = None
    request_hosts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Valid without findings. What was signed is told where it was found, whether that is right or not."""

    findings: tuple[Finding, ...]
    signed_at: int | None = None
    age_seconds: float | None = None
    signed_host: str | None = None
    signing_key: str | None = None
    signed_body: bytes | None = field(default=None, repr=False)
    tries: int = 0

    @property
    def is_valid(self) -> bool:
        """Whether a receiver should take it."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class _Signed:
    """What fits the signature, and how it differs from what the receiver has."""

    key: NamedKey
    host: str
    variant: Variant
    findings: tuple[Finding, ...]


def diagnose(evidence: Evidence, now: float, tolerance_seconds: float = TOLERANCE_SECONDS) -> Diagnosis:
    """Say what is wrong.

    Args:
        evidence: the callback. Raises StrkeyError for a key that is none.
        now: seconds since the epoch, when the callback was received.
        tolerance_seconds: how far the signature's time may be from ``now``.
    """
    if evidence.header is None:
        return Diagnosis((finding(Cause.MISSING_HEADER, "there is no Signature header"),))
    reading = read_leniently(evidence.header)
    if isinstance(reading, Finding):
        return Diagnosis((reading,))
    signed, tries = _search(evidence, reading)
    age_seconds = now - reading.timestamp
    findings = [*reading.findings, *_clock_findings(reading, age_seconds, tolerance_seconds)]
    if signed is None:
        return Diagnosis(
            (*findings, *_unexplained(evidence, tries)), reading.timestamp, age_seconds, tries=tries
        )
    return Diagnosis(
        (*findings, *signed.findings),
        reading.timestamp,
        age_seconds,
        signed.host,
        signed.key.account,
        signed.variant.body,
        tries,
    )


def _search(evidence: Evidence, reading: Reading) -> tuple[_Signed | None, int]:
    keys = _keys(evidence)
    tries = hashed_bytes = 0
    for (named, key), host, variant in _candidates(evidence, keys):
        if tries >= _MAX_TRIES or hashed_bytes > _MAX_HASHED_BYTES:
            break
        tries += 1
        hashed_bytes += len(variant.body)
        if is_signed_by(key, reading.signature, signed_bytes(reading.timestamp, host, variant.body)):
            findings = (
                *_key_findings(evidence, named),
                *_host_findings(evidence, host),
                *_body_findings(variant),
            )
            return _Signed(named, host, variant, findings), tries
    return None, tries


def _keys(evidence: Evidence) -> list[tuple[NamedKey, Ed25519PublicKey]]:
    """Each account once; the right ones first."""
    named = {key.account: key for key in (*evidence.other_keys, *evidence.keys)}
    first = [key.account for key in evidence.keys]
    accounts = dict.fromkeys([*first, *named])
    return [(named[account], public_key(account)) for account in accounts]


_Candidate = tuple[tuple[NamedKey, Ed25519PublicKey], str, Variant]


def _candidates(evidence: Evidence, keys: list[tuple[NamedKey, Ed25519PublicKey]]) -> Iterator[_Candidate]:
    """By the number of mistakes; bodies with fewer changes first."""
    right = {key.account for key in evidence.keys}
    right_keys = [key for key in keys if key[0].account in right]
    wrong_keys = [key for key in keys if key[0].account not in right]
    named = [name for name in evidence.request_hosts if name != evidence.host]
    hosts = list(dict.fromkeys([*named, *host_variants(evidence.host, evidence.url)]))
    likely_hosts = [*named, *host_variants(evidence.host, evidence.url, changes=1)]
    as_given = [Variant(evidence.body)]
    yield from product(right_keys, [evidence.host], as_given)
    changed = body_variants(evidence.body)[1:]
    yield from product(wrong_keys, [evidence.host], as_given)
    yield from product(right_keys, hosts, as_given)
    yield from product(right_keys, [evidence.host], changed)
    yield from product(wrong_keys, hosts, as_given)
    yield from product(wrong_keys, [evidence.host], changed)
    yield from product(right_keys, likely_hosts, changed)
    yield from product(wrong_keys, likely_hosts, changed)


def _clock_findings(reading: Reading, age_seconds: float, tolerance_seconds: float) -> Iterator[Finding]:
    if any(one.what.startswith("t= is in milliseconds") for one in reading.findings):
        return
    allowed = f"{tolerance_seconds:g} s are allowed"
    if age_seconds > tolerance_seconds:
        yield finding(Cause.TOO_OLD, f"signed {_duration(age_seconds)} ago; {allowed}")
    elif age_seconds < -tolerance_seconds:
        yield finding(Cause.IN_THE_FUTURE, f"signed {_duration(-age_seconds)} in the future; {allowed}")


def _key_findings(evidence: Evidence, signed_by: NamedKey) -> Iterator[Finding]:
    right = [key.account for key in evidence.keys]
    if signed_by.account not in right:
        yield finding(Cause.KEY, f"signed by {signed_by}, you verify with {', '.join(right) or 'no key'}")


def _host_findings(evidence: Evidence, host: str) -> Iterator[Finding]:
    if host != evidence.host:
        header = evidence.request_hosts.get(host)
        source = "" if header is None else f", which the request names in {header}"
        yield finding(
            Cause.HOST,
            f"you asked to check for the host {evidence.host!r}; it was signed for {host!r}{source}",
        )


def _body_findings(variant: Variant) -> Iterator[Finding]:
    by_cause: dict[Cause, list[str]] = {}
    for change in variant.changes:
        by_cause.setdefault(change.cause, []).append(change.what)
    for cause, changes in by_cause.items():
        yield finding(cause, f"the body is not as it was sent: {'; '.join(dict.fromkeys(changes))}")


def _unexplained(evidence: Evidence, tries: int) -> Iterator[Finding]:
    if not evidence.body.strip():
        yield finding(Cause.BODY_EMPTY, "the body is empty; the anchor sends none such")
    elif evidence.body.lstrip()[:1] == b"{" and not is_json(evidence.body.decode("utf-8", "replace")):
        yield finding(Cause.BODY_CUT, f"the body of {len(evidence.body)} bytes begins as JSON and is none")
    else:
        yield finding(
            Cause.UNKNOWN,
            f"the signature fits none of {tries} combinations of key, host and body: another key, "
            "another host, or a body that was changed",
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)[:40] or "0 s"
