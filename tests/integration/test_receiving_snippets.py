"""The code of docs/receiving.md, run as it stands there, on callbacks signed here: right ones and wrong ones."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from stellar_sdk import Keypair

from eventproc.auth import StellarSignature
from eventproc.receiver import CallbackError, CallbackVerifier
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED
from tests.servers.process import ChildProcess

CHECKOUT = Path(__file__).resolve().parents[2]
RECEIVING = CHECKOUT / "docs" / "receiving.md"
HOST = "wallet.example.com:8443"
NOW = 1_795_515_897.0
BODY = '{"transaction":{"id":"1","amount_in":"1.10","message":"5 € für Müller"}}'.encode()
OTHER: str = Keypair.random().public_key
SECONDS = 120


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", RECEIVING.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def block(language: str, mark: str) -> str:
    (found,) = [code for code in blocks(language) if mark in code]
    return found


def python(mark: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(block("python", mark), str(RECEIVING), "exec"), namespace)
    return namespace


@dataclass(frozen=True)
class Vector:
    """One callback as a receiver sees it, and what the verdict must be (None: taken)."""

    name: str
    why: str | None
    signature: str | None
    body: bytes = BODY
    host: str = HOST
    account: str = TEST_PUBLIC_KEY


def sign(now: float = NOW, body: bytes = BODY, host: str = HOST) -> str:
    return StellarSignature(TEST_SEED, host).headers(body, now)["Signature"]


VECTORS = [
    Vector("right", None, sign()),
    Vector("right, 60 s old", None, sign(NOW - 60)),
    Vector("right, empty body", None, sign(body=b""), b""),
    Vector("right, bytes that are no UTF-8", None, sign(body=b"\xff\x00\xfe"), b"\xff\x00\xfe"),
    Vector("right, without the space", None, sign().replace(", ", ",")),
    Vector("tampered body", "wrong_signature", sign(), BODY.replace(b"1.10", b"9.10")),
    Vector("re-serialised body", "wrong_signature", sign(), json.dumps(json.loads(BODY)).encode()),
    Vector("line end added", "wrong_signature", sign(), BODY + b"\n"),
    Vector("old timestamp", "too_old", sign(NOW - 61)),
    Vector("timestamp ahead", "in_the_future", sign(NOW + 61)),
    Vector(
        "timestamp exchanged", "wrong_signature", sign(NOW - 300).replace(str(int(NOW - 300)), str(int(NOW)))
    ),
    Vector("wrong host", "wrong_signature", sign(), host="evil.example.com"),
    Vector("wrong key", "wrong_signature", sign(), account=OTHER),
    Vector("no header", "missing_header", None),
    Vector("no form", "malformed_header", "nonsense"),
    Vector("cut short", "malformed_header", sign()[:-3]),
]


def test_the_vectors_mean_what_the_kit_says() -> None:
    for vector in VECTORS:
        verifier = CallbackVerifier(vector.account, vector.host, clock=lambda: NOW)
        headers = {} if vector.signature is None else {"Signature": vector.signature}
        try:
            verifier.verify(headers, vector.body)
            why = None
        except CallbackError as error:
            why = error.reason.value
        assert why == vector.why, vector.name


def test_the_vector_shown_is_right_and_of_the_length_said() -> None:
    shown = json.loads(block("json", '"signature": "t='))
    body = shown["body"].encode()
    verifier = CallbackVerifier(shown["account"], shown["host"], clock=lambda: shown["now"])
    assert verifier.verify({"Signature": shown["signature"]}, body).payload_bytes == body
    assert f"The body has {len(body)} bytes" in RECEIVING.read_text("utf-8")


# --- Python ---------------------------------------------------------------------------------------------------------


def test_the_kit_s_snippet_takes_an_event_once_and_only_when_it_is_stored() -> None:
    receive = python("SeenEvents")["make_receiver"](TEST_PUBLIC_KEY, HOST)
    headers = {"Signature": sign(time.time()), "X-Event-Id": "e1"}
    stored: list[bytes] = []

    def fail(_body: bytes) -> None:
        raise OSError

    with pytest.raises(OSError):
        receive(headers, BODY, fail)
    assert receive(headers, BODY, stored.append) is True
    assert receive(headers, BODY, stored.append) is False
    assert stored == [BODY]
    with pytest.raises(CallbackError):
        receive(headers, BODY + b"\n", stored.append)


def test_the_check_by_hand_works() -> None:
    check = python("is_from_anchor")["is_from_anchor"]
    now = time.time()
    good = sign(now)
    assert check(good, HOST, BODY, TEST_PUBLIC_KEY) is True
    forged = f"t={int(now)}, s={base64.b64encode(bytes(64)).decode()}"
    assert check(sign(now - 600), HOST, BODY, TEST_PUBLIC_KEY) is False
    assert check(sign(now + 600), HOST, BODY, TEST_PUBLIC_KEY) is False
    assert check("nonsense", HOST, BODY, TEST_PUBLIC_KEY) is False
    assert check(good, "wallet.example.com", BODY, TEST_PUBLIC_KEY) is False
    assert check(good, HOST, BODY + b"\n", TEST_PUBLIC_KEY) is False
    assert check(good, HOST, BODY, OTHER) is False
    assert check(forged, HOST, BODY, TEST_PUBLIC_KEY) is False


def test_the_kit_can_be_copied_as_the_document_says(tmp_path: Path) -> None:
    text = RECEIVING.read_text("utf-8")
    files = [
        CHECKOUT / name for name in ("eventproc/signed_text.py", "eventproc/strkey.py", "eventproc/errors.py")
    ]
    assert all(f"`{file.relative_to(CHECKOUT)}`" in text for file in files)
    package = tmp_path / "eventproc"
    shutil.copytree(CHECKOUT / "eventproc" / "receiver", package / "receiver")
    (package / "__init__.py").touch()
    for file in files:
        shutil.copy(file, package)
    code = "import eventproc.receiver as r, eventproc.receiver.diagnose; print(r.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))


# --- JavaScript -----------------------------------------------------------------------------------------------------

NODE_DRIVER = """
const { publicKey, whyRefused } = require('./verify-callback.js')
const input = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
console.log(JSON.stringify(input.map(one => {
  const headers = one.signature === null ? {} : { [one.name]: one.signature }
  return whyRefused(headers, Buffer.from(one.body, 'base64'), one.host, publicKey(one.account), 60, one.now)
})))
"""


def program(name: str) -> str:
    """The path of a program; where it is missing the test skips, in CI it fails."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not on the PATH, and CI must not skip this", pytrace=False)
        pytest.skip(f"{name} is not on the PATH")
    return found


def run(command: list[str], cwd: Path, stdin: str = "") -> str:
    done = subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def node_directory(tmp_path: Path) -> Path:
    (tmp_path / "verify-callback.js").write_text(block("js", "function whyRefused"), "utf-8")
    return tmp_path


def _as_objects(name: str = "signature") -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "signature": vector.signature,
            "body": base64.b64encode(vector.body).decode(),
            "host": vector.host,
            "account": vector.account,
            "now": NOW,
        }
        for vector in VECTORS
    ]


@pytest.mark.parametrize("name", ["signature", "x-stellar-signature"])
def test_node_judges_every_callback_as_the_kit_does(node_directory: Path, name: str) -> None:
    printed = run([program("node"), "-e", NODE_DRIVER], node_directory, json.dumps(_as_objects(name)))
    verdicts = json.loads(printed)
    assert dict(zip([v.name for v in VECTORS], verdicts, strict=True)) == {v.name: v.why for v in VECTORS}


@pytest.mark.parametrize("account", [TEST_PUBLIC_KEY[:-1] + "A", TEST_SEED, "", TEST_PUBLIC_KEY.lower()])
def test_node_refuses_a_key_that_is_none(node_directory: Path, account: str) -> None:
    assert account != TEST_PUBLIC_KEY
    code = f"try {{ require('./verify-callback.js').publicKey({account!r}) }} catch (error) {{ console.log(error.message) }}"
    message = run([program("node"), "-e", code], node_directory)
    assert "the signing key" in message
    assert account == "" or account not in message


def test_node_refuses_a_body_that_was_parsed(node_directory: Path) -> None:
    code = "try { require('./verify-callback.js').whyRefused({}, '{}', 'h', null) } catch (e) { console.log(e.name) }"
    assert run([program("node"), "-e", code], node_directory) == "TypeError\n"


@pytest.fixture
def node_receiver(node_directory: Path) -> Iterator[str]:
    (node_directory / "server.js").write_text(block("js", "http.createServer"), "utf-8")
    env = {
        "PATH": os.environ["PATH"],
        "ANCHOR_SIGNING_KEY": TEST_PUBLIC_KEY,
        "CALLBACK_HOST": HOST,
        "PORT": "0",
    }
    process = ChildProcess(
        [program("node"), "server.js"], log_file=node_directory / "log", cwd=node_directory, env=env
    )
    process.start()
    try:
        deadline = time.monotonic() + 60
        while (found := re.search(r"listening on (\d+)", process.log_text())) is None:
            assert process.is_running, process.log_tail()
            assert time.monotonic() < deadline, process.log_tail()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{found[1]}/"
    finally:
        process.stop()


def test_the_node_receiver_takes_and_refuses_over_http(node_receiver: str, node_directory: Path) -> None:
    def post(body: bytes) -> int:
        headers = {"Signature": sign(time.time()), "X-Event-Id": "e1"}
        request = urllib.request.Request(node_receiver, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert [post(BODY), post(BODY), post(BODY + b" ")] == [204, 204, 401]
    assert (node_directory / "log").read_text("utf-8").count("5 € für Müller") == 1


# --- Java -----------------------------------------------------------------------------------------------------------

JAVA_DRIVER = """
import java.time.Instant;
import java.util.Base64;
import java.util.Scanner;

public final class Driver {
    public static void main(String[] arguments) throws Exception {
        Scanner lines = new Scanner(System.in, "UTF-8").useDelimiter("[\\\\t\\\\n]");
        while (lines.hasNext()) {
            String account = lines.next(), host = lines.next(), header = lines.next(), body = lines.next();
            System.out.println(VerifyCallback.whyRefused(
                    header.equals("-") ? null : header, Base64.getDecoder().decode(body), host,
                    VerifyCallback.publicKey(account), Instant.ofEpochSecond(Long.parseLong(arguments[0])), 60));
        }
    }
}
"""


@pytest.fixture
def java_directory(tmp_path: Path) -> Path:
    (tmp_path / "VerifyCallback.java").write_text(block("java", "class VerifyCallback"), "utf-8")
    return tmp_path


def test_java_judges_every_callback_as_the_kit_does(java_directory: Path) -> None:
    (java_directory / "Driver.java").write_text(JAVA_DRIVER, "utf-8")
    run([program("javac"), "-encoding", "UTF-8", "VerifyCallback.java", "Driver.java"], java_directory)
    lines = [
        f"{v.account}\t{v.host}\t{v.signature or '-'}\t{base64.b64encode(v.body).decode()}\n" for v in VECTORS
    ]
    printed = run([program("java"), "-cp", ".", "Driver", str(int(NOW))], java_directory, "".join(lines))
    verdicts = [None if line == "null" else line for line in printed.splitlines()]
    assert dict(zip([v.name for v in VECTORS], verdicts, strict=True)) == {v.name: v.why for v in VECTORS}


def test_java_runs_from_its_one_file_as_the_document_says(java_directory: Path) -> None:
    def try_it(account: str, body: bytes) -> tuple[int, str]:
        command = [program("java"), "VerifyCallback.java", account, HOST, sign(time.time())]
        done = subprocess.run(
            command, cwd=java_directory, input=body, capture_output=True, timeout=SECONDS, check=False
        )
        return done.returncode, done.stdout.decode() + done.stderr.decode()

    assert try_it(TEST_PUBLIC_KEY, BODY) == (0, "verified\n")
    assert try_it(TEST_PUBLIC_KEY, BODY + b"\n") == (1, "wrong_signature\n")
    code, message = try_it(TEST_PUBLIC_KEY[:-1] + "A", BODY)
    assert code == 1
    assert "the signing key has a wrong letter" in message


# --- the business server --------------------------------------------------------------------------------------------

SECRET = "a secret for signing jwts"


def _tokens() -> list[tuple[str, bool]]:
    now, key = int(time.time()), SECRET.encode().ljust(32, b"\0")

    def bearer(claims: dict[str, int], with_key: bytes = key, algorithm: str = "HS256") -> str:
        return f"Bearer {jwt.encode(claims, with_key, algorithm=algorithm)}"

    head, claims, signature = bearer({"exp": now + 300}).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    return [
        (bearer({"iat": now, "exp": now + 300}), True),
        (bearer({"iat": now - 60, "exp": now - 30}), False),
        (bearer({"iat": now}), False),
        (bearer({"exp": now + 300}, b"another secret of thirty-two byte"), False),
        (bearer({"exp": now + 300}, key.ljust(64, b"\0"), "HS512"), False),
        (bearer({"exp": now + 300}).replace("Bearer", "Basic"), False),
        (f"Bearer {none}.{claims}.", False),
        (f"{head}.{claims}.{signature[:-6]}AAAAAA", False),
        ("", False),
    ]


def test_the_token_check_in_python_works() -> None:
    check = python("is_from_our_anchor")["is_from_our_anchor"]
    assert [check(token, SECRET) for token, _ in _tokens()] == [right for _, right in _tokens()]


def test_the_token_check_in_node_works(tmp_path: Path) -> None:
    (tmp_path / "check.js").write_text(block("js", "isFromOurAnchor"), "utf-8")
    code = (
        "const { isFromOurAnchor } = require('./check.js'); "
        "const given = JSON.parse(require('node:fs').readFileSync(0, 'utf8')); "
        "console.log(JSON.stringify(given.tokens.map(token => isFromOurAnchor(token, given.secret))))"
    )
    tokens = _tokens()
    printed = run(
        [program("node"), "-e", code],
        tmp_path,
        json.dumps({"tokens": [t for t, _ in tokens], "secret": SECRET}),
    )
    assert json.loads(printed) == [right for _, right in tokens]
