"""Who sent this request, by its signature, token or API key; and what is wrong if it is not right."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import jwt

from eventproc.cli.diagnosis_text import diagnosis_lines, diagnosis_object
from eventproc.receiver.diagnose import Evidence, NamedKey, diagnose
from eventproc.receiver.request_headers import Headers, by_name, names_of_receiver
from eventproc.signed_text import LEGACY_SIGNATURE_HEADER, SIGNATURE_HEADER

CheckedBy = Literal["signature", "jwt", "api_key", "nothing"]

_MIN_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """How a business server knows the anchor; the secret shows nowhere."""

    kind: Literal["jwt", "api_key"]
    header: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``is_right`` is None where nothing was checked; ``causes`` are for counting."""

    checked_by: CheckedBy
    is_right: bool | None
    lines: list[str]
    details: Mapping[str, object]
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judge:
    """What a request is checked with. ``host`` None: any that the request itself names."""

    keys: Sequence[NamedKey] = ()
    other_keys: Sequence[NamedKey] = ()
    host: str | None = None
    secret: SharedSecret | None = None

    def judge(self, headers: Headers, body: bytes, now: float) -> Verdict:
        """Check one request; ``now`` in seconds since the epoch."""
        values = by_name(headers)
        value = values.get(SIGNATURE_HEADER.lower(), values.get(LEGACY_SIGNATURE_HEADER.lower()))
        if value is not None and not self.keys:
            return _unchecked("it is signed: give --key or --stellar-toml to have that checked")
        if value is None and self.secret is not None:
            return _judge_secret(self.secret, values.get(self.secret.header.lower()), now)
        if not self.keys:
            return _unchecked(
                "give --key, --stellar-toml, --jwt-secret-file or --api-key-file to have that checked"
            )
        named = names_of_receiver(values)
        host = self.host or next(iter(named), "")
        evidence = Evidence(value, body, host, self.keys, self.other_keys, request_hosts=named)
        diagnosis = diagnose(evidence, now)
        if self.host is None and diagnosis.signed_host in named:
            diagnosis = diagnose(replace(evidence, host=diagnosis.signed_host), now)
        causes = tuple(one.cause.value for one in diagnosis.findings)
        lines, details = diagnosis_lines(diagnosis, body), diagnosis_object(diagnosis)
        return Verdict("signature", diagnosis.is_valid, lines, details, causes)


def _unchecked(why: str) -> Verdict:
    return Verdict("nothing", None, [f"not checked: {why}"], {"findings": []})


def _judge_secret(secret: SharedSecret, value: str | None, now: float) -> Verdict:
    if value is None:
        wrong = (
            "missing_header",
            f"there is no {secret.header} header",
            "look at what the anchor is set to send",
        )
    elif secret.kind == "jwt":
        wrong_or_none = _wrong_token(value, secret, now)
        if wrong_or_none is None:
            return Verdict("jwt", True, ["the token is right"], {"findings": []})
        wrong = wrong_or_none
    elif hmac.compare_digest(value.encode("utf-8", "surrogateescape"), secret.secret):
        return Verdict("api_key", True, ["the API key is right"], {"findings": []})
    else:
        wrong = ("key", f"the API key in {secret.header} is another", "give both sides the same secret")
    cause, what, way_out = wrong
    finding = {"cause": cause, "what": what, "way_out": way_out}
    return Verdict(
        secret.kind, False, [f"{cause}: {what}", f"  {way_out}"], {"findings": [finding]}, (cause,)
    )


def _wrong_token(value: str, secret: SharedSecret, now: float) -> tuple[str, str, str] | None:
    """Cause, what is wrong, the way out; None for a token that is right."""
    scheme, _, token = value.partition(" ")
    if scheme != "Bearer":
        return (
            "malformed_header",
            f"{secret.header} is not of the form Bearer <jwt>",
            "pass the header on unchanged",
        )
    key = secret.secret.ljust(
        _MIN_KEY_BYTES, b"\0"
    )  # changes no signature (RFC 2104); PyJWT warns of short ones
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=["HS256"],
            options={"require": ["iat", "exp"], "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidSignatureError:
        return "key", "the token is signed with another secret", "give both sides the same secret"
    except jwt.InvalidTokenError as error:
        return (
            "malformed_header",
            f"the token is none that the anchor makes: {error}",
            "look at who sends this",
        )
    expires, issued = float(claims["exp"]), float(claims["iat"])
    if expires <= now:
        return (
            "too_old",
            f"the token expired {now - expires:.0f} s ago",
            "compare the clocks; check at the door",
        )
    if issued > now + 60:
        return (
            "in_the_future",
            f"the token was made {issued - now:.0f} s ahead",
            "compare the clocks with NTP",
        )
    return None
