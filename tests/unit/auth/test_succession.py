"""A key that is changed at a planned time: no attempt before has the new one, and none after the old."""

from __future__ import annotations

import base64

from stellar_sdk import Keypair

from eventproc.auth.api_key import ApiKeyAuth
from eventproc.auth.succession import Succession
from eventproc.destinations import build_destinations
from eventproc.signed_text import signed_bytes
from settings import load_settings
from tests.servers.anchor_env import TEST_SEED, anchor_env, noncustodial_client

AT = 1_796_119_200.0  # 2026-12-01T10:00:00Z


def test_the_time_decides_at_each_attempt() -> None:
    proof = Succession(ApiKeyAuth("old", "K"), ApiKeyAuth("new", "K"), AT)
    assert proof.headers(b"", AT - 0.001) == {"K": "old"}
    assert proof.headers(b"", AT) == {"K": "new"}
    assert proof.headers(b"", AT - 1) == {"K": "old"}, "a clock that is set back"


def test_the_key_that_is_named_is_the_one_in_use() -> None:
    old, new = ApiKeyAuth("old", "K"), ApiKeyAuth("new", "K")
    proof = Succession(old, new, AT)
    assert old.fingerprint(AT) != new.fingerprint(AT)
    assert proof.fingerprint(AT - 0.001) == old.fingerprint(AT)
    assert proof.fingerprint(AT) == new.fingerprint(AT)


def test_wallets_get_the_signature_of_the_key_whose_time_it_is() -> None:
    following = Keypair.random()
    client = noncustodial_client("w", "https://w.example", domains=["w.example"], seps=["sep24"])
    env = anchor_env("localhost:1", clients=[client]) | {
        "SECRET_SEP10_SIGNING_SEED_NEXT": following.secret,
        "SEP10_SIGNING_SEED_NEXT_AT": "2026-12-01T10:00:00Z",
    }
    (destination,) = build_destinations(load_settings(env=env)).values()
    for now, keypair in ((AT - 1, Keypair.from_secret(TEST_SEED)), (AT, following)):
        signature = destination.authenticator.headers(b"body", now)["Signature"].partition("s=")[2]
        keypair.verify(signed_bytes(int(now), "w.example", b"body"), base64.b64decode(signature))
    shown = repr(destination.authenticator)
    assert TEST_SEED not in shown
    assert following.secret not in shown
