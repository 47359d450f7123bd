from __future__ import annotations

import jwt
import pytest
from multidict import CIMultiDict

from eventproc.auth import ApiKeyAuth, JwtAuth, StellarSignature
from eventproc.cli.callback_judge import Judge, SharedSecret, Verdict
from eventproc.receiver.diagnose import NamedKey
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED

HOST = "wallet.example.com"
NOW = 1_795_515_897.0
BODY = b'{"id":"1"}'
SECRET = b"a secret for signing jwts"
KEYS = [NamedKey(TEST_PUBLIC_KEY)]
JWT = SharedSecret("jwt", "Authorization", SECRET)
API_KEY = SharedSecret("api_key", "X-Api-Key", SECRET)


def judged(judge: Judge, headers: dict[str, str], body: bytes = BODY) -> Verdict:
    return judge.judge(CIMultiDict(headers), body, NOW)


def test_a_signature_is_checked_for_the_host_given_or_the_requests() -> None:
    headers = StellarSignature(TEST_SEED, HOST).headers(BODY, NOW)
    assert judged(Judge(KEYS, host=HOST), headers).is_right is True
    assert judged(Judge(KEYS), {**headers, "Host": HOST}).is_right is True
    elsewhere = judged(Judge(KEYS, host="other.example.com"), headers)
    assert (elsewhere.checked_by, elsewhere.is_right) == ("signature", False)
    wrong_host = judged(Judge(KEYS, host=f"{HOST}:8080"), headers)
    assert wrong_host.causes == ("host",)
    assert any(line.startswith("host: you asked to check for the host") for line in wrong_host.lines)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Forwarded-Host", "tunnel.example"),
        ("Forwarded", "for=192.0.2.1;host=tunnel.example"),
        ("X-Forwarded-Host", "a.example, tunnel.example"),
    ],
)
def test_a_tunnels_name_is_found_where_the_request_carries_it(header: str, value: str) -> None:
    signed = StellarSignature(TEST_SEED, "tunnel.example").headers(BODY, NOW)
    headers = {**signed, "Host": "localhost:8080", header: value}
    assert judged(Judge(KEYS), headers).is_right is True
    verdict = judged(Judge(KEYS, host=HOST), headers)
    assert verdict.causes == ("host",)
    assert verdict.lines[0] == (
        f"host: you asked to check for the host '{HOST}'; it was signed for 'tunnel.example', "
        f"which the request names in {header}"
    )


def test_the_deprecated_header_counts_where_it_is_alone() -> None:
    signature = StellarSignature(TEST_SEED, HOST).headers(BODY, NOW)["Signature"]
    assert judged(Judge(KEYS, host=HOST), {"X-Stellar-Signature": signature}).is_right is True


def test_without_anything_to_check_with_nothing_is_claimed() -> None:
    headers = StellarSignature(TEST_SEED, HOST).headers(BODY, NOW)
    for judge in (Judge(), Judge(secret=JWT)):
        verdict = judged(judge, headers)
        assert (verdict.checked_by, verdict.is_right) == ("nothing", None)
        assert "--key" in verdict.lines[0]
    assert judged(Judge(), {}).is_right is None


def test_a_request_without_any_proof_is_wrong() -> None:
    assert judged(Judge(KEYS), {}).causes == ("missing_header",)
    assert judged(Judge(secret=JWT), {}).causes == ("missing_header",)
    assert judged(Judge(secret=API_KEY), {}).causes == ("missing_header",)


def test_the_anchors_tokens_and_keys_are_right() -> None:
    token = JwtAuth(SECRET, 30_000, "Authorization").headers(BODY, NOW)
    verdict = judged(Judge(KEYS, secret=JWT), token)
    assert (verdict.checked_by, verdict.is_right) == ("jwt", True)
    key = ApiKeyAuth(SECRET.decode(), "X-Api-Key").headers(BODY, NOW)
    verdict = judged(Judge(secret=API_KEY), key)
    assert (verdict.checked_by, verdict.is_right) == ("api_key", True)


@pytest.mark.parametrize(
    ("claims", "secret", "cause"),
    [
        ({"iat": NOW - 60, "exp": NOW - 30}, SECRET, "too_old"),
        ({"iat": NOW + 100, "exp": NOW + 130}, SECRET, "in_the_future"),
        ({"iat": NOW, "exp": NOW + 30}, b"another secret of thirty-two byte", "key"),
        ({"exp": NOW + 30}, SECRET, "malformed_header"),
        ({"iat": NOW}, SECRET, "malformed_header"),
    ],
)
def test_a_wrong_token_says_what_is_wrong(claims: dict[str, float], secret: bytes, cause: str) -> None:
    token = jwt.encode({k: int(v) for k, v in claims.items()}, secret.ljust(32, b"\0"), algorithm="HS256")
    verdict = judged(Judge(secret=JWT), {"Authorization": f"Bearer {token}"})
    assert verdict.causes == (cause,)
    assert verdict.is_right is False


@pytest.mark.parametrize(
    "value", ["", "Basic x", "Bearer", "Bearer x", "Bearer a.b.c", "Bearer ü", "bearer\x00"]
)
def test_what_is_no_token_says_so(value: str) -> None:
    assert judged(Judge(secret=JWT), {"Authorization": value}).causes == ("malformed_header",)


def test_a_wrong_api_key_is_wrong_and_no_secret_is_shown() -> None:
    for value in ("x", "ü\udce4", SECRET.decode() + "x"):
        verdict = judged(Judge(secret=API_KEY), {"X-Api-Key": value})
        assert verdict.causes == ("key",)
        assert SECRET.decode() not in repr(verdict)
    assert SECRET.decode() not in repr(Judge(secret=API_KEY))
