"""No secret in anything that a run writes: logs at debug level, pages, topics, commands' output, process list.

Every secret has a value that is nowhere else, and is looked for as it is and in the usual encodings; so is
what was made of them and sent (signatures, tokens). Errors are provoked where secrets are at hand.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import html
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from stellar_sdk import Keypair

from agents.pages import FAUST_PAGES, PAGES
from settings import load_settings
from settings.keys import all_keys
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.command import command, environment
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record, list_topics
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.receiver import Receiver
from tests.servers.replies import Answer, Garbage, Reply
from tests.servers.request_record import RequestRecord
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess

SECRETS = {
    key.variable: f"leak-{number:02}-{key.variable.lower().replace('_', '/')}+is~not=for&you"
    for number, key in enumerate(key for key in all_keys().values() if key.is_secret)
}
SECRETS["SECRET_SEP10_SIGNING_SEED"] = Keypair.from_raw_ed25519_seed(
    b"leak-signing-seed-of-32-bytes-ok"
).secret
SECRETS["SECRET_SEP10_SIGNING_SEED_NEXT"] = Keypair.from_raw_ed25519_seed(b"l" * 32).secret
RAW_KEYS = [b"leak-signing-seed-of-32-bytes-ok", b"l" * 32]
CRASH = '''"""The worker with an error where secrets are at hand: while an event is signed, and while a body is built."""
from eventproc.auth.api_key import ApiKeyAuth
from eventproc.auth.stellar_signature import StellarSignature

def failing(original):
    def headers(self, body, now):
        made = original(self, body, now)
        if b"crash" in body:
            raise RuntimeError(f"cannot sign with {self!r}")
        return made
    return headers

ApiKeyAuth.headers = failing(ApiKeyAuth.headers)
StellarSignature.headers = failing(StellarSignature.headers)
from eventproc.app import app  # noqa: E402
'''


def forms(secret: bytes) -> set[bytes]:
    """A secret as it may be written down; of base64 also what is common when it stands within something."""
    text = secret.decode("latin-1")
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), quote(secret, safe="").encode()}
    found |= {html.escape(text).encode(), json.dumps(text)[1:-1].encode(), repr(text)[1:-1].encode()}
    for before in range(3):
        encoded = base64.b64encode(b"x" * before + secret)[4:-4]
        found |= {encoded, encoded.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def leaks(written: Mapping[str, bytes], secrets: Iterable[bytes]) -> list[str]:
    """Where which secret stands."""
    wanted = [(secret, form) for secret in secrets for form in forms(secret)]
    return [
        f"{secret!r} as {form!r} in {name}: …{text[max(0, at - 80) : at + 80]!r}…"
        for name, text in written.items()
        for secret, form in wanted
        if (at := text.find(form)) >= 0
    ]


def test_what_looks_for_leaks_finds_them() -> None:
    secret = b"a-secret/of&some+length"
    for form in forms(secret):
        assert leaks({"log": b"before " + form + b" after"}, [secret])
    assert leaks({"log": base64.b64encode(b"12" + secret + b"345")}, [secret])
    assert leaks({"log": b"nothing"}, [secret]) == []


def echo(record: RequestRecord, number: int) -> Reply:
    """A receiver in debug mode: everything it got, in the answer; refused for good, so that it is kept."""
    got = f"{record.method} {record.path} {dict(record.headers)}\n".encode()
    if b"malformed" in record.body:
        sent = record.headers.get("X-Api-Key") or record.headers.get("Signature", "")
        return Garbage(b"HTTP/1.1 500 X\r\nBad Header " + sent.encode() + b"\r\n\r\n")
    return Answer(
        400 if number % 2 else 500, body=got + json.dumps(dict(record.headers)).encode() + record.body
    )


def events() -> list[dict[str, Any]]:
    made = []
    for number, what in enumerate(["plain", "plain", "malformed", "crash", "other", "more"]):
        transaction = {
            "id": f"t{number}",
            "sep": "24",
            "kind": "deposit",
            "message": what,
            "client_name": "lobstr",
        }
        made.append({"type": "transaction_created", "id": f"e{number}", "transaction": transaction})
    return made


class Run:
    """Everything that is written, by where."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.written: dict[str, bytes] = {}

    async def command(self, env: Mapping[str, str], *arguments: str) -> None:
        """Whatever its exit code: what it says is looked at, not whether it is content."""
        done = await asyncio.create_subprocess_exec(
            *command(*arguments),
            cwd=self.directory,
            env=environment(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(done.communicate(), 120)
        assert output, arguments
        self.written[f"eventproc {' '.join(arguments)} #{len(self.written)}"] = output

    async def page(self, session: aiohttp.ClientSession, url: str, accept: str, name: str) -> None:
        async with session.get(url, headers={"Accept": accept}, allow_redirects=False) as answer:
            head = repr(dict(answer.headers)).encode()
            self.written[f"{name} {url} {accept}"] = head + await answer.read()

    async def pages(self, worker: WorkerProcess, *, logged_in: bool) -> None:
        values = {"id": "t0", "what": "pause", "name": "pages.css", "destination": "callback-api"}
        paths = [re.sub(r"\{(\w+)[^}]*\}", lambda m: values.get(m[1], "e0"), path) for path in PAGES]
        paths += [f"{path}/" for path in FAUST_PAGES] + ["/destinations/callback-api", "/nowhere"]
        paths += ["/destinations/client.lobstr.sep24", "/dead-letters/client.lobstr.sep24/e0"]
        token = SECRETS["SECRET_WEB_ADMIN_TOKEN"]
        headers = {"Authorization": f"Bearer {token if logged_in else 'wrong'}"} if logged_in else {}
        async with aiohttp.ClientSession(headers=headers) as session:
            for path in paths:
                for accept in ("text/html", "application/json"):
                    await self.page(session, worker.url + path, accept, f"page ({logged_in})")

    async def topics(self, broker: Broker, names: Names) -> None:
        for topic in sorted(await list_topics(broker.bootstrap)):
            if topic.startswith(names.prefix):
                records = await broker.read_all(topic)
                for record in records:
                    value = record.value or b""
                    with contextlib.suppress(OSError, EOFError):
                        value += gzip.decompress(value)
                    whole = value + (record.key or b"") + b"".join(record.headers.values())
                    self.written[f"{topic} {record.partition}/{record.offset}"] = whole


@contextlib.asynccontextmanager
async def a_worker(directory: Path, env: Mapping[str, str]) -> AsyncIterator[WorkerProcess]:
    (directory / "crashing.py").write_text(CRASH)
    worker = WorkerProcess(
        env, app="crashing", python_path=[directory], options=["-l", "debug"], directory=directory / "worker"
    )
    async with worker:
        await worker.wait_ready(60)
        yield worker


@pytest.mark.timeout(300)
async def test_no_secret_is_in_anything_that_is_written(broker: Broker, names: Names, tmp_path: Path) -> None:
    run = Run(tmp_path)
    async with Receiver(respond=echo) as business, Receiver(respond=echo) as wallet:
        env = {
            **anchor_env(
                broker.bootstrap,
                business_url=business.url,
                clients=[noncustodial_client("lobstr", wallet.url, domains=["lobstr.co"])],
                names=names,
            ),
            **SECRETS,
            "SEP10_SIGNING_SEED_NEXT_AT": "2100-01-01T00:00:00Z",
            "CALLBACK_API_AUTH_TYPE": "api_key",
            "DELIVERY_RETRY_POISON_ATTEMPTS": "1",
            "DELIVERY_RETRY_INITIAL_SECONDS": "0.1",
            "DELIVERY_BREAKER_FAILURE_THRESHOLD": "2",
            "DELIVERY_BREAKER_OPEN_MAX_SECONDS": "1",
            "TIMELINE_FLUSH_SECONDS": "0.1",
            "LOGGING_LEVEL": "debug",
        }
        published = [Record(json.dumps(event).encode(), key=event["id"].encode()) for event in events()]
        published += [Record(b"not json at all", key=b"x"), Record(None, key=b"y")]
        await broker.create_topics({names.source: 1})
        async with a_worker(tmp_path, env) as worker:
            await broker.publish(names.source, published)

            async def are_set_aside() -> bool:
                letters = await broker.read_all(names.topic("dead-letter"))
                told = {record.headers["dead-letter-destination"] for record in letters}
                return (
                    told == {b"callback-api", b"client.lobstr.sep24"}
                    and "attempt.crashed" in worker.log_text()
                )

            await wait_until(are_set_aside, 60, "dead letters")
            await wait_until(lambda: has_attempts(broker, names), 60, "attempts")
            await run.pages(worker, logged_in=False)
            await run.pages(worker, logged_in=True)
            for name in ("cmdline", "comm"):
                run.written[name] = Path(f"/proc/{worker.pid}/{name}").read_bytes()
            await commands(run, env)
            await worker.terminate()
            run.written["log"] = worker.log_file.read_bytes()
        await broken(run, env)
        await run.topics(broker, names)
    run.written["repr"] = (repr(load_settings(env=env)) + str(load_settings(env=env))).encode()
    letters = [text for name, text in run.written.items() if "dead-letter" in name]
    assert any(b"X-Api-Key" in text and b"***" in text for text in letters), "the echo came, and was masked"
    assert b"cannot sign with ApiKeyAuth(header=" in run.written["log"]
    assert b"Traceback" in run.written["log"]
    found = leaks(run.written, [*(secret.encode() for secret in SECRETS.values()), *RAW_KEYS])
    assert found == []
    assert leaks(run.written, sent(business, wallet)) == []


def sent(business: Receiver, wallet: Receiver) -> set[bytes]:
    """What was made of the secrets and sent: signatures, and the tokens in the links of wallets' bodies."""
    found = set()
    for record in wallet.requests:
        if record.method != "POST":
            continue
        found.add(record.headers["Signature"].partition("s=")[2].encode())
        link = record.json.get("transaction", {}).get("more_info_url", "")
        found |= {part.encode() for part in link.partition("token=")[2].split(".")[2:]}
    assert len(found) > 4
    assert {record.headers["X-Api-Key"] for record in business.requests if record.method == "POST"} == {
        SECRETS["SECRET_CALLBACK_API_AUTH_SECRET"]
    }
    return found


async def has_attempts(broker: Broker, names: Names) -> bool:
    return bool(await broker.read_all(names.topic("attempts")))


async def commands(run: Run, env: Mapping[str, str]) -> None:
    """The commands that look while a worker runs."""
    looks: tuple[tuple[str, ...], ...] = (
        ("config", "show"),
        ("config", "check"),
        ("deadletter", "list"),
        ("deadletter", "show", "e0"),
        ("destinations", "status"),
        ("timeline", "t0"),
        ("timeline", "t0", "--json"),
        ("doctor", "--send-test-event"),
        ("send-example", "--client", "lobstr", "--dry-run"),
    )
    await asyncio.gather(*(run.command(env, *arguments) for arguments in looks))


async def broken(run: Run, env: Mapping[str, str]) -> None:
    """Wrong passwords, and wrong configuration beside secrets."""
    refused = {
        **env,
        "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "CONSUMER_CONNECT_ATTEMPTS_SECONDS": "1",
    }
    nowhere = {**refused, "EVENTS_QUEUE_KAFKA_BOOTSTRAP_SERVER": f"{LOOPBACK}:{free_port()}"}
    store = run.directory / "store.p12"
    store.write_bytes(b"\x30\x82 no store at all")
    locked = {
        **env,
        "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "EVENTS_QUEUE_KAFKA_SSL_KEYSTORE_LOCATION": str(store),
        "EVENTS_QUEUE_KAFKA_SSL_TRUSTSTORE_LOCATION": str(store),
        "CONSUMER_CONNECT_ATTEMPTS_SECONDS": "1",
    }
    wrong = {
        **env,
        "EVENTS_ENABLED": SECRETS["SECRET_WEB_ADMIN_TOKEN"][:3],
        "SECRET_SEP10_SIGNING_SEED": SECRETS["SECRET_SEP10_SIGNING_SEED"][:-1] + "A",
        "SECRET_WEB_ADMIN_TOKEN": "short",
        "SECRET_WEB_ADMIN_TOKEN_FILE": str(store),
        "DELIVERY_MAX_IN_FLIGHT": "many",
    }
    tries = [
        (refused, "doctor"),
        (refused, "worker"),
        (nowhere, "worker"),
        (locked, "doctor"),
        (locked, "worker"),
    ]
    tries += [(wrong, "config check"), (wrong, "worker"), (wrong, "deadletter list")]
    await asyncio.gather(*(run.command(one, *text.split()) for one, text in tries))
    file = run.directory / "bad.yaml"
    secret = SECRETS["SECRET_CALLBACK_API_AUTH_SECRET"]
    for text in (
        f"callback_api: {{auth: {{secret: '{secret}'}}}}",
        f"secret.callback_api.auth_secret: '{secret}'\nevents: [",
        f"SECRET_CALLBACK_API_AUTH_SECRET: '{secret}'",
    ):
        file.write_text(text)
        await run.command(env, "--config", str(file), "config", "check")
