"""A receiver on this machine for ``eventproc listen``: takes, judges, answers as told, and reports."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from eventproc.cli.callback_judge import Judge, Verdict
from eventproc.cli.forwarding import ForwardedAnswer, Forwarder
from eventproc.receiver import SeenEvents
from eventproc.signed_text import EVENT_ID_HEADER

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
REFUSAL: Final = 401
FAILURE: Final = 503
PROBES: Final = frozenset({"OPTIONS", "HEAD"})
"""Methods that ask whether somebody is there, as ``eventproc doctor`` does; a callback is a POST."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How to answer: a request that is not right always gets 401, as the guide for receivers says."""

    status: int = 200
    fail_rate: float = 0.0
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request, what was thought of it, and what it was answered."""

    number: int
    at: float
    """Seconds since the epoch."""
    method: str
    path: str
    event_id: str | None
    redriven: str | None
    is_repeated: bool
    body: bytes = field(repr=False)
    verdict: Verdict
    answer: int
    forwarded: ForwardedAnswer | None = None
    """What the application answered, where the request went on to one."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A request that brings nothing, and is neither right nor wrong."""

    at: float
    """Seconds since the epoch."""
    method: str
    path: str


@dataclass(slots=True)
class Tally:
    """What came so far."""

    right: int = 0
    wrong: int = 0
    unchecked: int = 0
    repeated: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)

    def add(self, arrival: Arrival) -> None:
        """Count one more."""
        self.right += arrival.verdict.is_right is True
        self.wrong += arrival.verdict.is_right is False
        self.unchecked += arrival.verdict.is_right is None
        self.repeated += arrival.is_repeated
        self.causes.update(arrival.verdict.causes)
        self.answers[arrival.answer] += 1


class Listener:
    """An HTTP server that takes every path.

    Args:
        judge: what requests are checked with.
        behaviour: how to answer.
        report: called with each arrival, before it is answered.
        report_probe: the same with each probe.
        chance: a number from 0 up to 1, for ``fail_rate``.
        forwarder: where requests that are not wrong go on to, whose answer is ours then.
    """

    def __init__(
        self,
        judge: Judge,
        behaviour: Behaviour,
        report: Callable[[Arrival], None],
        report_probe: Callable[[Probe], None],
        chance: Callable[[], float],
        *,
        forwarder: Forwarder | None = None,
    ) -> None:
        self.tally = Tally()
        self._judge = judge
        self._behaviour = behaviour
        self._report = report
        self._report_probe = report_probe
        self._chance = chance
        self._forwarder = forwarder
        self._seen = SeenEvents()
        self._count = 0
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self, address: str, port: int) -> int:
        """Listen; the port, which the system chooses for 0. Raises OSError."""
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening; requests under way get a second."""
        await self._runner.cleanup()
        if self._forwarder is not None:
            await self._forwarder.close()

    async def _take(self, request: web.Request) -> web.Response:
        now = time.time()
        if request.method in PROBES:
            self._report_probe(Probe(now, request.method, request.path_qs))
            return web.Response(status=204, headers={"Allow": "POST, OPTIONS, HEAD"})
        body = await request.read()
        # A body that fits nothing takes a second of trying.
        verdict = await asyncio.to_thread(self._judge.judge, list(request.headers.items()), body, now)
        answer, forwarded = self._answer(verdict), None
        if self._forwarder is not None and answer == self._behaviour.status:
            forwarded = await self._forwarder.forward(request.method, request.headers.items(), body)
            answer = forwarded.status
        self._count += 1
        event_id = request.headers.get(EVENT_ID_HEADER)
        arrival = Arrival(
            self._count,
            now,
            request.method,
            request.path_qs,
            event_id,
            request.headers.get("X-Event-Redriven"),
            event_id in self._seen,
            body,
            verdict,
            answer,
            forwarded,
        )
        if arrival.answer < 300:
            self._seen.add(event_id)
        self.tally.add(arrival)
        self._report(arrival)
        if self._behaviour.delay_seconds:
            await asyncio.sleep(self._behaviour.delay_seconds)
        if forwarded is not None and forwarded.problem is None:
            return web.Response(status=answer, body=forwarded.body, headers=CIMultiDict(forwarded.headers))
        return web.Response(
            status=arrival.answer, text="" if verdict.is_right is not False else "not right\n"
        )

    def _answer(self, verdict: Verdict) -> int:
        if verdict.is_right is False:
            return REFUSAL
        fails = self._behaviour.fail_rate > 0 and self._chance() < self._behaviour.fail_rate
        return FAILURE if fails else self._behaviour.status
