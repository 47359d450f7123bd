"""The insides of Faust (0.15.3) and aiokafka (0.14), as far as they are about records and commits.

``Consumer._filter_committable_offsets``
    Faust can commit past a record in flight (issues 606, 312), and acks the records that a stream skips in
    a rebalance. Only our watermarks are committed. Proof: tests/unit/delivery/test_faust_internals.py.
``Consumer._commit_offsets``
    Faust draws a table of the offsets for its debug log at every commit and flushes a producer that we do not
    use: 5 ms, which forbids committing ten times a second.
``Consumer._commit_handler``, ``Consumer._commit_livelock_detector``
    Faust warns when a commit takes longer than the interval, and looks at every partition each 2.5 intervals
    for commits that it does not make.
``ConsumerThread._commit``
    Writes the metadata string, which Faust leaves empty. A broker that is away is no reason to crash.
    Bounded, so that a stop is.
``ConsumerThread.seek_to_committed``
    Reads the metadata back, in one request for all partitions instead of one for each. Without a commit it
    goes to the beginning. A commit that is outside of the log is refused at the first fetch.
``ConsumerThread._create_worker_consumer``
    Faust lets a fetch wait 1.5 s at the broker. aiokafka leaves a partition that is not read to its end out
    of the one fetch it has open, so a record then waits as long as the fetch: 1.3 s, and 0.02 s at 20 ms.
    With many partitions ``fetch_pace.py`` sets the pace, in ``_seek_to_committed``. And Faust reads committed
    records only when it writes in transactions itself. Proof: tests/integration/test_gaps.py.
``ConsumerThread.assignment``
    Faust makes a set of its own type at each call, 1 ms for 1,000 partitions, 30 times a second.
``Consumer.getmany``, ``BatchSchema``
    Faust makes two tasks for every record, and with its conductor, stream and sensors takes about 190 µs of
    CPU for it, three times what a POST costs. One message for an agent's part of a poll takes that once: a
    routed event 240 -> 72 µs, a delivery with JWT 335 -> 165 µs (measured before and after in one run). It
    has a partition and offsets of its own, as Faust drops what is below what it has read of a partition.
``ConsumerThread.close``, ``ConsumerThread.on_thread_stop``
    In a rebalance that a stop meets, Faust closes aiokafka's client from another thread's loop, under the
    join that waits for it: on a busy machine one worker in ten that was told to stop in its first second hung
    until the watchdog. And aiokafka ends a join before it stops, however long the other members take. Proof:
    tests/chaos/test_sigterm.py.
``ConsumerThread._fetch_records``
    Pauses single partitions at the fetch. Faust's own ``pause_partitions`` drops what was fetched of them
    already, and then takes the hole for a gap. Offsets that hold no record, and a position that Kafka
    refuses, are found here, for the handlers (``read_positions.py``). Proof: tests/integration/test_gaps.py.
``Consumer.commit_now``
    Faust's ``commit`` waits for one that is under way and then does nothing; what was done meanwhile would be
    delivered again by whoever gets the partition. Proof: tests/unit/delivery/test_handover.py.
``Consumer.commit_at_last``, ``Consumer.on_stop``
    With the broker gone each commit of a stop took its whole bound, one after the other, and the watchdog
    came first. Proof: tests/chaos/test_sigterm.py, whose broker is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

import faust
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message
from mode import Service

from eventproc.delivery.aiokafka_internals import end_fetches, leave_group
from eventproc.delivery.backlog import PartitionTap
from eventproc.delivery.faust_subscription import Conductor
from eventproc.delivery.fetch_pace import fetch_pace
from eventproc.delivery.fetch_plan import in_sessions
from eventproc.delivery.fetch_refusals import read_anything
from eventproc.delivery.fetch_room import FetchRoom
from eventproc.delivery.ledger import Ledger
from eventproc.delivery.partitions import Partition
from eventproc.delivery.read_positions import ReadPositions, Step, find_jumps
from eventproc.delivery.stopped_partitions import StoppedPartitions
from eventproc.logs import TELL_AGAIN_SECONDS
from eventproc.watermark import CommitPoint
from settings.consumer import IsolationLevel

log = structlog.stdlib.get_logger("eventproc.delivery")

COMMIT_SECONDS: Final = 5.0
PAUSED_POLL_SECONDS: Final = 0.1


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with metadata, bulk offset fetch and partition pauses."""

    consumer: Consumer
    _assigned: Any = None
    _assigned_tps: frozenset[TP] = frozenset()
    _quiet_until = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._read = ReadPositions()
        self._steps: dict[TopicPartition, Step] = {}

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        read_anything()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = transport.fetch_max_wait_ms  # noqa: SLF001 - Faust has no setting
        consumer._isolation_level = transport.isolation_level  # noqa: SLF001 - Faust's is for its own transactions
        consumer._fetch_max_bytes = min(consumer._fetch_max_bytes, transport.room.max_bytes)  # noqa: SLF001
        return consumer

    def close(self) -> None:
        """Nothing: the thread's own stop closes what there is, in good order."""

    async def on_thread_stop(self) -> None:
        """Leave the group first, also in the middle of a join."""
        if self._consumer is not None:
            await leave_group(self._consumer)
            await end_fetches(self._consumer)
        await super().on_thread_stop()

    def assignment(self) -> set[TP]:
        """The assigned partitions; made once for each assignment, as Faust asks many times a second."""
        assigned = self._ensure_consumer().assignment()
        if assigned is not self._assigned:
            self._assigned, self._assigned_tps = assigned, frozenset(TP(*tp) for tp in assigned)
        return set(self._assigned_tps)

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Seek to the committed offsets, and keep the metadata for the loop to read."""
        return await self.call_thread(self._seek_to_committed)  # type: ignore[no-any-return]

    async def _seek_to_committed(self) -> Mapping[TP, int | None]:
        consumer: AIOKafkaConsumer = self._ensure_consumer()
        partitions = list(consumer.assignment())
        pace = fetch_pace(len(partitions), consumer._fetch_max_wait_ms)  # noqa: SLF001
        in_sessions(consumer._fetcher, pace, self.consumer.room)  # noqa: SLF001
        fetched = await consumer._coordinator.fetch_committed_offsets(partitions)  # noqa: SLF001
        if consumer.assignment() != set(partitions):
            self.consumer.positions = {}
            return {}  # another subscription meanwhile (App.resubscribe): its assignment will be sought
        positions: dict[Partition, tuple[int | None, str]] = {}
        fresh = []
        for partition in partitions:
            found = fetched.get(partition)
            committed = None if found is None or found.offset < 0 else found.offset
            metadata = "" if found is None else found.metadata or ""
            positions[TP(*partition)] = (committed, metadata)
            if committed is None:
                fresh.append(partition)
            else:
                consumer.seek(partition, committed)
        if fresh:
            await consumer.seek_to_beginning(*fresh)
        self._read.restart({partition: positions[TP(*partition)][0] for partition in partitions})
        self.consumer.positions = positions
        # None resets Faust's read offset too, or it would drop what lies below the old one.
        return {tp: offset for tp, (offset, _) in positions.items()}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer: AIOKafkaConsumer = self._ensure_consumer()
        points = self.consumer.points
        assignment = self.assignment()
        commits = {
            driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, points[tp].metadata)
            for tp, offset in offsets.items()
            if tp in assignment and tp in points
        }
        if not commits:
            return False
        try:
            await asyncio.wait_for(consumer.commit(commits), COMMIT_SECONDS)
        except (CommitFailedError, IllegalStateError) as error:
            # The group has moved on: whoever has the partitions now delivers again what we could not commit.
            if self._is_time_to_tell():
                log.warning("commit.too_late", problem=str(error)[:200])
            return False
        except (KafkaError, asyncio.TimeoutError) as error:
            if self._is_time_to_tell():
                log.warning("commit.not_taken", problem=repr(error)[:200])
            return False
        return True

    def _is_time_to_tell(self) -> bool:
        """Not each time: there are ten commits a second."""
        now = time.monotonic()
        if now < self._quiet_until:
            return False
        self._quiet_until = now + TELL_AGAIN_SECONDS
        return True

    def take_steps(self) -> dict[TopicPartition, Step]:
        """Where reading moved without a record up to the last poll; each is told once."""
        steps, self._steps = self._steps, {}
        return steps

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        self.consumer.stopped.look(consumer)
        await self.consumer.stopped.look_for_silence(consumer, self.consumer.tap.paused)
        try:
            records = await self._fetch_flowing(consumer, active_partitions, timeout, max_records)
        except NoOffsetForPartitionError:  # aiokafka has asked before _seek_to_committed has sought
            return {}
        except OffsetOutOfRangeError as error:
            jumps = await find_jumps(consumer, error.args[0])
            self._read.jumped(jumps)
            self._steps.update(jumps)
            return {}
        self._read.handed(records)
        self._steps.update(self._read.gaps(consumer))
        return records

    async def _fetch_flowing(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None,
        max_records: int | None,
    ) -> Any:
        paused = self.consumer.tap.paused
        if not paused or active_partitions is None:
            return await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        flowing = active_partitions - paused
        if not flowing:
            await asyncio.sleep(PAUSED_POLL_SECONDS)
            return {}
        return await super()._fetch_records(consumer, flowing, PAUSED_POLL_SECONDS, max_records)


class Consumer(driver.Consumer):
    """Faust's consumer, committing what the ledger says and nothing else."""

    ledger: Ledger
    tap: PartitionTap
    room: FetchRoom
    stopped: StoppedPartitions
    points: dict[Partition, CommitPoint]
    positions: dict[Partition, tuple[int | None, str]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.points = {}
        self.positions = {}
        self._polls = 0
        super().__init__(*args, **kwargs)
        transport = self.transport
        self.ledger, self.tap, self.room = transport.ledger, transport.tap, transport.room
        self.stopped = transport.stopped

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """What a poll fetched, one message for each agent: partitions with their records, then steps."""
        records, active = await self._wait_next_records(timeout)
        steps = self._thread.take_steps()
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            # A rebalance has begun: what was fetched is read again from the commit, by whoever gets it then.
            # The ledger is not told: the assignment that still stands has been let go of.
            try:
                await super().perform_seek()
            except KafkaError as error:
                log.warning("partitions.not_sought", problem=repr(error)[:200])
            return
        parts: dict[TP, list[tuple[TP, Any]]] = {}
        for tp, batch in (*records.items(), *steps.items()):
            wanted = batch and (active is None or tp in active or tp in self._buffered_partitions)
            if wanted and (poll := self.app.topics.poll_of(tp.topic)) is not None:
                parts.setdefault(poll, []).append((TP(*tp), batch))
        for poll, part in parts.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                break
            self._polls += 1
            yield poll, _poll_message(poll, self._polls, part, generation)

    async def perform_seek(self) -> None:
        """Seek to the committed offsets and hand the assignment to the ledger."""
        await super().perform_seek()
        self.ledger.assigned(self.positions, self.app.consumer_generation_id)

    def answered_at(self) -> float | None:
        """When a broker last answered a fetch, by ``time.monotonic``; None: never."""
        fetcher = self._thread._consumer and self._thread._consumer._fetcher  # noqa: SLF001 - nowhere else
        return getattr(fetcher and fetcher._client, "answered_at", None)  # noqa: SLF001 - see fetch_plan.py

    def readable_end(self, tp: TP) -> int | None:
        """Up to where this assigned partition could be read at the last fetch; None before the first."""
        consumer = self._thread._ensure_consumer()  # noqa: SLF001 - Faust has the end alone
        end: int | None = consumer.highwater(tp)
        stable: int | None = consumer.last_stable_offset(tp)
        return end if stable is None or stable < 0 else stable

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:  # noqa: ARG002 - Faust's signature
        self._acked.clear()
        self._acked_index.clear()
        self.points = self.ledger.commit_points()
        return {TP(*partition): point.offset for partition, point in self.points.items()}

    async def _commit_offsets(
        self,
        offsets: Mapping[TP, int],
        start_new_transaction: bool = True,  # noqa: ARG002 - Faust's signature
    ) -> bool:
        points, assigned = self.points, self.assignment()
        ours = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        if not ours or not await self._commit(ours):
            return False
        self.ledger.committed({tp: points[tp] for tp in ours})
        self.app.monitor.on_tp_commit(ours)
        return True

    @Service.task
    async def _commit_handler(self) -> None:
        while not self.should_stop:
            await self.sleep(self.commit_interval)
            await self.commit()

    @Service.task
    async def _commit_livelock_detector(self) -> None:
        """Nothing: ``watchdog.py`` watches progress."""

    async def commit_now(self) -> None:
        """Commit all that is done at this moment, also when another commit is under way."""
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()

    async def commit_at_last(self, seconds: float) -> None:
        """``commit_now`` within a bound; nothing is done after it that could be committed."""
        # Not wait_for: Faust takes its cancellation for that of the commit before, and commits once more.
        await asyncio.wait([asyncio.ensure_future(self.commit_now())], timeout=seconds)

    async def on_stop(self) -> None:
        """Nothing: ``commit_at_last`` was before, and Faust would commit, and wait for it, once more."""


class BatchSchema(faust.Schema):
    """Hands a part of a poll on as it is: records are decoded by their handler."""

    def loads_key(self, app: Any, message: Message, **_: Any) -> None:
        """A part of a poll has no key."""

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:  # noqa: ARG002 - Faust's signature
        """The partitions with their records."""
        return message.value


class Transport(driver.Transport):
    """Faust's Kafka transport with our consumer."""

    Conductor = Conductor
    Consumer = Consumer

    def __init__(
        self,
        *args: Any,
        ledger: Ledger,
        tap: PartitionTap,
        room: FetchRoom,
        fetch_max_wait_ms: int,
        isolation_level: IsolationLevel,
        **kwargs: Any,
    ) -> None:
        self.ledger, self.tap, self.room = ledger, tap, room
        self.fetch_max_wait_ms = fetch_max_wait_ms
        self.isolation_level = isolation_level
        self.stopped = StoppedPartitions()
        super().__init__(*args, **kwargs)


def _poll_message(poll: TP, number: int, part: list[tuple[TP, list[Any]]], generation: int) -> Message:
    return ConsumerMessage(
        poll.topic,
        poll.partition,
        number,
        time.time(),
        None,
        None,
        None,
        part,
        None,
        0,
        0,
        poll,
        generation_id=generation,
    )
