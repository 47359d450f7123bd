"""What is outside of the service, in a process of its own: the anchor, the receivers, the ledger.

They are one process so that the ledger needs no message to know what is due and what has come. Control, on a
port of its own, answers in JSON::

    GET  /where          name of each receiver to its base URL
    GET  /state          a WorldState
    POST /rate           {"per_second": 150}
    POST /burst          {"events": 2000}: returns when they are handed to the producer
    POST /fault          {"receiver": "client-0003", "fault": "hangs"}
    POST /mend           {"receiver": "client-0003"}

``python -m bench.soak.world --bootstrap HOST:PORT --topic TRANSACTION --clients 20 --port 8081``
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from pydantic import TypeAdapter

from bench.soak.ledger import ForgetfulLedger, Repetition
from bench.soak.receivers import Fault, Receivers
from bench.soak.traffic import Traffic
from tests.chaos.ledger import Tally
from tests.servers.ports import LOOPBACK
from tests.servers.waiting import is_set_within

GRACE_SECONDS: Final = 300.0
"""Longer than a killed worker is missed, a fault lasts and an event is waited with, all after each other."""

_FORGET_EVERY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class WorldState:
    """What the outside has seen so far."""

    published: int
    waiting: int
    oldest_seconds: float
    remembered: int
    tally: Tally
    repetitions: list[Repetition]
    unverified: int
    problem: str | None


STATE: Final = TypeAdapter(WorldState)


class World:
    """Anchor and receivers around one ledger."""

    def __init__(self, bootstrap: str, topic: str, clients: int) -> None:
        self._ledger = ForgetfulLedger(GRACE_SECONDS)
        self._receivers = Receivers(clients, self._taken)
        self._traffic = Traffic(bootstrap, topic, self._ledger, clients)

    async def run(self, port: int, stop: asyncio.Event) -> None:
        """Listen, obey, until ``stop``."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/where", self._where),
                web.get("/state", self._state),
                web.post("/rate", self._rate),
                web.post("/burst", self._burst),
                web.post("/fault", self._fault),
                web.post("/mend", self._mend),
            ]
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._receivers.stop)
            await self._receivers.start()
            stack.push_async_callback(self._traffic.stop)
            await self._traffic.start()
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, port).start()
            while not stop.is_set():
                self._ledger.forget(time.monotonic())
                self._receivers.clear()
                await is_set_within(stop, _FORGET_EVERY_SECONDS)

    def _taken(self, receiver: str, event_id: str) -> None:
        self._ledger.received(receiver, event_id, time.monotonic())

    async def _where(self, _: web.Request) -> web.Response:
        return web.json_response({name: one.server.url for name, one in self._receivers.by_name.items()})

    async def _state(self, _: web.Request) -> web.Response:
        ledger, receivers = self._ledger, self._receivers
        state = WorldState(
            published=self._traffic.published,
            waiting=ledger.waiting,
            oldest_seconds=ledger.oldest_seconds(time.monotonic()),
            remembered=len(ledger),
            tally=ledger.tally(),
            repetitions=ledger.repetitions,
            unverified=receivers.unverified,
            problem=self._traffic.problem or receivers.last_problem,
        )
        return web.Response(body=STATE.dump_json(state), content_type="application/json")

    async def _rate(self, request: web.Request) -> web.Response:
        self._traffic.set_rate(float((await request.json())["per_second"]))
        return web.Response()

    async def _burst(self, request: web.Request) -> web.Response:
        await self._traffic.burst(int((await request.json())["events"]))
        return web.Response()

    async def _fault(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        await self._receivers.by_name[wanted["receiver"]].fault(Fault(wanted["fault"]))
        return web.Response()

    async def _mend(self, request: web.Request) -> web.Response:
        await self._receivers.by_name[(await request.json())["receiver"]].mend()
        return web.Response()


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await World(arguments.bootstrap, arguments.topic, arguments.clients).run(arguments.port, stop)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--nice", type=int, default=0)
    parsed = parser.parse_args()
    os.nice(parsed.nice)
    asyncio.run(_run(parsed))
