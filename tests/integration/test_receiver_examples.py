"""The example wallets, over real HTTP, asked by the real sender and by a forger."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from eventproc.auth.stellar_signature import StellarSignature
from eventproc.destinations import Endpoint
from eventproc.http.sender import HttpSender
from eventproc.outcomes import Response
from eventproc.receiver import CallbackVerifier
from settings import load_settings
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED
from tests.servers.asgi import serve_asgi
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess

CHECKOUT = Path(__file__).resolve().parents[2]
HOST = "wallet.example.com"
BODY = '{"transaction":{"id":"t1","message":"ü"}}'.encode()
LARGE = b'{"transaction":{"id":"t2","message":"' + b"x" * 2_000_000 + b'"}}'


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", CHECKOUT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Taken(list[tuple[str | None, Any]]):
    """What an example stored; the first time it may fail."""

    failures = 0

    def store(self, event_id: str | None, body: object) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the database is away")
        self.append((event_id, body))


@asynccontextmanager
async def _aiohttp(verifier: CallbackVerifier, taken: Taken) -> AsyncIterator[str]:
    runner = web.AppRunner(example("wallet_aiohttp").make_app(verifier, taken.store))
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    await runner.cleanup()


def _asgi(verifier: CallbackVerifier, taken: Taken) -> AbstractAsyncContextManager[str]:
    return serve_asgi(example("wallet_asgi").Wallet(verifier, taken.store))


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture(params=[_aiohttp, _asgi], ids=["aiohttp", "asgi"])
async def url(request: pytest.FixtureRequest, taken: Taken) -> AsyncIterator[str]:
    async with request.param(CallbackVerifier(TEST_PUBLIC_KEY, HOST), taken) as base:
        yield f"{base}/callbacks/sep24"


async def post(url: str, body: bytes, event_id: str, signed: bytes | None = None, age: float = 0) -> Response:
    headers = StellarSignature(TEST_SEED, HOST).headers(body if signed is None else signed, time.time() - age)
    sender = HttpSender(Endpoint(url), load_settings(env={}).delivery)
    try:
        result = await sender.send({**headers, "X-Event-Id": event_id}, body)
    finally:
        await sender.close()
    assert isinstance(result, Response), result
    return result


async def test_a_signed_callback_is_taken_once(url: str, taken: Taken) -> None:
    assert (await post(url, BODY, "e1")).status == 204
    assert (await post(url, BODY, "e1")).status == 204
    assert (await post(url, LARGE, "e2")).status == 204
    assert [event_id for event_id, _ in taken] == ["e1", "e2"]
    assert taken[0][1]["transaction"]["message"] == "ü"
    assert len(taken[1][1]["transaction"]["message"]) == 2_000_000


async def test_what_is_not_the_anchors_is_refused_and_not_stored(url: str, taken: Taken) -> None:
    tampered = await post(url, BODY.replace(b"t1", b"t9"), "e1", signed=BODY)
    assert tampered.status == 401
    assert b"the signature is not of these bytes" in tampered.excerpt
    assert (await post(url, BODY, "e1", age=100)).status == 401
    async with aiohttp.ClientSession() as session, session.post(url, data=BODY) as unsigned:
        assert unsigned.status == 401
    assert taken == []


async def test_an_event_that_could_not_be_stored_is_taken_when_it_comes_again(url: str, taken: Taken) -> None:
    taken.failures = 1
    assert (await post(url, BODY, "e1")).status == 500
    assert (await post(url, BODY, "e1")).status == 204
    assert [event_id for event_id, _ in taken] == ["e1"]


async def test_the_aiohttp_example_runs_as_its_docstring_says(tmp_path: Path) -> None:
    port = free_port()
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "ANCHOR_SIGNING_KEY": TEST_PUBLIC_KEY,
        "CALLBACK_HOST": HOST,
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, str(CHECKOUT / "examples" / "wallet_aiohttp.py")]
    process = ChildProcess(command, log_file=tmp_path / "log", cwd=tmp_path, env=env)
    process.start()
    try:
        deadline = time.monotonic() + 60
        while "Running on" not in process.log_text():
            assert time.monotonic() < deadline, process.log_tail()
            assert process.is_running, process.log_tail()
            time.sleep(0.05)
        assert (await post(f"http://{LOOPBACK}:{port}/callbacks/sep6", BODY, "e7")).status == 204
        assert "e7 {'transaction'" in process.log_text()
    finally:
        process.stop()


async def test_the_asgi_examples_app_reads_its_environment_at_the_first_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = example("wallet_asgi")
    monkeypatch.setenv("ANCHOR_SIGNING_KEY", TEST_PUBLIC_KEY)
    monkeypatch.setenv("CALLBACK_HOST", HOST)
    async with serve_asgi(module.app) as base:
        assert (await post(base, BODY, "e8")).status == 204
        async with aiohttp.ClientSession() as session, session.get(base) as page:
            assert page.status == 405
    assert "e8" in capsys.readouterr().out
