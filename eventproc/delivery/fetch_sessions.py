"""Incremental fetches (KIP-227), which aiokafka (0.14) does not make: it names every partition in each fetch.

So does the broker's answer then, however few records come, and all of it is written and read in plain Python.
In a session a request names what has changed since the last, and an answer what there is something of. Here
between aiokafka's fetcher, which goes on as if it named everything, and its client.

The broker may forget a session at any time, or have no room for one; then a fetch names everything again.
Brokers before 1.1 know none, and nothing changes. Proof: tests/unit/delivery/test_fetch_sessions.py,
tests/integration/test_fetch_sessions.py.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import structlog
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

log = structlog.stdlib.get_logger("eventproc.delivery")

FIRST_VERSION: Final = 7
"""Of the fetch request, in which sessions came."""

MOST_EPOCHS: Final = 2**31 - 1


class FetchBounds(NamedTuple):
    """How long a fetch waits for how many bytes, and how many it takes at most: in all, of a partition."""

    wait_ms: int
    least_bytes: int
    most_bytes: int
    most_partition_bytes: int
    isolation_level: int


class FetchSession:
    """What one broker knows of what this consumer reads from it: partitions, each with its next offset."""

    def __init__(self, session_id: int = 0) -> None:
        self.id = session_id
        self.epoch = 0
        self.known: dict[TopicPartition, int] = {}

    def changes(
        self, states: Mapping[TopicPartition, Any], left_out: Collection[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], list[TopicPartition]]:
        """What to name, and what not to read any more; noted as known from now on.

        Args:
            states: of all partitions that this broker leads, as aiokafka keeps them.
            left_out: partitions not to be read, of any broker.
        """
        if self.epoch == 0:
            self.known = {}
        known = self.known
        forgotten = [partition for partition in left_out if known.pop(partition, None) is not None]
        named = {
            partition: state._position  # noqa: SLF001 - a property asserts, a thousand times a fetch
            for partition, state in states.items()
            if known.get(partition) != state._position and partition not in left_out  # noqa: SLF001
        }
        for partition in [partition for partition, position in named.items() if position is None]:
            del named[partition], known[partition]
            forgotten.append(partition)
        known.update(named)
        return named, forgotten

    def answered(self, session_id: int) -> None:
        """The broker has taken the request; 0 means that it keeps no session for us."""
        self.id = session_id
        if session_id == 0:
            self.epoch = 0
        else:
            self.epoch = self.epoch + 1 if self.epoch < MOST_EPOCHS else 1

    def restart(self) -> None:
        """Name everything next, in place of the session there is."""
        self.epoch = 0


class SessionFetch(FetchRequest):
    """A fetch of all that a broker leads but what is left out, decided when it is written."""

    def __init__(
        self,
        session: FetchSession,
        states: Mapping[TopicPartition, Any],
        left_out: Collection[TopicPartition],
        bounds: FetchBounds,
    ) -> None:
        wait_ms, least_bytes, most_bytes, self._most_partition_bytes, isolation_level = bounds
        super().__init__(wait_ms, least_bytes, most_bytes, isolation_level, [])
        self.session = session
        self._states = states
        self._left_out = left_out

    def build(self, request_struct_class: Any) -> Any:
        """In the broker's version."""
        session = self.session
        named, forgotten = session.changes(self._states, self._left_out)
        self._name(named)
        if session.epoch == 0:
            # A broker fills its answer in the order of the request; in a session it changes that by itself.
            random.shuffle(self._topics)
        struct = super().build(request_struct_class)
        if request_struct_class.API_VERSION >= FIRST_VERSION:
            struct.session_id, struct.session_epoch = session.id, session.epoch
            struct.forgotten_topics_data = _by_topic({partition: partition[1] for partition in forgotten})
        return struct

    def answered(self, response: Any) -> None:
        """From now on ``topics`` has what the answer speaks of, which is all that the fetcher looks up."""
        known = self.session.known
        spoken_of = [
            TopicPartition(topic, entry[0]) for topic, entries in response.topics for entry in entries
        ]
        self._name({partition: known[partition] for partition in spoken_of})

    def _name(self, positions: Mapping[TopicPartition, int]) -> None:
        most = self._most_partition_bytes
        entries = {partition: (partition[1], position, most) for partition, position in positions.items()}
        self._topics = _by_topic(entries)


class FetchSessions:
    """In place of the client in aiokafka's fetcher: passes everything on, knows the sessions."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sessions: dict[int, FetchSession] = {}
        self.answered_at: float | None = None
        """When a broker last answered a fetch, by ``time.monotonic``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def restart(self) -> None:
        """For a new assignment: of each of its partitions the next answers say where it ends.

        What is under way belongs to the sessions before.
        """
        self._sessions = {node: FetchSession(session.id) for node, session in self._sessions.items()}

    def session_of(self, node_id: int) -> FetchSession:
        """What this broker knows."""
        return self._sessions.setdefault(node_id, FetchSession())

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """As the client's.

        Raises:
            KafkaError: as the client's, or the broker refuses the fetch as a whole.
        """
        if not isinstance(request, SessionFetch):
            if isinstance(request, FetchRequest):  # aiokafka's own, which names everything
                self.session_of(node_id).restart()
                response = await self._client.send(node_id, request, **options)
                self.answered_at = time.monotonic()
                return response
            return await self._client.send(node_id, request, **options)
        session = request.session
        response = await self._fetch(node_id, request, options)
        if response.API_VERSION >= FIRST_VERSION and response.error_code and session.epoch:
            log.info("fetch.session_lost", broker=node_id, problem=for_code(response.error_code).__name__)
            session.restart()
            response = await self._fetch(node_id, request, options)
        if response.API_VERSION >= FIRST_VERSION:
            if response.error_code:
                session.restart()
                raise for_code(response.error_code)
            session.answered(response.session_id)
        request.answered(response)
        return response

    async def _fetch(self, node_id: int, request: SessionFetch, options: dict[str, Any]) -> Any:
        try:
            response = await self._client.send(node_id, request, **options)
        except BaseException:
            request.session.restart()  # whether the broker has taken it is not known
            raise
        self.answered_at = time.monotonic()
        return response


def _by_topic(entries: Mapping[TopicPartition, Any]) -> list[tuple[str, list[Any]]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for partition, entry in entries.items():
        found[partition[0]].append(entry)
    return list(found.items())
