"""``eventproc listen`` as a process, asked over real HTTP by the real sender."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner

from eventproc.auth import ApiKeyAuth, JwtAuth, StellarSignature
from eventproc.cli.main import main
from eventproc.destinations import Endpoint
from eventproc.http.sender import HttpSender
from eventproc.outcomes import Response
from eventproc.shadow.capture import read_capture
from settings import load_settings
from tests.servers.anchor_env import CALLBACK_SECRET, TEST_PUBLIC_KEY, TEST_SEED
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess

CHECKOUT = Path(__file__).resolve().parents[2]
BODY = '{"transaction":{"id":"t1","amount_in":"1.10","n":1.10,"message":"ü\\u001b[2J"}}'.encode()
SECONDS = 90.0
EVENTPROC = [sys.executable, "-c", "from eventproc.cli.main import main; main()"]


@dataclass
class Listening:
    process: ChildProcess
    url: str = ""

    @property
    def netloc(self) -> str:
        return self.url.removeprefix("http://").strip("/")

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.process.log_text().splitlines() if line.startswith("{")]

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.process.log_tail()
            await asyncio.sleep(0.02)

    async def post(self, headers: dict[str, str], body: bytes = BODY, event_id: str = "e1") -> Response:
        sender = HttpSender(Endpoint(f"{self.url}cb/sep24"), load_settings(env={}).delivery)
        try:
            result = await sender.send({**headers, "X-Event-Id": event_id}, body)
        finally:
            await sender.close()
        assert isinstance(result, Response), result
        return result

    def signed(self, host: str | None = None, age: float = 0) -> dict[str, str]:
        return StellarSignature(TEST_SEED, host or self.netloc).headers(BODY, time.time() - age)

    async def interrupt(self) -> int:
        """Ctrl-C: the exit code."""
        self.process.send_signal(signal.SIGINT)
        return await asyncio.to_thread(self.process.wait, SECONDS)


@asynccontextmanager
async def listening(
    directory: Path, *options: str, env: dict[str, str] | None = None
) -> AsyncIterator[Listening]:
    command = [*EVENTPROC, "listen", "--port", "0", *options]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **(env or {})}
    process = ChildProcess(command, log_file=directory / "log", cwd=directory, env=environment)
    process.start()
    found = Listening(process)
    try:
        await found.until(lambda: "listening" in process.log_text() or not process.is_running)
        match = re.search(r"http://[0-9.:]+/", process.log_text())
        assert match is not None, process.log_tail()
        found.url = match[0]
        yield found
    finally:
        process.stop()


async def test_it_verifies_shows_and_sums_up(tmp_path: Path) -> None:
    async with listening(tmp_path, "--key", TEST_PUBLIC_KEY) as listener:
        assert (await listener.post(listener.signed())).status == 200
        assert (await listener.post(listener.signed())).status == 200
        assert (await listener.post(listener.signed(host="wallet.example.com"), event_id="e2")).status == 401
        assert (await listener.post(listener.signed(age=300), event_id="e3")).status == 401
        assert (await listener.post({}, event_id="e4")).status == 401
        assert await listener.interrupt() == 0
        text = listener.process.log_text()
    assert "event e1" in text
    assert text.count("RIGHT  answered 200") == 2
    assert "RIGHT  answered 200  came before" in text
    assert "too_old: signed 5 min" in text
    assert '"n": 1.10' in text
    assert "\x1b" not in text
    assert text.rstrip().splitlines()[-1] == (
        "5 requests: 2 right, 3 wrong (unknown 1, too_old 1, missing_header 1), 1 that came before; "
        "answered 2 times 200, 3 times 401"
    )


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_a_probe_is_named_so_and_not_counted(tmp_path: Path, options: tuple[str, ...]) -> None:
    async with listening(tmp_path, "--key", TEST_PUBLIC_KEY, "--fail-rate", "1", *options) as listener:
        async with aiohttp.ClientSession() as session:
            for method in ("OPTIONS", "HEAD"):
                async with session.request(method, f"{listener.url}cb/sep24?a=%1B") as response:
                    assert response.status == 204
        assert (await listener.post(listener.signed())).status == 503
        assert await listener.interrupt() == 0
        text = listener.process.log_text()
    if options:
        probes = [line["probe"] for line in listener.lines if "probe" in line]
        assert [probe["method"] for probe in probes] == ["OPTIONS", "HEAD"]
        (summary,) = [line["summary"] for line in listener.lines if "summary" in line]
        assert (summary["right"], summary["wrong"], summary["answers"]) == (1, 0, {"503": 1})
        (request,) = read_capture(text, "captured")
        assert request.url == "/cb/sep24", "a capture may hold probes, too"
    else:
        assert text.count("a probe, as of `eventproc doctor`: not counted") == 2
        assert "1 requests: 1 right, 0 wrong; answered 1 times 503" in text


async def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    async with listening(
        tmp_path, "--json", "--key", TEST_PUBLIC_KEY, "--host", "tunnel.example.com"
    ) as listener:
        await listener.post(listener.signed(host="tunnel.example.com"))
        await listener.post(listener.signed(), event_id="e2")
        assert await listener.interrupt() == 0
        first, right, wrong, last = listener.lines
    assert first == {"listening": listener.url}
    assert (right["right"], right["checked_by"], right["event_id"], right["answered"]) == (
        True,
        "signature",
        "e1",
        200,
    )
    assert right["body"] == BODY.decode()
    assert right["path"] == "/cb/sep24"
    assert (wrong["right"], wrong["answered"]) == (False, 401)
    assert wrong["findings"][0]["cause"] in {"host", "unknown"}
    assert last["summary"]["answers"] == {"200": 1, "401": 1}


async def test_it_answers_as_told(tmp_path: Path) -> None:
    async with listening(tmp_path, "--key", TEST_PUBLIC_KEY, "--answer", "422", "--delay", "0.3") as listener:
        began = time.monotonic()
        assert (await listener.post(listener.signed())).status == 422
        assert time.monotonic() - began >= 0.3


async def test_it_fails_at_the_rate_told(tmp_path: Path) -> None:
    async with listening(tmp_path, "--key", TEST_PUBLIC_KEY, "--fail-rate", "1") as listener:
        assert (await listener.post(listener.signed())).status == 503
        assert (await listener.post({})).status == 401
        # What was not taken is no duplicate when it comes again.
        assert (await listener.post(listener.signed())).status == 503
        assert await listener.interrupt() == 0
        assert "came before" not in listener.process.log_text()


async def test_a_business_servers_secrets_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CALLBACK_SECRET + "\n")
    token = JwtAuth(CALLBACK_SECRET.encode(), 30_000, "X-Token").headers(b"", time.time())
    async with listening(
        tmp_path, "--json", "--jwt-secret-file", "secret", "--auth-header", "X-Token"
    ) as listener:
        assert (await listener.post(token)).status == 200
        assert (await listener.post({"X-Token": "Bearer x"})).status == 401
        assert CALLBACK_SECRET not in listener.process.log_text()
    (tmp_path / "log").unlink()
    async with listening(tmp_path, "--json", "--api-key-file", "secret") as listener:
        assert (await listener.post(ApiKeyAuth(CALLBACK_SECRET, "X-Api-Key").headers(b"", 0))).status == 200
        assert (await listener.post({"X-Api-Key": "x"})).status == 401
        assert CALLBACK_SECRET not in listener.process.log_text()


async def test_an_anchors_own_configuration_is_enough(tmp_path: Path) -> None:
    env = {
        "SECRET_SEP10_SIGNING_SEED": TEST_SEED,
        "CALLBACK_API_AUTH_TYPE": "jwt",
        "SECRET_CALLBACK_API_AUTH_SECRET": CALLBACK_SECRET,
    }
    async with listening(tmp_path, env=env) as listener:
        assert (await listener.post(listener.signed())).status == 200
        token = JwtAuth(CALLBACK_SECRET.encode(), 30_000, "Authorization").headers(b"", time.time())
        assert (await listener.post(token)).status == 200
        assert TEST_SEED not in listener.process.log_text()
        assert TEST_PUBLIC_KEY in listener.process.log_text()


async def test_without_anything_to_check_with_it_says_so(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        assert (await listener.post(listener.signed())).status == 200
        assert "nothing is checked" in listener.process.log_text()
        assert "unchecked  answered 200" in listener.process.log_text()


@asynccontextmanager
async def application(answer: Callable[[web.Request, bytes], web.Response]) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        return answer(request, await request.read())

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}/callback"
    finally:
        await runner.cleanup()


async def test_what_is_right_goes_on_to_an_application_unchanged(tmp_path: Path) -> None:
    came: list[tuple[str, dict[str, str], bytes]] = []

    def answer(request: web.Request, body: bytes) -> web.Response:
        came.append((request.path_qs, dict(request.headers), body))
        if len(came) == 1:
            return web.Response(status=202, text="thank you", headers={"X-App": "1"})
        return web.Response(status=503, text="later", headers={"Retry-After": "7"})

    async with (
        application(answer) as url,
        listening(tmp_path, "--key", TEST_PUBLIC_KEY, "--forward", url) as listener,
    ):
        signed = listener.signed()
        assert (await listener.post({**signed, "User-Agent": "anchor"})).status == 202
        assert (await listener.post(listener.signed(age=300), event_id="e2")).status == 401
        again = await listener.post(signed)
        assert (again.status, again.retry_after) == (503, "7")
        assert await listener.interrupt() == 0
        text = listener.process.log_text()
        assert [(path, body) for path, _, body in came] == [("/callback", BODY)] * 2
        assert came[0][1] == {
            **signed,
            "Host": listener.netloc,
            "User-Agent": "anchor",
            "X-Event-Id": "e1",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(BODY)),
        }
    assert re.search(r"^the application answered 202 in [0-9]+ ms: thank you$", text, re.MULTILINE)
    assert re.search(r"^the application answered 503 in [0-9]+ ms: later$", text, re.MULTILINE)
    assert "answered 1 times 202, 1 times 401, 1 times 503" in text


async def test_an_application_that_is_not_there_is_named_so(tmp_path: Path) -> None:
    url = f"http://{LOOPBACK}:{free_port()}/"
    async with listening(tmp_path, "--json", "--key", TEST_PUBLIC_KEY, "--forward", url) as listener:
        assert (await listener.post(listener.signed())).status == 502
        (arrival,) = [line for line in listener.lines if "number" in line]
    assert (arrival["right"], arrival["answered"], arrival["forwarded"]["status"]) == (True, 502, None)
    assert "Connect call failed" in arrival["forwarded"]["problem"]


async def test_large_bodies_are_taken(tmp_path: Path) -> None:
    body = b'{"a":"' + b"x" * 2_000_000 + b'"}'
    async with listening(tmp_path, "--json", "--key", TEST_PUBLIC_KEY) as listener:
        headers = StellarSignature(TEST_SEED, listener.netloc).headers(body, time.time())
        assert (await listener.post(headers, body)).status == 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--jwt-secret-file", "empty"), "is empty"),
        (("--jwt-secret-file", "empty", "--api-key-file", "empty"), "not both"),
        (("--key", "GABC"), "copy the key again"),
        (("--answer", "99"), "99"),
        (("--fail-rate", "2"), "2"),
        (("--forward", "localhost:3000"), "right: http://localhost:3000/callback"),
        (("--forward", "http://localhost:3000", "--answer", "204"), "not both"),
    ],
)
def test_wrong_usage_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    result = CliRunner().invoke(main, ["listen", *options])
    assert result.exit_code == 2
    assert said in result.stderr


async def test_a_port_in_use_exits_with_2(tmp_path: Path) -> None:
    port = free_port()
    server = await asyncio.start_server(lambda _r, writer: writer.close(), LOOPBACK, port)
    command = [*EVENTPROC, "listen", "--port", str(port), "--key", TEST_PUBLIC_KEY]
    process = ChildProcess(
        command,
        log_file=tmp_path / "log",
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
    )
    process.start()
    assert await asyncio.to_thread(process.wait, SECONDS) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in process.log_text()
    assert "Traceback" not in process.log_text()
    server.close()
    await server.wait_closed()


def test_help_is_pinned() -> None:
    text = CliRunner().invoke(main, ["listen", "--help"]).output
    for option in (
        *("--port", "--bind", "--host", "--key", "--stellar-toml", "--ca-certificate", "--jwt-secret-file"),
        *("--api-key-file", "--auth-header", "--answer", "--fail-rate", "--delay", "--json", "--forward"),
    ):
        assert option in text
    assert "--jwt-secret " not in text
