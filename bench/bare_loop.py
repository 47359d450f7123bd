"""aiohttp and nothing else, posting what a sink posts: the limit that a sink is compared with.

Bodies and headers are those of the destination, made before the clock starts. ``--concurrency 1`` is how the
Anchor Platform delivers: one event after the other. In a process of its own, as the worker is::

    python -m bench.bare_loop --destination callback-api --seconds 5 --output result.json
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import aiohttp

from bench.load import Load
from bench.window import Window
from eventproc.delivery.request import JSON_CONTENT_TYPE
from eventproc.destinations import Destination, build_destinations
from eventproc.events import Unreadable, decode
from eventproc.http.sender import HttpSender
from eventproc.identifiers import DestinationId
from eventproc.outcomes import Response
from settings import load_settings
from settings.delivery import DeliverySettings
from tests.servers.process import ChildProcess

try:
    import uvloop
except ImportError:
    uvloop = None

CHECKOUT = Path(__file__).resolve().parents[1]
Post: TypeAlias = Callable[[dict[str, str], bytes], Awaitable[None]]

BODIES = 500
WARM_UP_SECONDS = 0.5
START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class BareResult:
    """What the loop did in its window."""

    seconds: float
    posts: int
    cpu_seconds: float


async def run_bare_loop(
    env: Mapping[str, str],
    destination: str,
    *,
    concurrency: int,
    seconds: float,
    use_uvloop: bool,
    client: str = "aiohttp",
) -> Window:
    """Start the loop in its process, wait for its end.

    Args:
        env: the worker's settings.
        destination: whose bodies, headers and URL.
        concurrency: posts under way at once.
        seconds: length of the window, after a warm-up.
        use_uvloop: the event loop.
        client: ``aiohttp``, or ``own`` for the sinks' sender.
    """
    with tempfile.TemporaryDirectory(prefix="bench-bare-") as folder:
        output = Path(folder) / "result.json"
        command = [sys.executable, "-m", "bench.bare_loop", "--destination", destination]
        command += ["--concurrency", str(concurrency), "--seconds", str(seconds), "--output", str(output)]
        command += ["--client", client]
        command += [] if use_uvloop else ["--no-uvloop"]
        env_of_loop = {"PYTHONPATH": str(CHECKOUT), **env}
        process = ChildProcess(command, log_file=Path(folder) / "log", cwd=Path(folder), env=env_of_loop)
        process.start()
        try:
            code = await asyncio.to_thread(process.wait, seconds + START_SECONDS)
            if code:
                raise RuntimeError(f"the bare loop ended with {code}\n{process.log_tail()}")
        finally:
            process.kill()
        result = BareResult(**json.loads(output.read_text()))
    return Window(result.seconds, result.posts, result.cpu_seconds)


def prepare(destination: Destination) -> list[tuple[dict[str, str], bytes]]:
    """Headers and body of some events, as the engine sends them."""
    now = time.time()
    load = Load(BODIES)
    prepared = []
    for number in range(BODIES):
        event = decode(load.value(number))
        assert not isinstance(event, Unreadable)
        body = destination.build_body(event, round(now * 1000), now)
        headers = {"Content-Type": JSON_CONTENT_TYPE, "X-Event-Id": event.id}
        prepared.append((headers | destination.authenticator.headers(body, now), body))
    return prepared


async def post_for(
    destination: Destination, delivery: DeliverySettings, concurrency: int, seconds: float, client: str
) -> BareResult:
    """Post for that long, after the warm-up."""
    posting = _own if client == "own" else _aiohttp
    async with posting(destination, delivery, concurrency) as post:
        return await _post_for(post, prepare(destination), concurrency, seconds)


async def _post_for(
    post: Post, prepared: list[tuple[dict[str, str], bytes]], concurrency: int, seconds: float
) -> BareResult:
    work = itertools.cycle(prepared)
    posts = 0
    stop = False

    async def post_on() -> None:
        nonlocal posts
        for headers, body in work:
            await post(headers, body)
            posts += 1
            if stop:
                return

    tasks = [asyncio.ensure_future(post_on()) for _ in range(concurrency)]
    await asyncio.sleep(WARM_UP_SECONDS)
    cpu, count, began = time.process_time(), posts, time.monotonic()
    await asyncio.sleep(seconds)
    result = BareResult(time.monotonic() - began, posts - count, time.process_time() - cpu)
    stop = True
    await asyncio.wait_for(asyncio.gather(*tasks), START_SECONDS / 2)
    return result


@asynccontextmanager
async def _aiohttp(
    destination: Destination, _delivery: DeliverySettings, concurrency: int
) -> AsyncIterator[Post]:
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post(headers: dict[str, str], body: bytes) -> None:
            async with session.post(destination.endpoint.url, data=body, headers=headers) as response:
                await response.read()

        yield post


@asynccontextmanager
async def _own(
    destination: Destination, delivery: DeliverySettings, _concurrency: int
) -> AsyncIterator[Post]:
    sender = HttpSender(destination.endpoint, delivery)

    async def post(headers: dict[str, str], body: bytes) -> None:
        answer = await sender.send(headers, body)
        assert isinstance(answer, Response), answer

    yield post
    await sender.close()


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--destination", required=True)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--no-uvloop", action="store_true")
    parser.add_argument("--client", choices=["aiohttp", "own"], default="aiohttp")
    arguments = parser.parse_args()
    settings = load_settings()
    destination = build_destinations(settings)[DestinationId(arguments.destination)]
    if uvloop is not None and not arguments.no_uvloop:
        uvloop.install()
    result = asyncio.run(
        post_for(destination, settings.delivery, arguments.concurrency, arguments.seconds, arguments.client)
    )
    arguments.output.write_text(json.dumps(asdict(result)))


if __name__ == "__main__":
    _main()
