"""Puts a configuration in force on a running worker: engines, routing, subscription.

In this order, so that nothing is routed to where nobody will look, and nothing fails half-way: the topics of
what comes, then engines, then the routing table, then the subscription, which hands everything over as a
rebalance does. A change that brings or drops no destination needs no rebalance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from eventproc.delivery.bounded_kafka import ANSWER_SECONDS, as_unavailable, within
from eventproc.delivery.engine import Engine
from eventproc.delivery.faust_subscription import AgentTopics
from eventproc.delivery.ledger import Ledger
from eventproc.delivery.producer import RecordProducer
from eventproc.delivery.reloader import Retired
from eventproc.delivery.topic_limits import read_topic_limits
from eventproc.delivery.topics import declare_topics, plan_topics
from eventproc.delivery.watchdog import lag
from eventproc.destinations import Destination, build_destinations
from eventproc.destinations.routes import build_routing_table
from eventproc.http.sender import Sender
from eventproc.http.tls import read_certificates
from eventproc.identifiers import DestinationId
from eventproc.record_limits import RecordLimits
from eventproc.reload_plan import Configuration, ReloadPlan
from settings import Settings

log = structlog.stdlib.get_logger("eventproc")

GRACE_SECONDS: Final = 5.0
"""Beyond the request time-out, after which a sender is surely idle."""


def build_configuration(settings: Settings) -> Configuration:
    """Everything that can be wrong with settings shows here at the latest; raises ConfigurationError."""
    destinations = build_destinations(settings)
    read_certificates(destinations.values())
    return Configuration(settings, destinations)


class LiveConfiguration:
    """What is in force on this worker.

    Args:
        app: the worker; its ``parts`` are what is changed.
        make_engine: an engine of a destination that comes.
        make_sender: a sender of a destination that changes.
        producer: has to know the topics.
        limits: likewise.
        read: the topics that the sinks' agent reads.
    """

    def __init__(  # noqa: PLR0917 - parts of one worker
        self,
        app: Any,
        make_engine: Callable[[Settings, Destination], Engine],
        make_sender: Callable[[Settings, Destination], Sender],
        producer: RecordProducer,
        limits: RecordLimits,
        read: AgentTopics,
    ) -> None:
        self._app = app
        self._make_engine = make_engine
        self._make_sender = make_sender
        self._producer = producer
        self._limits = limits
        self._read = read

    async def apply(self, new: Configuration, plan: ReloadPlan) -> list[Retired]:
        """Put it in force; raises before anything has changed."""
        parts = self._app.parts
        fresh = [id_ for id_ in plan.added if id_ not in parts.engines]
        back = [id_ for id_ in plan.added if id_ in parts.engines]
        await self._make_topics(new, fresh)
        retired = [self._reconfigure(new, id_) for id_ in (*plan.changed, *back)]
        for id_ in fresh:
            self._open(new, id_)
        self._route(new)
        parts.settings = new.settings
        leaving = self._let_go(new, plan.removed)
        if fresh or leaving:
            await self._app.resubscribe(self._read, {engine.destination.topic for engine in leaving})
        for engine in leaving:
            await self._close(engine)
        return retired

    async def _make_topics(self, new: Configuration, fresh: Iterable[DestinationId]) -> None:
        topics = [new.destinations[id_].topic for id_ in fresh]
        if not topics:
            return
        with as_unavailable(new.settings):
            await within(ANSWER_SECONDS, declare_topics(new.settings, plan_topics(new.settings, topics)))
            self._limits.learn(await read_topic_limits(new.settings, topics))
            for topic in topics:
                await within(ANSWER_SECONDS, self._producer.add_ordered_topic(topic))

    def _reconfigure(self, new: Configuration, id_: DestinationId) -> Retired:
        parts, destination = self._app.parts, new.destinations[id_]
        engine: Engine = parts.engines[id_]
        sender = self._make_sender(new.settings, destination)
        engine.is_removed = False
        seconds = parts.settings.delivery.request_timeout_seconds + GRACE_SECONDS
        return Retired(engine.reconfigure(destination, new.settings.delivery, sender), seconds)

    def _open(self, new: Configuration, id_: DestinationId) -> None:
        parts = self._app.parts
        engine = parts.engines[id_] = self._make_engine(new.settings, new.destinations[id_])
        parts.control.adopt(id_)
        parts.ledger.register(engine.destination.topic, engine)
        self._read.topics.append(engine.destination.topic)

    def _route(self, new: Configuration) -> None:
        topics = {id_: destination.topic for id_, destination in new.destinations.items()}
        self._app.parts.router.use(build_routing_table(new.settings, set(topics)), topics)

    def _let_go(self, new: Configuration, removed: Iterable[DestinationId]) -> list[Engine]:
        """Nothing is routed to these any more. Returns the engines that are to stop."""
        parts, highwater = self._app.parts, self._app.highwater()
        for id_ in removed:
            engine = parts.engines[id_]
            engine.is_removed = True
            if new.settings.reload.removed_destinations == "keep":
                log.info("destination.draining", destination=id_, waiting=lag(engine.partitions, highwater))
        if new.settings.reload.removed_destinations == "keep":
            return []
        leaving = [engine for engine in parts.engines.values() if engine.is_removed]
        for engine in leaving:
            waiting = lag(engine.partitions, highwater)
            log.warning("destination.dropped", destination=engine.destination.id, waiting=waiting)
        return leaving

    async def _close(self, engine: Engine) -> None:
        """It is drained and has no partition any more."""
        ledger: Ledger = self._app.parts.ledger
        ledger.unregister(engine.destination.topic)
        del self._app.parts.engines[engine.destination.id]
        await engine.close()


def warn_of_what_stays(engines: Iterable[Engine], highwater: Callable[[Any], int | None]) -> None:
    """At a stop: a worker that starts again does not know removed destinations."""
    for engine in engines:
        if engine.is_removed and (waiting := lag(engine.partitions, highwater)):
            log.warning("destination.left_waiting", destination=engine.destination.id, waiting=waiting)
