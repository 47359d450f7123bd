"""Each diagnosis, on a signature that the sender's half makes and a mistake that people make."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import Keypair

from eventproc.auth.stellar_signature import StellarSignature
from eventproc.events import Event, decode
from eventproc.payloads import BUILDERS, client_target
from eventproc.payloads import Sep as PayloadSep
from eventproc.receiver import Reason
from eventproc.receiver.body_variants import body_variants
from eventproc.receiver.diagnose import Cause, Diagnosis, Evidence, NamedKey, diagnose
from tests.golden.recorded import CONTEXT, load_samples
from tests.golden.recorded import NOW as GOLDEN_NOW

SEED = "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"
ACCOUNT: str = Keypair.from_secret(SEED).public_key
OTHER: str = Keypair.random().public_key
HOST = "wallet.example.com"
NOW = 1_795_515_897.0
SENT = (
    '{"transaction":{"id":"t1","kind":"deposit","status":"completed","more_info_url":"https://a.example/x?id=1&t=2",'
    '"amount_in":"100.50","started_at":"2026-11-24T10:00:00Z","message":"Überweisung an Müller: 5 €","refunded":false,'
    '"from":"GA","to":"GB","empty":{},"list":[1.10,{"a":[]}]}}'
).encode()


def header(body: bytes = SENT, host: str = HOST, now: float = NOW) -> str:
    return StellarSignature(SEED, host).headers(body, now)["Signature"]


def judged(
    body: bytes = SENT,
    *,
    value: str | None = None,
    host: str = HOST,
    now: float = NOW,
    url: str | None = None,
    keys: list[str] | None = None,
    others: list[NamedKey] | None = None,
) -> Diagnosis:
    named = [NamedKey(key) for key in keys or [ACCOUNT]]
    return diagnose(Evidence(header() if value is None else value, body, host, named, others or [], url), now)


def causes(diagnosis: Diagnosis) -> list[Cause]:
    return [finding.cause for finding in diagnosis.findings]


def test_a_cause_has_one_name_and_receivers_find_it_in_their_page() -> None:
    alike = {cause.value for cause in Cause} & {reason.value for reason in Reason}
    assert alike == {"missing_header", "malformed_header", "too_old", "in_the_future"}
    page = (Path(__file__).parents[3] / "docs/receiving.md").read_text("utf-8")
    for name in [*Cause, *Reason]:
        assert f"`{name.value}`" in page, name


def test_what_is_right_has_no_findings() -> None:
    diagnosis = judged(now=NOW + 3)
    assert diagnosis.is_valid
    assert diagnosis.tries == 1
    assert (diagnosis.signed_at, diagnosis.age_seconds) == (int(NOW), 3.0)
    assert (diagnosis.signed_host, diagnosis.signing_key, diagnosis.signed_body) == (HOST, ACCOUNT, SENT)


def test_every_finding_has_a_way_out() -> None:
    for diagnosis in (judged(b""), judged(now=NOW + 999), judged(host="x"), judged(value="nonsense")):
        assert not diagnosis.is_valid
        assert all(len(finding.way_out) > 20 for finding in diagnosis.findings)


# --- the clock ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "cause", "said"),
    [
        (61, Cause.TOO_OLD, "signed 1 min 1 s ago"),
        (7200, Cause.TOO_OLD, "signed 2 h ago"),
        (90_000, Cause.TOO_OLD, "signed 1 d 1 h ago"),
        (-75, Cause.IN_THE_FUTURE, "signed 1 min 15 s in the future"),
    ],
)
def test_a_clock_that_is_off_is_told_with_by_how_much(seconds: float, cause: Cause, said: str) -> None:
    diagnosis = judged(now=NOW + seconds)
    assert causes(diagnosis) == [cause]
    assert said in diagnosis.findings[0].what


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_clock_within_the_tolerance_is_right(seconds: float) -> None:
    assert judged(now=NOW + seconds).is_valid


def test_an_old_callback_with_another_mistake_shows_both() -> None:
    assert causes(judged(host="wallet.example.com:443", now=NOW + 600)) == [Cause.TOO_OLD, Cause.HOST]


# --- the header -----------------------------------------------------------------------------------------------------


def test_no_header_at_all() -> None:
    diagnosis = diagnose(Evidence(None, SENT, HOST, [NamedKey(ACCOUNT)]), NOW)
    assert causes(diagnosis) == [Cause.MISSING_HEADER]


def _changed(change: Callable[[str, str], str]) -> str:
    time_text, _, encoded = header().removeprefix("t=").partition(", s=")
    return change(time_text, encoded)


@pytest.mark.parametrize(
    ("value", "cause", "said"),
    [
        (_changed(lambda t, s: f"s={s}, t={t}"), Cause.MALFORMED_HEADER, "another form"),
        (_changed(lambda t, s: f"Signature: t={t}; s={s}"), Cause.MALFORMED_HEADER, "another form"),
        (_changed(lambda t, s: f't="{t}", s="{s}"'), Cause.MALFORMED_HEADER, "another form"),
        (_changed(lambda t, s: f"t={t}, s={s.rstrip('=')}"), Cause.SIGNATURE_ENCODING, "without its padding"),
        (
            _changed(lambda t, s: f"t={t}, s={base64.b64decode(s).hex()}"),
            Cause.SIGNATURE_ENCODING,
            "hexadecimal",
        ),
    ],
)
def test_a_header_in_another_form_is_read_and_told(value: str, cause: Cause, said: str) -> None:
    diagnosis = judged(value=value)
    assert causes(diagnosis) == [cause]
    assert said in diagnosis.findings[0].what
    assert diagnosis.signing_key == ACCOUNT


def _with_plus_and_slash() -> tuple[str, bytes]:
    for number in range(1000):
        body = b'{"n":%d}' % number
        if {"+", "/"} <= set(header(body)):
            return header(body), body
    raise AssertionError


def test_url_safe_base64_is_told() -> None:
    value, body = _with_plus_and_slash()
    assert causes(judged(body, value=value.replace("+", "-").replace("/", "_"))) == [Cause.SIGNATURE_ENCODING]


def test_a_plus_that_became_a_space_and_percent_escapes_are_told() -> None:
    value, body = _with_plus_and_slash()
    assert causes(judged(body, value=value.replace("+", " "))) == [Cause.SIGNATURE_ENCODING]
    escaped = value.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    assert causes(judged(body, value=escaped)) == [Cause.MALFORMED_HEADER]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "empty"),
        ("nonsense", "no usable t= and s="),
        ("t=1795515897", "no usable s="),
        (_changed(lambda _t, s: f"s={s}"), "no usable t="),
        (_changed(lambda t, s: f"t={t}, s={s[:40]}"), "cut short"),
        (_changed(lambda t, _s: f"t={t}, s=ümläut"), "no 64 bytes"),
    ],
)
def test_a_header_that_says_too_little_is_told(value: str, said: str) -> None:
    diagnosis = judged(value=value)
    assert causes(diagnosis) == [Cause.MALFORMED_HEADER]
    assert said in diagnosis.findings[0].what


def test_milliseconds_are_told_and_not_taken_for_the_far_future() -> None:
    signed = StellarSignature(SEED, HOST).headers(SENT, NOW * 1000)["Signature"]
    diagnosis = judged(value=signed)
    assert causes(diagnosis) == [Cause.MALFORMED_HEADER]
    assert "milliseconds" in diagnosis.findings[0].what


# --- the host -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signed", "verified"),
    [
        ("wallet.example.com", "wallet.example.com:8443"),
        ("wallet.example.com:443", "wallet.example.com"),
        ("wallet.example.com:80", "wallet.example.com"),
        ("wallet.example.com", "www.wallet.example.com"),
        ("www.wallet.example.com:8443", "wallet.example.com:8443"),
        ("Wallet.Example.com".upper(), "wallet.example.com"),
        ("wallet.example.com", "Wallet.Example.COM"),
        ("wallet.example.com.", "wallet.example.com"),
        ("https://wallet.example.com", "wallet.example.com"),
        ("http://wallet.example.com/", "wallet.example.com"),
        ("wallet.example.com/", "wallet.example.com"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("127.0.0.1:8080", "localhost:8080"),
        ("www.wallet.example.com:443", "wallet.example.com"),
        ("", "wallet.example.com"),
    ],
)
def test_the_host_that_was_signed_is_found(signed: str, verified: str) -> None:
    diagnosis = judged(value=header(host=signed), host=verified)
    assert causes(diagnosis) == [Cause.HOST]
    assert diagnosis.signed_host == signed
    assert repr(signed) in diagnosis.findings[0].what
    assert repr(verified) in diagnosis.findings[0].what


@pytest.mark.parametrize(
    "signed",
    ["https://tunnel.example/cb/sep24", "tunnel.example:9000", "tunnel.example/cb/sep24", "/cb/sep24"],
)
def test_what_was_signed_is_found_in_the_callback_url(signed: str) -> None:
    url = "https://tunnel.example:9000/cb/sep24" if ":9" in signed else "https://tunnel.example/cb/sep24"
    assert causes(judged(value=header(host=signed), host="other.example", url=url)) == [Cause.HOST]


# --- the key --------------------------------------------------------------------------------------------------------


def test_another_known_key_is_named_with_its_source() -> None:
    diagnosis = judged(keys=[OTHER], others=[NamedKey(ACCOUNT, "ACCOUNTS of stellar.toml")])
    assert causes(diagnosis) == [Cause.KEY]
    assert (
        f"signed by {ACCOUNT} (ACCOUNTS of stellar.toml), you verify with {OTHER}"
        == diagnosis.findings[0].what
    )


def test_any_of_several_right_keys_is_right() -> None:
    assert judged(keys=[OTHER, ACCOUNT]).is_valid


def test_a_key_that_nobody_knows_is_said_to_be_possible() -> None:
    diagnosis = judged(keys=[OTHER])
    assert causes(diagnosis) == [Cause.UNKNOWN]
    assert "another key" in diagnosis.findings[0].what


# --- the body -------------------------------------------------------------------------------------------------------


def _json(**options: Any) -> bytes:
    return json.dumps(json.loads(SENT, parse_float=_digits), **options).encode().replace(b'"1.10"', b"1.10")


def _digits(text: str) -> str:
    return text


def _with_nulls() -> bytes:
    parsed = json.loads(SENT, parse_float=_digits)
    parsed["transaction"]["quote_id"] = None
    return json.dumps(parsed, separators=(",", ":"), ensure_ascii=False).encode().replace(b'"1.10"', b"1.10")


UNESCAPED: Any = {"ensure_ascii": False}
COMPACT: Any = {"separators": (",", ":")}


@pytest.mark.parametrize(
    ("received", "cause", "said"),
    [
        (_json(**UNESCAPED), Cause.BODY_REWRITTEN, ["white space"]),
        (_json(**UNESCAPED, indent=2), Cause.BODY_REWRITTEN, ["white space"]),
        (_json(**UNESCAPED, indent=4), Cause.BODY_REWRITTEN, ["white space"]),
        (_json(**UNESCAPED, indent="\t"), Cause.BODY_REWRITTEN, ["white space"]),
        (_json(**COMPACT), Cause.BODY_REWRITTEN, ["escaped"]),
        (_json(), Cause.BODY_REWRITTEN, ["white space", "escaped"]),
        (_json(**UNESCAPED, **COMPACT).replace(b"/", b"\\/"), Cause.BODY_REWRITTEN, ["escaped"]),
        (_json(**COMPACT).replace(b"/", b"\\/"), Cause.BODY_REWRITTEN, ["escaped"]),
        (_json(**UNESCAPED, **COMPACT).replace(b"&", b"\\u0026"), Cause.BODY_REWRITTEN, ["escaped"]),
        (_with_nulls(), Cause.BODY_REWRITTEN, ["null"]),
        (SENT + b"\n", Cause.BODY_REWRITTEN, ["line end was added"]),
        (SENT + b"\r\n", Cause.BODY_REWRITTEN, ["line end was added"]),
        (b"\xef\xbb\xbf" + SENT, Cause.BODY_ENCODING, ["byte order mark"]),
        (b"\xef\xbb\xbf" + SENT + b"\n", Cause.BODY_ENCODING, ["byte order mark"]),
        (SENT.decode().encode("cp1252"), Cause.BODY_ENCODING, ["Latin-1"]),
        (SENT.decode().encode("utf-16"), Cause.BODY_ENCODING, ["UTF-16"]),
        (SENT.decode("cp1252").encode(), Cause.BODY_ENCODING, ["decoded as Latin-1"]),
        (gzip.compress(SENT), Cause.BODY_ENCODING, ["gzip"]),
        (base64.b64encode(SENT), Cause.BODY_ENCODING, ["base64"]),
        (json.dumps(SENT.decode()).encode(), Cause.BODY_REWRITTEN, ["JSON string"]),
        (repr(SENT).encode(), Cause.BODY_REWRITTEN, ["b'…'"]),
    ],
)
def test_what_happened_to_the_body_is_found(received: bytes, cause: Cause, said: list[str]) -> None:
    assert received != SENT
    diagnosis = judged(received)
    assert cause in causes(diagnosis)
    assert diagnosis.signed_body == SENT
    told = " ".join(finding.what for finding in diagnosis.findings)
    assert all(words in told for words in said), told
    absent = {"white space is", "escaped", "null", "order"} - {
        words for words in ("escaped", "null") if words in said
    }
    absent -= {"white space is"} if "white space" in said else set()
    absent -= {"order"} if "byte order mark" in said else set()
    assert not any(words in told for words in absent), told


def test_line_ends_changed_to_crlf_are_found() -> None:
    sent = SENT.replace(b",", b",\n")
    diagnosis = judged(sent.replace(b"\n", b"\r\n"), value=header(sent))
    assert causes(diagnosis) == [Cause.BODY_REWRITTEN]
    assert "CRLF" in diagnosis.findings[0].what


def test_a_line_end_cut_off_is_found() -> None:
    diagnosis = judged(SENT, value=header(SENT + b"\n"))
    assert causes(diagnosis) == [Cause.BODY_REWRITTEN]
    assert "cut off" in diagnosis.findings[0].what


def test_a_body_sent_spaced_and_compacted_is_found() -> None:
    sent = _json(**UNESCAPED)
    assert causes(judged(SENT, value=header(sent))) == [Cause.BODY_REWRITTEN]


def test_an_empty_body_is_told() -> None:
    assert causes(judged(b"")) == [Cause.BODY_EMPTY]


def test_a_body_cut_short_is_told() -> None:
    assert causes(judged(SENT[:-20])) == [Cause.BODY_CUT]


def test_a_changed_body_is_not_explained_away() -> None:
    diagnosis = judged(SENT.replace(b"100.50", b"900.50"))
    assert causes(diagnosis) == [Cause.UNKNOWN]
    assert diagnosis.signed_body is None


def test_two_mistakes_are_found_together() -> None:
    assert causes(judged(_json(), host="www.wallet.example.com")) == [Cause.HOST, Cause.BODY_REWRITTEN]
    both = judged(_json(), keys=[OTHER], others=[NamedKey(ACCOUNT)])
    assert causes(both) == [Cause.KEY, Cause.BODY_REWRITTEN]


def _bodies() -> list[tuple[str, bytes]]:
    found = []
    for sample in load_samples():
        event = decode(sample.value)
        target = client_target(event) if isinstance(event, Event) else None
        if isinstance(event, Event) and isinstance(target, PayloadSep) and (event.type, target) in BUILDERS:
            found.append((sample.name, BUILDERS[event.type, target](event, CONTEXT, GOLDEN_NOW)))
    return found


@pytest.mark.parametrize(("name", "body"), _bodies(), ids=[name for name, _ in _bodies()])
def test_every_body_that_is_sent_is_found_again_after_sorting(name: str, body: bytes) -> None:
    received = json.dumps(json.loads(body), sort_keys=True).encode()
    diagnosis = judged(received, value=header(body))
    assert causes(diagnosis) == [Cause.BODY_REWRITTEN]
    assert diagnosis.signed_body == body
    assert "another order" in diagnosis.findings[0].what


def test_there_are_bodies_of_every_sep_to_try() -> None:
    assert {name[:3] for name, _ in _bodies()} >= {"s6_", "s24", "s31", "cus"}


# --- whatever comes -------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.binary(max_size=60))
def test_no_body_raises(body: bytes) -> None:
    assert judged(body).findings


@settings(max_examples=40)
@given(st.text(max_size=80))
def test_no_header_raises(value: str) -> None:
    assert judged(value=value).findings


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'"\\ud800"',
        b'{"\\ud800":"\\udfff"}',
        b"b'" + b"(" * 5000,
    ],
)
def test_odd_bodies_do_not_raise(body: bytes) -> None:
    assert judged(body).findings


def test_a_body_that_fits_nothing_takes_a_bounded_time() -> None:
    large = json.dumps({"transaction": {f"m{n}": "Ü/&" * 20 for n in range(800)}}).encode()
    began = time.monotonic()
    diagnosis = judged(large, keys=[OTHER, Keypair.random().public_key], host="localhost")
    assert causes(diagnosis) == [Cause.UNKNOWN]
    assert diagnosis.tries <= 10_000
    assert time.monotonic() - began < 60


def test_a_large_body_takes_a_bounded_time_and_the_likely_is_still_found() -> None:
    large = b'{"a":"' + b"x" * 8_000_000 + b'"}'
    assert causes(judged(large, value=header(large), host="wallet.example.com:443")) == [Cause.HOST]
    unknown = judged(large, keys=[OTHER])
    assert causes(unknown) == [Cause.UNKNOWN]
    assert unknown.tries < 100


def test_variants_begin_with_the_body_itself_and_never_repeat() -> None:
    variants = body_variants(_json())
    assert variants[0].body == _json()
    assert variants[0].changes == ()
    assert len({variant.body for variant in variants}) == len(variants)
    assert [len(v.changes) for v in variants] == sorted(len(v.changes) for v in variants)
