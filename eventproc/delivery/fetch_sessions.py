"""Incremental fetches (KIP-227), which aiokafka (0.14) does not make: it names every partition in each fetch.

So does the broker's answer then, however few records come, and all of it is written and read in plain Python.
In a session a request names what has changed since the last, and an answer what there is something of. Here
between aiokafka's fetcher, which goes on as if it named everything, and its client.

The broker may forget a session at any time, or have no room for one; then a fetch names everything again.
Brokers before 1.1 know none, and nothing changes. Proof: tests/unit/delivery/test_fetch_sessions.py,
tests/integration/test_fetch_sessions.py.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, TypeAlias

import structlog
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest

from eventproc.delivery.fetch_pace import FetchPace
from eventproc.delivery.fetch_plan import FetchPlan

log = structlog.stdlib.get_logger("eventproc.delivery")

FIRST_VERSION: Final = 7
"""Of the fetch request, in which sessions came."""

MOST_EPOCHS: Final = 2**31 - 1

Topics: TypeAlias = list[tuple[str, list[tuple[int, int, int]]]]
"""Topic, and of each partition its number, the offset to read from and the most bytes."""


class FetchSession:
    """What one broker knows of what this consumer reads from it."""

    def __init__(self, session_id: int = 0) -> None:
        self.id = session_id
        self.epoch = 0
        self._known: dict[tuple[str, int], tuple[int, int]] = {}

    def changes(self, topics: Topics) -> tuple[Topics, list[tuple[str, list[int]]]]:
        """What to name of ``topics``, and what not to read any more, by topic; noted as known from now on."""
        wanted = {
            (topic, number): (offset, most)
            for topic, partitions in topics
            for number, offset, most in partitions
        }
        known, self._known = self._known, wanted
        if self.epoch == 0:
            return topics, []
        named: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for partition, place in wanted.items():
            if known.get(partition) != place:
                named[partition[0]].append((partition[1], *place))
        forgotten: defaultdict[str, list[int]] = defaultdict(list)
        for topic, number in known.keys() - wanted.keys():
            forgotten[topic].append(number)
        return list(named.items()), list(forgotten.items())

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


def in_sessions(fetcher: Any, pace: FetchPace) -> None:
    """Let aiokafka's fetcher begin sessions, or begin them anew, at this pace."""
    if not isinstance(fetcher._client, FetchSessions):  # noqa: SLF001 - see the head of the module
        fetcher._client = FetchSessions(fetcher._client)  # noqa: SLF001
        fetcher._get_actions_per_node = FetchPlan(fetcher, pace)  # noqa: SLF001
    fetcher._get_actions_per_node.pace = pace  # noqa: SLF001
    fetcher._client.restart()  # noqa: SLF001


class FetchSessions:
    """In place of the client in aiokafka's fetcher: passes everything on, fetches as parts of a session."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sessions: dict[int, FetchSession] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def restart(self) -> None:
        """For a new assignment: of each of its partitions the next answers say where it ends.

        What is under way belongs to the sessions before.
        """
        self._sessions = {node: FetchSession(session.id) for node, session in self._sessions.items()}

    def has_session(self, node_id: int) -> bool:
        """Whether this broker keeps one for us."""
        session = self._sessions.get(node_id)
        return session is not None and session.epoch > 0

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """As the client's.

        Raises:
            KafkaError: as the client's, or the broker refuses the fetch as a whole.
        """
        if not isinstance(request, FetchRequest):
            return await self._client.send(node_id, request, **options)
        session = self._sessions.setdefault(node_id, FetchSession())
        response = await self._fetch(node_id, session, request, options)
        if response.API_VERSION >= FIRST_VERSION and response.error_code and session.epoch:
            log.info("fetch.session_lost", broker=node_id, problem=for_code(response.error_code).__name__)
            session.restart()
            response = await self._fetch(node_id, session, request, options)
        if response.API_VERSION >= FIRST_VERSION:
            if response.error_code:
                session.restart()
                raise for_code(response.error_code)
            session.answered(response.session_id)
        return response

    async def _fetch(
        self, node_id: int, session: FetchSession, request: FetchRequest, options: dict[str, Any]
    ) -> Any:
        try:
            return await self._client.send(node_id, _SessionRequest(request, session), **options)
        except BaseException:
            session.restart()  # whether the broker has taken it is not known
            raise


class _SessionRequest(FetchRequest):
    _topics: Topics

    def __init__(self, full: FetchRequest, session: FetchSession) -> None:
        self.__dict__.update(full.__dict__)
        self._session = session

    def build(self, request_struct_class: Any) -> Any:
        """In the broker's version, at the moment it is sent."""
        self._topics, forgotten = self._session.changes(self._topics)
        struct = super().build(request_struct_class)
        if request_struct_class.API_VERSION >= FIRST_VERSION:
            struct.session_id, struct.session_epoch = self._session.id, self._session.epoch
            struct.forgotten_topics_data = forgotten
        return struct
