"""JWT, API key and no authentication at all, and the table they stand in."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from eventproc import auth
from eventproc.auth import AUTH_TYPES, ApiKeyAuth, Authenticator, JwtAuth, NoAuth
from eventproc.auth.jwt import Hs256
from eventproc.errors import ConfigurationError
from eventproc.payloads import MoreInfoUrl

GUIDE_SECRET = b"a secret for signing jwts"
NOW = 1_795_515_897.5


def claims(headers: dict[str, str], secret: bytes = GUIDE_SECRET) -> dict[str, Any]:
    token = headers["Authorization"].removeprefix("Bearer ")
    return jwt.decode(
        token,
        secret.ljust(32, b"\0"),
        algorithms=["HS256"],
        options={"verify_exp": False, "verify_iat": False},
    )


def jwt_auth(expiration_ms: int = 30_000, secret: bytes = GUIDE_SECRET) -> JwtAuth:
    return JwtAuth(secret, expiration_ms, "Authorization")


def test_jwt_has_the_two_claims_of_the_guide() -> None:
    issued = int(NOW)
    assert claims(jwt_auth().headers(b"{}", NOW)) == {"iat": issued, "exp": issued + 30}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("secret", [b"x", GUIDE_SECRET, b"y" * 32, b"z" * 100, "ключ".encode()])
def test_jwt_of_any_secret_is_what_others_compute_with_it(secret: bytes) -> None:
    token = Hs256(secret).encode({"iat": 1, "é": "ü"})
    assert token.partition(".")[0] == jwt.encode({}, secret, algorithm="HS256").partition(".")[0]
    assert jwt.decode(token, secret, algorithms=["HS256"]) == {"iat": 1, "é": "ü"}


def test_short_secret_makes_no_noise(recwarn: pytest.WarningsRecorder) -> None:
    Hs256(GUIDE_SECRET).encode({"iat": 1})
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    "secret", [b"ssh-rsa AAAAB3NzaC1yc2E", b"-----BEGIN PUBLIC KEY-----\nMFk=\n-----END PUBLIC KEY-----"]
)
def test_secret_that_is_a_public_key_is_refused_at_once(secret: bytes) -> None:
    for make in (
        lambda: JwtAuth(secret, 30_000, "Authorization"),
        lambda: MoreInfoUrl("https://a.example", secret, 600),
    ):
        with pytest.raises(ConfigurationError) as refused:
            make()
        assert "AAAAB3" not in str(refused.value)
        assert "MFk" not in str(refused.value)


def test_jwt_is_reused_while_half_of_its_life_remains() -> None:
    authenticator = jwt_auth(30_000)
    start = float(int(NOW))
    first = authenticator.headers(b"{}", start)
    assert authenticator.headers(b"other", start + 15) == first
    assert claims(authenticator.headers(b"{}", start + 15.1))["exp"] == start + 45


def test_retry_never_sends_an_expired_jwt() -> None:
    authenticator = jwt_auth(5_000)
    for later in range(0, 3_600, 3):
        decoded = claims(authenticator.headers(b"{}", NOW + later))
        assert decoded["exp"] - (NOW + later) >= 2


def test_jwt_is_made_anew_when_the_clock_was_set_back() -> None:
    authenticator = jwt_auth()
    authenticator.headers(b"{}", NOW)
    assert claims(authenticator.headers(b"{}", NOW - 3_600))["iat"] == int(NOW - 3_600)


def test_jwt_is_made_again_when_the_clock_was_set_back_by_less_than_a_second() -> None:
    proof = jwt_auth()
    proof.headers(b"", NOW)
    assert claims(proof.headers(b"", NOW - 0.75))["iat"] == int(NOW - 0.75)


def test_jwt_of_an_hour_expires_after_an_hour() -> None:
    made = claims(jwt_auth(expiration_ms=3_600_000).headers(b"", NOW))
    assert made["exp"] - made["iat"] == 3600


def test_jwt_goes_into_the_configured_header() -> None:
    assert list(JwtAuth(GUIDE_SECRET, 5_000, "X-Token").headers(b"", NOW)) == ["X-Token"]


def test_api_key_goes_into_the_configured_header() -> None:
    assert ApiKeyAuth("k-1", "X-My-Key").headers(b"{}", NOW) == {"X-My-Key": "k-1"}


def test_no_auth_adds_nothing() -> None:
    assert NoAuth().headers(b"{}", NOW) == {}


@pytest.mark.parametrize("authenticator", [ApiKeyAuth("s3cret", "X"), JwtAuth(b"s3cret", 5_000, "X")])
def test_secrets_are_never_shown(authenticator: Authenticator) -> None:
    assert "s3cret" not in repr(authenticator)


def test_table_and_public_names_are_pinned() -> None:
    assert list(AUTH_TYPES) == ["none", "jwt", "api_key", "stellar_signature"]
    assert auth.__all__ == [
        "AUTH_TYPES",
        "ApiKeyAuth",
        "Authenticator",
        "JwtAuth",
        "NoAuth",
        "StellarSignature",
    ]
