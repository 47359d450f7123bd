"""The engine of one destination: lanes, breaker, sender and watermark, put together.

``accept`` never waits: a Faust agent that waits fills its stream's queue and stops every other agent of the
worker (measured: see the design). What is too much is held back by pausing the partitions in the consumer.

A worker task goes from lane to lane for as long as something is ready, so a busy destination costs no task
per event. Nothing here knows Faust: records come in by ``accept``, offsets go out by ``commit_points``.

Stopped means stopped: after a pause, a drain or an opened breaker, no request begins. So a task takes a lane
only when its attempt may begin at once (``_take``), and asks again after what it awaited (``_may_begin``).
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog
from typing_extensions import assert_never

from eventproc.acceptance import Standing
from eventproc.backoff import RetryPolicy
from eventproc.breaker import Breaker, BreakerState, Evidence
from eventproc.dead_letters import DeadLetter, from_outcome
from eventproc.delivery.acceptances import DestinationProof, Recorder
from eventproc.delivery.backlog import Backlog, FlowControl
from eventproc.delivery.clock import Clock, Timer
from eventproc.delivery.giving_up import DeadLetters, DeadLetterSink, LaneHolds
from eventproc.delivery.held_bytes import HeldBytes
from eventproc.delivery.held_lanes import UnsharedHolds
from eventproc.delivery.inbound import InboundRecord, Job
from eventproc.delivery.journal import NO_JOURNAL, Journal, Timing, Tracer
from eventproc.delivery.partitions import AssignedPartitions, Partition
from eventproc.delivery.read_positions import Step
from eventproc.delivery.request import Body, build_body, sign
from eventproc.delivery.stats import DeliveryError, DestinationStats
from eventproc.delivery.tried import Tried
from eventproc.destinations import Destination
from eventproc.http.sender import Sender
from eventproc.journal_entries import REPLAY, STALE, UNCHANGED
from eventproc.lanes import Lane, Lanes
from eventproc.order_guard import Instant, OrderGuard
from eventproc.outcomes import (
    Delivered,
    Failed,
    FailureKind,
    NoResponse,
    Outcome,
    Rejected,
    Response,
    Unbuildable,
    judge,
)
from eventproc.pace import Pace
from eventproc.records import read_origin
from eventproc.rejection_hints import detail_of, hint_of
from eventproc.unchanged import DeliveredContents, UnchangedFilter
from eventproc.watermark import CommitPoint
from settings.delivery import DeliverySettings

log = structlog.stdlib.get_logger("eventproc.delivery")

CANCEL_SECONDS: Final = 1.0

UNSHARED_BYTES: Final = 64 * 1024 * 1024
"""For an engine by itself; a worker's share ``delivery.max_waiting_bytes``."""

UNPROVEN_HINT: Final = (
    "it has accepted no event since its URL, key or certificate changed, so what it rejects is kept: "
    "compare its configuration with the receiver's"
)

BODY_COPIES: Final = 1
"""Of an event whose request is in flight, beside the event: what waits for the socket is not copied."""


@dataclass(slots=True)
class EngineParts:
    """What an engine is given; ``draw`` returns a uniform number in [0, 1).

    ``holds`` matters for ``on_dead_letter: hold_transaction`` alone. All engines share one ``memory``.
    """

    sender: Sender
    dead_letters: DeadLetterSink
    flow: FlowControl
    clock: Clock
    draw: Callable[[], float] = field(default=random.random)
    holds: LaneHolds = field(default_factory=UnsharedHolds)
    guard: OrderGuard = field(default_factory=OrderGuard)
    contents: DeliveredContents = field(default_factory=DeliveredContents)
    journal: Journal = NO_JOURNAL
    tracer: Tracer | None = None
    acceptances: Recorder | None = None
    """None: a rejection is always the event's."""
    memory: HeldBytes = field(default_factory=lambda: HeldBytes(UNSHARED_BYTES))


class Engine:
    """Delivers one destination's records; see the module's docstring."""

    def __init__(self, destination: Destination, delivery: DeliverySettings, parts: EngineParts) -> None:
        self.stats = DestinationStats()
        self.breaker = Breaker()
        self.is_removed = False
        """Whether the configuration no longer has it: what waits is delivered, and nothing more comes."""
        holds = parts.holds if delivery.on_dead_letter == "hold_transaction" else None
        self._dead_letters = DeadLetters(destination.id, parts.dead_letters, holds, parts.clock)
        self._clock = parts.clock
        self._draw = parts.draw
        self._journal = parts.journal
        self._tracer = parts.tracer
        self._partitions = AssignedPartitions()
        self._memory = parts.memory
        self._backlog = Backlog(parts.flow, self._partitions, delivery.max_waiting, self._memory)
        self._lanes: Lanes[Job] = Lanes()
        self._tried = Tried()
        self._evidence = Evidence()
        self._proof = DestinationProof(parts.acceptances)
        self._guard = parts.guard
        self._contents = parts.contents
        self._workers: set[asyncio.Task[None]] = set()
        self._sending = 0
        self._timer: Timer | None = None
        self._operator_pause = False
        self._draining = False
        self._configure(destination, delivery, parts.sender)

    def _configure(self, destination: Destination, delivery: DeliverySettings, sender: Sender) -> None:
        self.destination = destination
        self._delivery = delivery
        self._sender = sender
        self.breaker.failure_threshold = delivery.breaker.failure_threshold
        self.breaker.open_initial_seconds = delivery.breaker.open_initial_seconds
        self.breaker.open_max_seconds = delivery.breaker.open_max_seconds
        self._backlog.max_records = delivery.max_waiting
        retry = delivery.retry
        self._policy = RetryPolicy(
            retry.initial_seconds, retry.max_seconds, retry.retry_after_max_seconds, retry.poison_attempts
        )
        self._pace = Pace(delivery.rate_limit_per_second)
        if self._proof.configure(destination, retry.unproven_max_hours * 3600):
            self._evidence = Evidence()  # what another endpoint accepted says nothing about this one
        skips_unchanged = delivery.skip_unchanged_customers and destination.sends_customers
        self._unchanged = UnchangedFilter(self._contents) if skips_unchanged else None

    # -- what the consumer calls -------------------------------------------------------------------

    def assign(self, partition: Partition, committed: int | None, metadata: str) -> None:
        """A partition is ours from ``committed`` on; called again for one we have, it changes nothing."""
        if not self._partitions.assign(partition, committed, metadata):
            return
        self._draining = False
        self._dead_letters.refresh(self._start)
        self._backlog.assigned(partition)

    def accept(self, record: InboundRecord) -> None:
        """Take one record; never waits. Records of partitions that are not ours are left alone."""
        if self._draining:
            return
        origin = read_origin(record.headers)
        is_new = self._partitions.offer(
            record.partition, record.offset, origin.source, exempt=origin.redriven is not None
        )
        if is_new is None:
            return
        if not is_new:
            self.stats.replays_skipped += 1
            self._journal.skipped(self.destination.id, Job(record, origin), REPLAY)
            return
        job = Job(record, origin)
        self._lanes.add(job.lane, job, self._tried.recall(job))
        self._backlog.add(job.value_bytes)
        self._start()

    def step(self, partition: Partition, step: Step) -> None:
        """Reading has moved without a record."""
        if not self._draining:
            self._partitions.step(partition, step)

    def commit_points(self) -> dict[Partition, CommitPoint]:
        """What to commit now, for the partitions where something changed."""
        return self._partitions.commit_points()

    def committed(self, partition: Partition, point: CommitPoint) -> None:
        """The broker has taken this commit."""
        self._partitions.committed(partition, point)

    async def drain(self, timeout_seconds: float) -> None:
        """Start nothing more; let what is in flight finish within the bound, then cancel it."""
        self._draining = True
        self._cancel_timer()
        under_way = {*self._workers, *self._dead_letters.still_writing()}
        if not under_way:
            return
        _, unfinished = await asyncio.wait(under_way, timeout=timeout_seconds)
        for worker in unfinished:
            worker.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=CANCEL_SECONDS)

    def release(self) -> None:
        """Give every partition and everything that waits away: they belong to somebody else from now on."""
        self._cancel_timer()
        for worker in self._workers:
            worker.cancel()
        self._dead_letters.abandon()
        self._backlog.open()
        self._backlog.drop_all()
        self._partitions.clear()
        if self._unchanged is not None:
            self._unchanged.forget_all()
        self._tried.remember(self._lanes)
        self._lanes = Lanes()

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

    # -- what an operator calls and sees -----------------------------------------------------------

    def reconfigure(self, destination: Destination, delivery: DeliverySettings, sender: Sender) -> Sender:
        """Attempts from now on go by these; what is in flight ends as it began.

        Lanes, breaker, counters and pause stay, and whatever waits for its time or behind the breaker may try
        at once: it may be what the change is for. Returns the old sender, which is still in use.
        """
        old = self._sender
        self._configure(destination, delivery, sender)
        if self.breaker.state is BreakerState.OPEN:
            self.breaker.opened_until = self._clock.monotonic()
        self._lanes.release_postponed()
        self._start()
        return old

    def pause(self) -> None:
        """Start nothing more until ``resume``; what is in flight goes on."""
        self._operator_pause = True

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._operator_pause = False
        self._start()

    @property
    def is_holding_back(self) -> bool:
        """Whether too much waits, so that the partitions are paused."""
        return self._backlog.is_holding_back

    @property
    def is_paused_by_operator(self) -> bool:
        """Whether ``pause`` is in force."""
        return self._operator_pause

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self._workers)

    @property
    def in_flight_limit(self) -> int:
        """How many requests may be under way at once: no more than the receiver serves, where known."""
        limit, most = self._sender.limit, self._delivery.max_in_flight
        return most if limit is None else min(limit, most)

    @property
    def dead_letters_unwritten(self) -> int:
        """Events given up whose dead letter Kafka has not acknowledged: each holds its own lane alone."""
        return self._dead_letters.waiting

    @property
    def waiting(self) -> int:
        """Records accepted and not done, those in flight included."""
        return self._lanes.waiting

    @property
    def standing(self) -> Standing:
        """Whether it has accepted an event as it is configured now."""
        return self._proof.standing(self._clock.wall())

    @property
    def waits_only_for_retries(self) -> bool:
        """Nothing is in flight and nothing could start before its time."""
        return not self._workers and not self._lanes.has_ready(self._clock.monotonic())

    @property
    def waits_for_its_pace(self) -> bool:
        """Whether nothing is in flight because the rate limit allows no attempt yet."""
        return not self._workers and not self._pace.is_open(self._clock.monotonic())

    @property
    def partitions(self) -> AssignedPartitions:
        """The partitions that are ours, with their progress."""
        return self._partitions

    def oldest_waiting_ms(self) -> int | None:
        """The source timestamp (ms since the epoch) of the oldest undelivered event, or None."""
        heads = [job.waits_since_ms for job in self._lanes.heads()]
        return min(heads) if heads else None

    # -- the way of one event ----------------------------------------------------------------------

    def _start(self) -> None:
        """Start workers for what is ready, as far as the breaker allows, and set the timer for the rest."""
        if self._is_stopped:
            return
        while (lane := self._take(len(self._workers))) is not None:
            worker = asyncio.get_running_loop().create_task(self._work(lane))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)  # one that is cancelled before it runs, too
        self._set_timer()

    @property
    def _is_stopped(self) -> bool:
        return self._draining or self._operator_pause or not self._dead_letters.is_current

    def _may_begin(self) -> bool:
        """Return whether the attempt that a lane was taken for may still begin."""
        limit = self.breaker.limit(self.in_flight_limit, self._clock.monotonic())
        return not self._is_stopped and self._sending < limit

    def _take(self, busy: int) -> Lane[Job] | None:
        """Return a lane whose attempt may begin now, and count it towards the pace."""
        if self._is_stopped or (self._lanes.is_all_running and self.breaker.state is BreakerState.CLOSED):
            return None
        if busy and self._memory.free_bytes <= 0:
            return None  # one request at a time: its end asks again
        now, before = self._clock.monotonic(), self.breaker.state
        if not self._pace.is_open(now) or busy >= self.breaker.limit(self.in_flight_limit, now):
            return None
        is_probe = self.breaker.state is BreakerState.HALF_OPEN
        lane = self._lanes.take_probe(self.breaker.last_probe) if is_probe else self._lanes.take(now)
        if lane is None:
            return None
        self._pace.spend(now)
        if is_probe:
            self.breaker.last_probe = lane.key
            if before is not BreakerState.HALF_OPEN:
                log.debug("breaker.probing", destination=self.destination.id)
        return lane

    async def _work(self, first: Lane[Job]) -> None:
        lane: Lane[Job] | None = first
        task = asyncio.current_task()
        try:
            while lane is not None:
                await self._attempt_safely(lane)
                lane = self._take(len(self._workers) - 1)
        finally:
            if task is not None:
                self._workers.discard(task)
        self._set_timer()  # there was nothing to take a moment ago

    async def _attempt_safely(self, lane: Lane[Job]) -> None:
        """A bug in building or judging one event must neither lose the event nor stop its destination."""
        job = lane.items[0]
        try:
            await self._attempt(lane)
        except Exception:
            log.exception("attempt.crashed", destination=self.destination.id, **_names(lane, job))
            if lane.items and lane.items[0] is job and lane.postponed_until is None:
                self._set_aside(lane, self._policy.max_seconds)

    def _set_aside(self, lane: Lane[Job], seconds: float) -> None:
        """Try this head again later, for a reason of our own. A probe that told nothing is a failed probe."""
        now = self._clock.monotonic()
        self._lanes.postpone(lane, now + seconds)
        if self.breaker.state is BreakerState.HALF_OPEN:
            self.breaker.on_failure(lane.key, now)

    async def _attempt(self, lane: Lane[Job]) -> None:
        """Steps 5 to 11 for the head of one lane."""
        job = lane.items[0]
        body = await self._prepare(lane, job)
        if body is None:
            self._pace.give_back()
            return
        job.attempts += 1
        started, at = self._clock.monotonic(), self._clock.wall()
        headers = sign(self.destination, job, body, at)
        if self._tracer is not None:
            self._tracer.attempting(self.destination, job, headers)
        content = None if self._unchanged is None else self._unchanged.sending(lane.key, body.payload)
        result = await self._send(headers, body)
        seconds = self._clock.monotonic() - started
        self.stats.attempted(seconds)
        outcome = judge(result, self._clock.wall())
        if content is not None and isinstance(outcome, Delivered):
            content.delivered()
        await self._settle(lane, job, outcome, body.updated_at)
        next_try_at = None if lane.postponed_until is None else at + lane.postponed_until - started
        self._journal.attempted(self.destination.id, job, outcome, Timing(at, seconds, next_try_at))

    async def _prepare(self, lane: Lane[Job], job: Job) -> Body | None:
        """Return the body to send at once, or None when nothing is to be sent and the lane is settled.

        Everything that has to be awaited comes first. Behind ``_may_begin`` nothing is awaited before the
        POST, so its answer stays true, and the token in the body is as young as it can be.
        """
        is_held = await self._dead_letters.is_held(lane.key, job)
        if not self._may_begin():
            self._lanes.put_back(lane)
            return None
        if is_held:
            self._give_up(lane, job, self._dead_letters.held(lane.key))
            return None
        body = build_body(self.destination, job, self._clock.wall())
        if isinstance(body, Unbuildable):
            await self._settle(lane, job, body, None)
            return None
        why = self._reason_to_skip(lane, job, body)
        if why is not None:
            self._journal.skipped(self.destination.id, job, why)
            self._finish(lane, job)
            return None
        return body

    def _reason_to_skip(self, lane: Lane[Job], job: Job, body: Body) -> str | None:
        """Return why this event needs no request, None when it needs one; count what is late."""
        is_exempt = job.origin.redriven is not None
        if job.attempts == 0 and self._guard.is_stale(self.destination.id, lane.key, body.updated_at):
            self.stats.late += 1
            if self._delivery.order == "skip_stale" and not is_exempt:
                return STALE
        if is_exempt or self._unchanged is None or not self._unchanged.is_unchanged(lane.key, body.payload):
            return None
        self.stats.unchanged_skipped += 1
        return UNCHANGED

    async def _send(self, headers: dict[str, str], body: Body) -> Response | NoResponse:
        body_bytes = len(body.payload) * BODY_COPIES
        self._sending += 1
        self._memory.add(body_bytes)
        try:
            return await self._sender.send(headers, body.payload)
        finally:
            self._sending -= 1
            self._memory.remove(body_bytes)

    async def _settle(self, lane: Lane[Job], job: Job, outcome: Outcome, instant: Instant | None) -> None:
        """Decide the fate of the head after one attempt."""
        now = self._clock.monotonic()
        if isinstance(outcome, Delivered):
            self._evidence.record(lane.key, now, succeeded=True)
            self._proof.accepted(self._clock.wall())
            self._guard.delivered(self.destination.id, lane.key, instant)
            self.stats.delivered(self._clock.wall() - job.waits_since_ms / 1000)
            self._endpoint_answered()
            self._finish(lane, job)
        elif isinstance(outcome, Unbuildable):
            self._give_up(lane, job, from_outcome(self.destination.id, lane.key, job.attempts, outcome))
        elif isinstance(outcome, Rejected):
            self.stats.rejected += 1
            detail = detail_of(outcome.status, outcome.excerpt)
            self._note_error(lane, job, detail, outcome.status, outcome.excerpt)
            self._on_rejected(lane, job, outcome, now)
            await self._retry_or_give_up(lane, job, outcome)
        elif isinstance(outcome, Failed):
            self._on_failed(lane, job, outcome, now)
            await self._retry_or_give_up(lane, job, outcome)
        else:
            assert_never(outcome)

    def _on_rejected(self, lane: Lane[Job], job: Job, outcome: Rejected, now: float) -> None:
        if self._proof.rejected(self._clock.wall()) is not Standing.UNPROVEN:
            self._endpoint_answered()
            job.failures_of_its_own += 1
            return
        self._evidence.record(lane.key, now, succeeded=False)
        detail = detail_of(outcome.status, outcome.excerpt)
        failed = Failed(
            FailureKind.STATUS, outcome.status, outcome.retry_after_seconds, outcome.excerpt, detail
        )
        self._endpoint_failed(
            lane, failed, now, reason="rejected", hint=hint_of(outcome.excerpt) or UNPROVEN_HINT
        )

    def _on_failed(self, lane: Lane[Job], job: Job, outcome: Failed, now: float) -> None:
        self.stats.failed[outcome.kind] += 1
        self._note_error(lane, job, outcome.detail, outcome.status, outcome.excerpt)
        if job.first_failed_at is None:
            job.first_failed_at = now
        if outcome.was_sent and self._evidence.others_pass(lane.key, job.first_failed_at, now):
            job.failures_of_its_own += 1
        self._evidence.record(lane.key, now, succeeded=False)
        self._endpoint_failed(lane, outcome, now, reason=outcome.kind.value)

    def _endpoint_failed(
        self, lane: Lane[Job], outcome: Failed, now: float, *, reason: str, **hint: str
    ) -> None:
        before = self.breaker.state
        self.breaker.on_failure(lane.key, now, outcome.retry_after_seconds)
        if before is BreakerState.CLOSED and self.breaker.state is BreakerState.OPEN:
            self.stats.breaker_openings += 1
            log.warning(
                "breaker.opened",
                destination=self.destination.id,
                **_names(lane, lane.items[0]),
                reason=reason,
                status=outcome.status,
                detail=outcome.detail,
                waiting=self.waiting,
                **hint,
            )

    def _endpoint_answered(self) -> None:
        recovered = self.breaker.state is not BreakerState.CLOSED
        self.breaker.on_success(self._delivery.max_in_flight)
        if recovered:
            log.info("breaker.closed", destination=self.destination.id, waiting=self.waiting)
            self._lanes.release_postponed()
        if recovered or self.breaker.is_ramping or self._sender.limit is not None:
            asyncio.get_running_loop().call_soon(self._start)

    async def _retry_or_give_up(self, lane: Lane[Job], job: Job, outcome: Rejected | Failed) -> None:
        if job.failures_of_its_own >= self._policy.poison_attempts:
            letter = from_outcome(self.destination.id, lane.key, job.attempts, outcome)
            if isinstance(outcome, Rejected) and self.standing is Standing.OVERDUE:
                hours = self._delivery.retry.unproven_max_hours
                detail = (
                    f"{letter.detail}; the destination has accepted no event, and rejects since {hours:g} h"
                )
                letter = dataclasses.replace(letter, detail=detail)
            self._give_up(lane, job, letter)
            return
        delay = self._policy.delay_seconds(job.attempts, self._draw(), outcome.retry_after_seconds)
        self._lanes.postpone(lane, self._clock.monotonic() + delay)

    def _give_up(self, lane: Lane[Job], job: Job, letter: DeadLetter) -> None:
        """Step 11. The record counts as done only after the dead-letter topic has acknowledged.

        Until then its lane is neither ready nor postponed, so no attempt is made on it.
        """
        self._dead_letters.give_up(letter, job, partial(self._given_up, lane, job, letter))

    def _given_up(self, lane: Lane[Job], job: Job, letter: DeadLetter) -> None:
        self.stats.dead_lettered += 1
        self._journal.dead_lettered(letter, job)
        log.warning(
            "dead_letter.written",
            destination=self.destination.id,
            **_names(lane, job),
            reason=letter.reason.value,
            attempts=letter.attempts,
            status=letter.status,
        )
        self._finish(lane, job)
        self._start()

    def _finish(self, lane: Lane[Job], job: Job) -> None:
        self._lanes.finish(lane)
        self._partitions.done(job.record.partition, job.record.offset)
        self._backlog.remove(job.value_bytes)

    def _note_error(self, lane: Lane[Job], job: Job, detail: str, status: int | None, excerpt: bytes) -> None:
        at, event_id = self._clock.wall(), job.origin.event_id
        self.stats.error(DeliveryError(at, event_id, lane.key, status, detail, excerpt))

    # -- timer -------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        self._cancel_timer()
        now = self._clock.monotonic()
        when = self._next_start(now)
        if when is not None and not self._draining:
            when = max(when, self._pace.opens_at(now), now + 0.001)
            self._timer = self._clock.call_at(when, self._start)

    def _next_start(self, now: float) -> float | None:
        """Return when an attempt can begin, the pace aside; None: when a task ends, which takes it itself."""
        if self.breaker.state is BreakerState.OPEN and len(self._lanes):
            return self.breaker.opened_until
        if self.breaker.state is BreakerState.HALF_OPEN:
            is_probing = bool(self._workers)
            return now if len(self._lanes) and not is_probing else None
        if self._lanes.has_ready(now) and not self._pace.is_open(now):
            return now
        return self._lanes.next_due()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _names(lane: Lane[Job], job: Job) -> dict[str, str]:
    """Return what a log line calls an event and its transaction, which `eventproc timeline` takes."""
    return {"event_id": job.origin.event_id, "transaction": lane.key}
