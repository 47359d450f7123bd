"""What to fetch next, decided in a fraction of the time that aiokafka (0.14) takes with many partitions.

``Fetcher._get_actions_per_node`` goes through every partition whenever a fetch has ended and whenever one of
its partitions was taken, also when nothing can be sent before all were. It was three fifths of an idle fetch
in a session, with 1,000 partitions. Here it is asked in the cases that are rare, and answered alike in the
others: partitions are sorted by broker once for each change of leaders, nothing is gone through while no
broker is free, and what has changed for one that is, is found when the fetch is written
(``fetch_sessions.py``). Proof: tests/unit/delivery/test_fetch_plan.py, against aiokafka's own.
"""

# ruff: noqa: SLF001 - see above
from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from eventproc.delivery.fetch_pace import FetchPace
from eventproc.delivery.fetch_room import AMPLE, FetchRoom, LeftOut
from eventproc.delivery.fetch_sessions import FetchBounds, FetchSessions, SessionFetch

Actions: TypeAlias = tuple[
    list[tuple[int, FetchRequest]], dict[int, list[TopicPartition]], float, bool, list[Any]
]
"""Fetches, and positions to look up, by broker; seconds to wait; is metadata stale; what may resume."""


class FetchPlan:
    """In place of ``_get_actions_per_node`` of aiokafka's fetcher."""

    def __init__(
        self,
        fetcher: Any,
        pace: FetchPace,
        clock: Callable[[], float] = time.monotonic,
        room: FetchRoom = AMPLE,
    ) -> None:
        self.pace = pace
        self._room = room
        self._fetcher = fetcher
        self._clock = clock
        self._sent_at: dict[int, float] = {}
        self._thorough: Callable[[Any], Actions] = fetcher._get_actions_per_node
        self._leaders: dict[TopicPartition, int] = {}
        self._states: dict[int, dict[TopicPartition, Any]] = {}
        self._assignment: Any = None
        self._metadata: Any = None

    def __call__(self, assignment: Any) -> Actions:
        """What to do now."""
        fetcher = self._fetcher
        states = self._states_of(assignment)
        if fetcher._preferred_read_replica or not states:
            return self._thorough(assignment)
        now = self._clock()
        free = {node: led for node, led in states.items() if node not in fetcher._in_flight}
        rests = {node: self._sent_at.get(node, -math.inf) + self.pace.apart / 1000 - now for node in free}
        waits = {node: seconds for node, seconds in rests.items() if seconds > 0}
        if free.keys() <= waits.keys():
            return [], {}, min(waits.values(), default=fetcher._fetcher_timeout), False, []
        most_bytes = self._room.make(fetcher._records) // len(states)
        if most_bytes <= 0:
            return [], {}, fetcher._fetcher_timeout, False, []  # whatever is taken wakes the plan
        left_out = LeftOut(fetcher._records, self._room.paused())
        holding = self._look_at_records(free, waits)
        timeout = min(waits.values()) if waits else fetcher._fetcher_timeout
        requests: list[tuple[int, FetchRequest]] = []
        for node, led in free.items():
            if node in waits or (
                (node in holding or left_out.paused) and all(map(left_out.__contains__, led))
            ):
                continue
            if any(state._position is None or state._paused for state in led.values()):
                return self._thorough(assignment)
            requests.append((node, self._request(node, led, left_out, most_bytes, is_part=node in holding)))
        self._sent_at.update((node, now) for node, _ in requests)
        return requests, {}, timeout, False, []

    def _look_at_records(self, free: Collection[int], waits: dict[int, float]) -> set[int]:
        """Which of the ``free`` brokers that do not wait have brought something that is not taken yet.

        Those that give time to take it, in seconds, are added to ``waits``. The last to come has the most
        time, and is looked at first: where it is over, there may be a thousand that wait for longer.
        """
        holding: set[int] = set()
        records, leaders = self._fetcher._records, self._leaders
        unseen = {node for node in free if node not in waits}
        for partition in reversed(records):
            if not unseen:
                break
            if getattr(records[partition], "is_held", False):
                continue  # stays there, see record_batches.py
            if (node := leaders.get(partition)) in unseen:
                unseen.remove(node)
                holding.add(node)
                if seconds := records[partition].calculate_backoff():
                    waits[node] = seconds
        return holding

    def _states_of(self, assignment: Any) -> dict[int, dict[TopicPartition, Any]]:
        """The partitions that each broker leads, with aiokafka's state; nothing while one has no leader."""
        cluster = self._fetcher._client.cluster
        metadata = cluster._partitions
        if assignment is not self._assignment or metadata is not self._metadata:
            leaders = {partition: cluster.leader_for_partition(partition) for partition in assignment.tps}
            if assignment is not self._assignment or leaders != self._leaders:
                self._fetcher._client.restart()  # a session must not go on with what is another's now
                self._leaders, self._states = leaders, _by_leader(leaders, assignment._tp_state)
            self._assignment, self._metadata = assignment, metadata
        return self._states

    def _request(
        self,
        node: int,
        states: Mapping[TopicPartition, Any],
        left_out: LeftOut,
        most_bytes: int,
        *,
        is_part: bool,
    ) -> SessionFetch:
        fetcher, sessions = self._fetcher, self._fetcher._client
        bounds = FetchBounds(
            wait_ms=self.pace.short_wait if is_part else self.pace.wait,
            least_bytes=fetcher._fetch_min_bytes,
            most_bytes=min(most_bytes, fetcher._fetch_max_bytes),
            most_partition_bytes=fetcher._max_partition_fetch_bytes,
            isolation_level=fetcher._isolation_level,
        )
        return SessionFetch(sessions.session_of(node), states, left_out, bounds)


def in_sessions(fetcher: Any, pace: FetchPace, room: FetchRoom = AMPLE) -> None:
    """Let aiokafka's fetcher begin sessions, or begin them anew, at this pace and within this room."""
    if not isinstance(fetcher._client, FetchSessions):
        fetcher._client = FetchSessions(fetcher._client)
        fetcher._get_actions_per_node = FetchPlan(fetcher, pace, room=room)
    fetcher._get_actions_per_node.pace = pace
    fetcher._client.restart()


def _by_leader(
    leaders: Mapping[TopicPartition, int | None], states: Mapping[TopicPartition, Any]
) -> dict[int, dict[TopicPartition, Any]]:
    found: dict[int, dict[TopicPartition, Any]] = {}
    for partition, node in leaders.items():
        if node is None or node < 0:
            return {}
        found.setdefault(node, {})[partition] = states[partition]
    return found
