from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from stellar_sdk import Keypair

from eventproc.auth.stellar_signature import StellarSignature
from eventproc.cli.main import main
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED
from tests.servers.certificates import Authority
from tests.servers.static_site import static_site

HOST = "wallet.example.com"
NOW = 1_795_515_897
BODY = '{"transaction":{"id":"1","message":"für"}}'.encode()
OTHER: str = Keypair.random().public_key
SIGNATURE = StellarSignature(TEST_SEED, HOST).headers(BODY, NOW)["Signature"]
TOML = f'SIGNING_KEY="{TEST_PUBLIC_KEY}"\nACCOUNTS=["{OTHER}"]\n'


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("body").write_bytes(BODY)


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["verify", *arguments], input=stdin, catch_exceptions=False)


def usual(
    *more: str, key: str = TEST_PUBLIC_KEY, at: str = str(NOW + 3), stdin: bytes | None = None
) -> Result:
    given = ("--header", SIGNATURE, "--body-file", "body", "--host", HOST, "--key", key, "--at", at)
    return run(*given, *more, stdin=stdin)


def test_a_right_callback_exits_with_0_and_says_what_was_signed() -> None:
    result = usual()
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "valid",
        f"signed by {TEST_PUBLIC_KEY} for {HOST} at 2026-11-24T10:24:57.000Z",
    ]


@pytest.mark.parametrize(
    "at", ["2026-11-24T10:25:00Z", "2026-11-24T10:25:00", "1795515900", "1795515900000", "1795515900.5"]
)
def test_a_time_may_be_written_in_several_ways(at: str) -> None:
    assert usual(at=at).exit_code == 0


def test_now_is_the_time_when_none_is_given() -> None:
    old = StellarSignature(TEST_SEED, HOST).headers(BODY, 1_000_000_000)["Signature"]
    given = ("--header", old, "--body-file", "body", "--host", HOST, "--key", TEST_PUBLIC_KEY)
    result = run(*given)
    assert result.exit_code == 1
    assert "too_old: signed" in result.stdout
    assert run(*given, "--tolerance", "1e12").exit_code == 0


def test_what_is_wrong_is_printed_with_the_way_out_and_where_the_bodies_part() -> None:
    Path("body").write_text(json.dumps(json.loads(BODY)), "utf-8")
    result = usual("--host", "www." + HOST)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "NOT VALID"
    assert lines[1] == f"host: you asked to check for the host 'www.{HOST}'; it was signed for '{HOST}'"
    assert lines[2].startswith("  verify with the host of the callback URL")
    assert lines[3].startswith("body_rewritten: the body is not as it was sent: other characters are escaped")
    assert lines[5] == "  51 bytes where 43 were signed; they part at byte 15:"
    assert lines[6].startswith('    given   {"transaction": {"id"')
    assert lines[7].startswith('    signed  {"transaction":{"id":"1"')


def test_the_requests_own_names_are_tried() -> None:
    signed = StellarSignature(TEST_SEED, "tunnel.example").headers(BODY, NOW)["Signature"]
    Path("head").write_text(
        f"POST /cb HTTP/1.1\nHost: localhost:8080\nX-Forwarded-Host: tunnel.example\nSignature: {signed}\n"
    )
    given = ("--header-file", "head", "--body-file", "body", "--key", TEST_PUBLIC_KEY, "--at", str(NOW))
    told = run(*given, "--host", HOST)
    assert told.stdout.splitlines()[1] == (
        f"host: you asked to check for the host '{HOST}'; it was signed for 'tunnel.example', "
        "which the request names in X-Forwarded-Host"
    )
    assert "you asked to check for the host 'localhost:8080'; it was signed for" in run(*given).stdout
    Path("head").write_text(f"Host: tunnel.example\nSignature: {signed}\n")
    assert run(*given).exit_code == 0


def test_json_has_the_same() -> None:
    found = json.loads(usual("--json", "--host", f"{HOST}:443").stdout)
    assert found["valid"] is False
    assert [finding["cause"] for finding in found["findings"]] == ["host"]
    assert set(found["findings"][0]) == {"cause", "what", "way_out"}
    assert found["signed_host"] == HOST
    assert found["signing_key"] == TEST_PUBLIC_KEY
    assert found["signed_at"] == "2026-11-24T10:24:57.000Z"
    assert found["age_seconds"] == 3.0
    assert json.loads(usual("--json").stdout)["valid"] is True


def test_the_body_may_come_through_a_pipe() -> None:
    given = ("--header", SIGNATURE, "--host", HOST, "--key", TEST_PUBLIC_KEY, "--at", str(NOW))
    assert run(*given, "--body-file", "-", stdin=BODY).exit_code == 0


def test_the_host_may_come_from_the_callback_url() -> None:
    given = ("--header", SIGNATURE, "--body-file", "body", "--key", TEST_PUBLIC_KEY, "--at", str(NOW))
    assert run(*given, "--url", f"https://{HOST}/cb").exit_code == 0
    wrong = run(*given, "--url", f"https://{HOST}:8443/cb")
    assert wrong.exit_code == 1
    assert f"you asked to check for the host '{HOST}:8443'; it was signed for '{HOST}'" in wrong.stdout


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (SIGNATURE, 0),
        (f"Signature: {SIGNATURE}\n", 0),
        (f"POST /cb HTTP/1.1\nHost: x\nsignature: {SIGNATURE}\nX-Event-Id: 1\n", 0),
        (f"X-Stellar-Signature: {SIGNATURE}\r\nHost: x\r\n", 0),
        ("Host: x\nX-Event-Id: 1\n", 1),
    ],
)
def test_the_header_may_stand_in_a_file(content: str, code: int) -> None:
    Path("headers").write_text(content, "utf-8")
    given = ("--body-file", "body", "--host", HOST, "--key", TEST_PUBLIC_KEY, "--at", str(NOW))
    result = run("--header-file", "headers", *given)
    assert result.exit_code == code, result.output
    assert ("missing_header" in result.stdout) is bool(code)


def test_a_header_with_its_name_is_understood() -> None:
    given = ("--body-file", "body", "--host", HOST, "--key", TEST_PUBLIC_KEY, "--at", str(NOW))
    assert run("--header", f"signature: {SIGNATURE}", *given).exit_code == 0


def test_a_stellar_toml_gives_the_right_key_and_suspects() -> None:
    Path("stellar.toml").write_text(TOML, "utf-8")
    given = ("--header", SIGNATURE, "--body-file", "body", "--host", HOST, "--at", str(NOW))
    assert run(*given, "--stellar-toml", "stellar.toml").exit_code == 0
    wrong = run(*given, "--stellar-toml", "stellar.toml", "--key", OTHER)
    assert wrong.exit_code == 1
    assert (
        f"key: signed by {TEST_PUBLIC_KEY} (SIGNING_KEY of stellar.toml), you verify with {OTHER}"
        in wrong.stdout
    )
    Path("stellar.toml").write_text(f'SIGNING_KEY="{OTHER}"\nACCOUNTS=["{TEST_PUBLIC_KEY}"]\n', "utf-8")
    assert f"signed by {TEST_PUBLIC_KEY} (ACCOUNTS of" in run(*given, "--stellar-toml", "stellar.toml").stdout


def test_a_stellar_toml_is_fetched_over_tls(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    with static_site({"/.well-known/stellar.toml": TOML.encode()}, authority.server()) as port:
        url = f"https://localhost:{port}/.well-known/stellar.toml"
        given = (
            "--header",
            SIGNATURE,
            "--body-file",
            "body",
            "--host",
            HOST,
            "--at",
            str(NOW),
            "--stellar-toml",
        )
        assert run(*given, url, "--ca-certificate", str(authority.path)).exit_code == 0
        untrusted = run(*given, url)
        assert untrusted.exit_code == 2
        assert "CERTIFICATE_VERIFY_FAILED" in untrusted.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--body-file", "body", "--host", HOST, "--key", TEST_PUBLIC_KEY), "--header or --header-file"),
        (("--header", "x", "--body-file", "body", "--key", TEST_PUBLIC_KEY), "--host"),
        (("--header", "x", "--body-file", "body", "--host", HOST), "--key or --stellar-toml"),
        (("--header", "x", "--host", HOST, "--key", TEST_PUBLIC_KEY), "--body-file"),
        (("--header", "x", "--body-file", "nowhere", "--host", HOST, "--key", TEST_PUBLIC_KEY), "nowhere"),
        (
            ("--header", "x", "--body-file", "body", "--url", "wallet", "--key", TEST_PUBLIC_KEY),
            "has no host",
        ),
        (("--header", "x", "--body-file", "body", "--host", HOST, "--key", "GABC"), "copy the key again"),
        (("--header", "x", "--body-file", "body", "--host", HOST, "--stellar-toml", "nowhere"), "nowhere"),
        (("--header-file", "-", "--body-file", "-", "--host", HOST, "--key", TEST_PUBLIC_KEY), "the same"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments, stdin=b"")
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_wrong_time_exits_with_2() -> None:
    assert usual(at="yesterday").exit_code == 2


def test_a_seed_is_refused_and_not_shown() -> None:
    result = usual(key=TEST_SEED)
    assert result.exit_code == 2
    assert TEST_SEED not in result.output
    assert "secret seed" in result.stderr


def test_nothing_of_the_body_moves_the_terminal() -> None:
    Path("body").write_bytes(b'{"a":"\x1b[2J"} ' + BODY)
    result = usual()
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout


def test_help_is_pinned() -> None:
    text = run("--help").output
    for option in (
        *("--header ", "--header-file", "--body-file", "--host", "--url", "--key", "--stellar-toml"),
        *("--ca-certificate", "--at", "--tolerance", "--json"),
    ):
        assert option in text
    for line in ("0  the callback is right", "1  it is not", "2  wrong usage"):
        assert line in text
