"""The business server and the wallets: each verifies every request, and misbehaves when told to."""

from __future__ import annotations

import enum
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final, TypeAlias

from typing_extensions import assert_never

from bench.load import client_name
from tests.servers.anchor_env import CALLBACK_SECRET, TEST_SEED
from tests.servers.receiver import Receiver, wallet
from tests.servers.replies import Answer, Hang, Reply, Respond, always, delay, status
from tests.servers.request_record import RequestRecord
from tests.servers.verification import bearer_jwt

BUSINESS: Final = "business"
LATENCY_SECONDS: Final = 0.02
SLOW_SECONDS: Final = 1.0
REJECTED_SHARE: Final = 20
REJECTIONS: Final = 2
"""Of one event. Fewer than ``delivery.retry.poison_attempts``, so none becomes a dead letter."""

_QUIET_SECONDS: Final = 60.0

Taken: TypeAlias = Callable[[str, str], None]
"""Called with the receiver's name and the event id."""


class Fault(enum.Enum):
    """How a receiver misbehaves."""

    FAILS = "fails"  # 503 to everything
    HANGS = "hangs"  # reads and never answers
    REFUSES = "refuses"  # nobody listens
    SLOW = "slow"  # takes SLOW_SECONDS
    REJECTS = "rejects"  # 422 to one event in REJECTED_SHARE, REJECTIONS times


class FaultyReceiver:
    """One receiver with a name; what it takes is told to ``taken`` as the request arrives.

    A request counts as taken when a 2xx is meant for it, also when the worker dies before that comes.
    """

    def __init__(self, name: str, server: Receiver, taken: Taken) -> None:
        self.server = server
        self._name = name
        self._taken = taken
        self._script: Respond = always(delay(LATENCY_SECONDS))
        server.respond = self._respond

    async def fault(self, fault: Fault) -> None:
        """Misbehave from now on."""
        match fault:
            case Fault.FAILS:
                self._script = always(status(503))
            case Fault.HANGS:
                self._script = always(Hang())
            case Fault.SLOW:
                self._script = always(delay(SLOW_SECONDS))
            case Fault.REJECTS:
                self._script = _rejecting()
            case Fault.REFUSES:
                # A connection that is cut behind a taken request makes a repetition that is nobody's fault.
                self._script = always(status(503))
                await self.server.wait_until(lambda: self.server.concurrent == 0, _QUIET_SECONDS)
                await self.server.refuse()
            case _:
                assert_never(fault)

    async def mend(self) -> None:
        """Behave again."""
        self._script = always(delay(LATENCY_SECONDS))
        await self.server.accept()

    def _respond(self, record: RequestRecord, number: int) -> Reply:
        reply = self._script(record, number)
        if isinstance(reply, Answer) and 200 <= reply.status < 300:
            self._taken(self._name, record.event_id or "")
        return reply


class Receivers:
    """The business server and one wallet for each client, each on a port of its own."""

    def __init__(self, clients: int, taken: Taken) -> None:
        self.unverified = 0
        self.last_problem: str | None = None
        business = Receiver(verify=bearer_jwt(CALLBACK_SECRET), on_request=self._look, keep=False)
        servers = {BUSINESS: business}
        servers |= {
            client_name(number): wallet(TEST_SEED, on_request=self._look) for number in range(clients)
        }
        self.by_name: Mapping[str, FaultyReceiver] = {
            name: FaultyReceiver(name, server, taken) for name, server in servers.items()
        }
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Listen."""
        for one in self.by_name.values():
            await self._stack.enter_async_context(one.server)

    async def stop(self) -> None:
        """Stop listening."""
        await self._stack.aclose()

    def clear(self) -> None:
        """Let go of the requests so far: the ledger has what is wanted of them."""
        for one in self.by_name.values():
            one.server.clear()

    def _look(self, record: RequestRecord) -> None:
        if record.problem is not None:
            self.unverified += 1
            self.last_problem = record.problem


def _rejecting() -> Respond:
    rejected: Counter[str] = Counter()

    def respond(record: RequestRecord, _: int) -> Reply:
        event_id = record.event_id or ""
        if zlib.crc32(event_id.encode()) % REJECTED_SHARE == 0 and rejected[event_id] < REJECTIONS:
            rejected[event_id] += 1
            return status(422)
        return delay(LATENCY_SECONDS)

    return respond
