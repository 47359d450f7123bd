"""Deliver events to one receiver with the real engine and sender, and compare both sides' ledgers."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from eventproc.auth import StellarSignature
from eventproc.delivery.clock import LoopClock
from eventproc.delivery.engine import Engine, EngineParts
from eventproc.destinations import Endpoint
from eventproc.http.sender import HttpSender
from eventproc.outcomes import NoResponse, Response
from settings import load_settings
from tests.fakes.dead_letters import FakeDeadLetters, FakeFlow
from tests.fakes.records import TOPIC, destination, record
from tests.receivers.tools import CHECKOUT
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess

SECONDS = 60.0
PARTITION = (TOPIC, 0)
_QUICK = {
    "DELIVERY_RETRY_INITIAL_SECONDS": "0.1",
    "DELIVERY_RETRY_MAX_SECONDS": "0.5",
    "DELIVERY_RETRY_POISON_ATTEMPTS": "3",
    "DELIVERY_BREAKER_OPEN_INITIAL_SECONDS": "0.1",
    "DELIVERY_BREAKER_OPEN_MAX_SECONDS": "0.3",
}


class ForeignReceiver:
    """A server in a process of its own, its ledger, and the port that its URL names."""

    def __init__(
        self,
        directory: Path,
        command: Callable[[Path, int], list[str]],
        *,
        slow_seconds: float = 0.2,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.ledger_file = directory / "ledger"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "PYTHONPATH": str(CHECKOUT),
            "PORT": str(self.port),
            "ANCHOR_SIGNING_KEY": TEST_PUBLIC_KEY,
            "CALLBACK_HOST": f"{LOOPBACK}:{self.port}",
            "LEDGER": str(self.ledger_file),
            "SLOW_SECONDS": str(slow_seconds),
        }
        self._env = env
        self.process = ChildProcess(
            command(directory, self.port), log_file=directory / "log", cwd=directory, env=env
        )

    async def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self.process.start()
        deadline = time.monotonic() + SECONDS
        while not await _accepts(self.port):
            assert self.process.is_running, self.process.log_tail()
            assert time.monotonic() < deadline, self.process.log_tail()
            await asyncio.sleep(0.02)

    async def restart(self) -> None:
        """End it by SIGTERM, and SIGKILL a second later, as a supervisor does; start it on the same port."""
        await asyncio.to_thread(self.process.stop, 1.0)
        await self.start()

    def serve_as(self, port: int) -> None:
        """Verify signatures for the port of a proxy in front; before the start."""
        self.process.env = {**self._env, "CALLBACK_HOST": f"{LOOPBACK}:{port}"}

    def forget(self) -> None:
        """Begin an empty ledger; nothing must be in flight."""
        self.ledger_file.write_text("")

    def accepted(self) -> Counter[str]:
        """How often it accepted each event."""
        return Counter(self.ledger_file.read_text().split() if self.ledger_file.exists() else ())


class RecordingSender:
    """The real sender; keeps what came of each attempt, by event."""

    def __init__(self, sender: HttpSender) -> None:
        self._sender = sender
        self.outcomes: dict[str, list[Response | NoResponse]] = {}

    @property
    def limit(self) -> int | None:
        """As the real one has it."""
        return self._sender.limit

    async def send(self, headers: dict[str, str], body: bytes) -> Response | NoResponse:
        outcome = await self._sender.send(headers, body)
        self.outcomes.setdefault(headers["X-Event-Id"], []).append(outcome)
        return outcome

    async def close(self) -> None:
        await self._sender.close()


class Run:
    """One engine with one receiver's URL.

    Args:
        port: of the URL.
        path: what the receiver is to do, see ``apps``.
        env: settings that differ from the quick ones here.
    """

    def __init__(self, port: int, path: str = "/ok", env: Mapping[str, str] | None = None) -> None:
        url = f"http://{LOOPBACK}:{port}{path}"
        delivery = load_settings(env={**_QUICK, **(env or {})}).delivery
        self.sender = RecordingSender(HttpSender(Endpoint(url), delivery))
        self.dead = FakeDeadLetters()
        self.connections = 0
        self.sent = 0
        target = replace(
            destination(),
            endpoint=Endpoint(url),
            authenticator=StellarSignature(TEST_SEED, f"{LOOPBACK}:{port}"),
            build_body=lambda event, _timestamp, _now: event.raw,
        )
        parts = EngineParts(self.sender, self.dead, FakeFlow(), LoopClock())
        self.engine = Engine(target, delivery, parts)
        self.engine.assign(PARTITION, 0, "")
        self._count_connections()

    def send(self, count: int, **members: Any) -> None:
        """Hand that many events over, each of a transaction of its own."""
        for _ in range(count):
            self.engine.accept(record(self.sent, f"t{self.sent}", **members))
            self.sent += 1

    async def until(self, condition: Callable[[], bool], receiver: ForeignReceiver) -> None:
        """Wait for something, with the receiver's log where it does not come."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{self.outcome_counts()}\n{receiver.process.log_tail()}"
            await asyncio.sleep(0.02)

    def is_done(self) -> bool:
        """Whether every event was delivered or dead-lettered."""
        return self.engine.waiting == 0 and self.engine.in_flight == 0

    def outcome_counts(self) -> Counter[str]:
        """Statuses and failures over all attempts."""
        return Counter(_name(one) for outcomes in self.sender.outcomes.values() for one in outcomes)

    def check(self, receiver: ForeignReceiver) -> None:
        """Compare both sides: nothing is lost, and an event is twice there only where no 2xx came back."""
        accepted = receiver.accepted()
        dead = {f"e{one.offset}" for _, one in self.dead.letters}
        for event_id in (f"e{number}" for number in range(self.sent)):
            outcomes = self.sender.outcomes[event_id]
            answered = [isinstance(one, Response) and 200 <= one.status < 300 for one in outcomes]
            names = [_name(one) for one in outcomes]
            if event_id in dead:
                assert not any(answered), (event_id, names)
                continue
            assert answered.count(True) == 1, (event_id, names)
            assert answered[-1], (event_id, names)
            uncertain = sum(_may_have_arrived(one) for one in outcomes)
            assert 1 <= accepted[event_id] <= 1 + uncertain, (event_id, accepted[event_id], names)

    async def close(self) -> None:
        """End the engine and the connections."""
        await self.engine.close()

    def _count_connections(self) -> None:
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def counting(sock: socket.socket, address: object) -> None:
            await connect(sock, address)  # type: ignore[arg-type]
            self.connections += 1

        loop.sock_connect = counting  # type: ignore[method-assign]


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


def _name(outcome: Response | NoResponse) -> str:
    return str(outcome.status) if isinstance(outcome, Response) else outcome.kind.value


def _may_have_arrived(outcome: Response | NoResponse) -> bool:
    """Without an answer, and behind a proxy's 502 or 504, a receiver may have accepted all the same."""
    return isinstance(outcome, NoResponse) or outcome.status in {502, 504}
