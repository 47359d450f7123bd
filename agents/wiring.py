"""The composition root: settings in, a Faust app out. Reads top-down in the order of an event's way."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from agents.live import LiveConfiguration, build_configuration, warn_of_what_stays
from agents.pages import add_pages
from agents.pulses import pulses
from agents.router import Router, RouterTopics
from agents.sink import feed
from eventproc.delivery.acceptances import Acceptances
from eventproc.delivery.aiokafka_internals import give_up_silent_brokers
from eventproc.delivery.assignor import Assignor
from eventproc.delivery.backlog import PartitionTap
from eventproc.delivery.clock import LoopClock
from eventproc.delivery.control import Control
from eventproc.delivery.customer_directory import CustomerDirectory
from eventproc.delivery.dead_letter_writer import DeadLetterWriter
from eventproc.delivery.descriptors import raise_descriptor_limit
from eventproc.delivery.engine import Engine, EngineParts
from eventproc.delivery.faust_credentials import credentials
from eventproc.delivery.faust_internals import BatchSchema, Transport
from eventproc.delivery.faust_subscription import AgentTopics, App
from eventproc.delivery.faust_web import WebServer
from eventproc.delivery.faust_worker import Worker
from eventproc.delivery.garbage import settle
from eventproc.delivery.giving_up import LaneHolds
from eventproc.delivery.held_bytes import HeldBytes
from eventproc.delivery.held_lanes import UnsharedHolds, held_lanes
from eventproc.delivery.history import History
from eventproc.delivery.journal import NO_JOURNAL, Journal, Tracer
from eventproc.delivery.journal_writer import JournalWriter
from eventproc.delivery.kafka_access import ask_for_access
from eventproc.delivery.kafka_watch import KafkaWatch
from eventproc.delivery.ledger import Ledger
from eventproc.delivery.left_behind import warn_of_left_behind
from eventproc.delivery.letter_counter import LetterCounter
from eventproc.delivery.partitions import Partition
from eventproc.delivery.preflight import preflight
from eventproc.delivery.producer import RecordProducer
from eventproc.delivery.reloader import Reloader
from eventproc.delivery.shadow_sender import ShadowSender
from eventproc.delivery.signing_key_watch import SigningKeyWatch
from eventproc.delivery.stopped_partitions import StoppedPartitions
from eventproc.delivery.topic_keeper import TopicKeeper, topics_read
from eventproc.delivery.topic_limits import read_topic_limits
from eventproc.delivery.topic_troubles import TopicTroubles
from eventproc.delivery.topics import plan_topics
from eventproc.delivery.watchdog import ProgressWatch
from eventproc.delivery.worker_memory import WorkerMemory
from eventproc.destinations import Destination, build_destinations
from eventproc.destinations.business_server import DESTINATION_ID as BUSINESS_SERVER
from eventproc.destinations.routes import build_routing_table
from eventproc.doctor.findings import State
from eventproc.doctor.signing_key import home_domains, judge_signing_key
from eventproc.errors import ConfigurationError
from eventproc.group_topics import GroupTopics
from eventproc.http.resolver import CachingResolver, open_resolver
from eventproc.http.sender import Sender, make_sender
from eventproc.identifiers import DestinationId
from eventproc.order_guard import OrderGuard
from eventproc.record_limits import RecordLimits
from eventproc.reload_plan import Configuration
from eventproc.tracing_extra import missing_extra
from eventproc.unchanged import DeliveredContents
from settings import Settings, load_settings
from settings.topic_names import topic_name

log = structlog.stdlib.get_logger("eventproc")

FETCH_BYTES: Final = 256 * 1024
"""Of one partition in one fetch, which aiokafka keeps ready; Kafka gives a larger record all the same."""

ANCHOR_SECONDS: Final = 10.0

SILENCE_SHARE: Final = 1 / 3
"""Of the session timeout a broker's host may be silent: we find the next one before the group gives us up."""

METADATA_SECONDS: Final = 60
"""So soon new partitions are seen. An answer of 1,000 topics takes 90 ms, so 0.15 % of a core."""

STREAM_BUFFER_RECORDS: Final = 8192
"""Far above the poll limit, and sinks never wait, so a stream's queue never fills."""


@dataclass(slots=True)
class Parts:
    """What pages and commands look at; ``settings`` and ``engines`` are those in force now."""

    settings: Settings
    router: Router
    engines: dict[DestinationId, Engine]
    ledger: Ledger
    directory: CustomerDirectory
    control: Control
    watch: ProgressWatch
    kafka: KafkaWatch
    journal: JournalWriter | None
    history: History
    reloader: Reloader
    troubles: TopicTroubles
    memory: WorkerMemory
    resolver: CachingResolver
    letters: LetterCounter


class EventprocApp(App):
    """Faust's app, which starts the services that everything else stands on before it subscribes."""

    parts: Parts
    foundation: tuple[Any, ...] = ()

    def highwater(self) -> Callable[[Partition], int | None]:
        """Where an assigned partition ended at the last fetch; None for every other one."""
        if self._consumer is None:
            return lambda _partition: None
        consumer, assigned = self._consumer, self._consumer.assignment()
        return lambda partition: consumer.highwater(partition) if partition in assigned else None

    def answered_at(self) -> float | None:
        """When a broker last answered a fetch of this worker, by ``time.monotonic``; None: never."""
        return None if self._consumer is None else self._consumer.answered_at()

    def readable_end(self) -> Callable[[Partition], int | None]:
        """Up to where an assigned partition can be read: before its end while a transaction is open."""
        if self._consumer is None:
            return lambda _partition: None
        consumer, assigned = self._consumer, self._consumer.assignment()
        end = lambda partition: consumer.readable_end(partition) if partition in assigned else None  # noqa: E731
        return self.stopped.readable_end(end)

    @property
    def stopped(self) -> StoppedPartitions:
        """The partitions that stand still at a batch that cannot be read."""
        return self.transport.stopped  # type: ignore[no-any-return]

    async def on_start(self) -> None:
        """Faust's own start, then producer, directory, router, in this order."""
        await super().on_start()
        settings = self.parts.settings
        if settings.delivery.mode == "shadow":
            topics = settings.topics
            log.warning("worker.shadow", requests=topics.requests, consumer_group=topics.consumer_group)
        self.parts.memory.report()
        for service in self.foundation:
            await self.add_runtime_dependency(service)


def create_app(settings: Settings) -> EventprocApp:
    """Everything of one worker, put together; nothing is connected yet."""
    raise_descriptor_limit()
    give_up_silent_brokers(settings.consumer.session_timeout_seconds * SILENCE_SHARE)
    ledger, tap = Ledger(), PartitionTap()
    memory = WorkerMemory.of(settings, lambda: tap.paused)
    destinations = build_destinations(settings)
    ordered_topics = frozenset(destination.topic for destination in destinations.values())
    limits = RecordLimits(settings.topics.max_message_bytes)
    app = _faust_app(settings, ordered_topics, limits)
    app.web = WebServer(app)
    app.transport = _transport(app, ledger, tap, memory, settings)

    producer = RecordProducer(settings, ordered_topics, limits)
    troubles = TopicTroubles(producer.problem_of)
    dead_letters = DeadLetterWriter(producer, limits, settings.topics, troubles)
    directory = CustomerDirectory(settings, settings.topics.customers, lambda: app.parts.settings)
    held = held_lanes(settings)
    writer = JournalWriter(settings, producer) if settings.timeline.enabled else None
    journal: Journal = writer or NO_JOURNAL
    tracing = _tracing(settings, journal)
    resolver = open_resolver(settings.delivery.name_servers)
    acceptances = Acceptances(settings, producer) if settings.delivery.mode == "deliver" else None
    make_sender = partial(_make_sender, producer, resolver)
    make_engine = _engine_maker(
        dead_letters,
        tap,
        make_sender,
        held or UnsharedHolds(),
        tracing or journal,
        tracing,
        memory.waiting,
        acceptances,
    )
    engines = {id_: make_engine(settings, destination) for id_, destination in destinations.items()}
    parts = (build_routing_table(settings, set(engines)), _router_topics(settings, destinations))
    bounds: Any = {"limits": limits, "troubles": troubles, "memory": memory.routing}
    router = Router(*parts, producer, directory, tap, **bounds, journal=tracing or journal, tracer=tracing)

    _add_agent(app, ledger, "router", {settings.topics.source: router})
    read = _add_agent(app, ledger, "sinks", {one.destination.topic: one for one in engines.values()})

    kafka, watch = _watches(app, settings, router, engines)
    control, history = Control(settings, engines), History(engines.values)
    live = LiveConfiguration(app, make_engine, make_sender, producer, limits, read)
    configuration = Configuration(settings, destinations)
    reloader = Reloader(configuration, load_settings, build_configuration, live.apply)
    letters = LetterCounter(settings)
    services = (directory, control, watch, kafka, writer, history, reloader, troubles, memory)
    app.parts = Parts(settings, router, engines, ledger, *services, resolver, letters)
    optional = [service for service in (held, writer, tracing, acceptances) if service is not None]
    keys = SigningKeyWatch(lambda: app.parts.settings, _ask_anchor)
    keeper = TopicKeeper(settings, partial(topics_read, engines.values), app.refresh_topics)
    first, last = (producer, directory, *optional), (history, reloader, letters, keys, keeper)
    app.foundation = (*first, control, router, kafka, watch, *last)
    _hand_over_in_rebalances(app, settings)
    add_pages(app)
    return app


def _faust_app(settings: Settings, destination_topics: frozenset[str], limits: RecordLimits) -> EventprocApp:
    kafka, consumer, delivery = settings.events.queue.kafka, settings.consumer, settings.delivery
    servers = ";".join(f"kafka://{server}" for server in kafka.bootstrap_servers)

    class ConfiguredWorker(Worker):
        shutdown_seconds = delivery.worker_shutdown_timeout_seconds
        log_format = settings.logging.format

        async def preflight(self) -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, app.parts.reloader.ask)
            plans = plan_topics(settings, sorted(destination_topics))
            await preflight(settings, plans, app.conf.web_bind, app.conf.web_port)
            limits.learn(await read_topic_limits(settings, [plan.name for plan in plans]))
            await warn_of_left_behind(settings, destination_topics)

    class ConfiguredAssignor(Assignor):
        ours = GroupTopics(settings.topics.source, settings.topics.prefix)
        record_max_bytes = consumer.group_record_max_bytes
        wide_topics = frozenset({settings.topics.source, topic_name(settings.topics.prefix, BUSINESS_SERVER)})

    app = EventprocApp(
        settings.topics.consumer_group,
        broker=servers,
        broker_credentials=credentials(settings),
        broker_client_id=kafka.client_id or "eventproc",
        broker_session_timeout=consumer.session_timeout_seconds,
        broker_heartbeat_interval=consumer.heartbeat_interval_seconds,
        broker_request_timeout=max(60.0, consumer.session_timeout_seconds * 2),
        broker_commit_interval=delivery.commit_interval_seconds,
        broker_max_poll_records=consumer.max_poll_records,
        consumer_group_instance_id=consumer.group_instance_id,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_auto_offset_reset="none",
        consumer_metadata_max_age_ms=METADATA_SECONDS * 1000,
        stream_buffer_maxsize=STREAM_BUFFER_RECORDS,
        stream_wait_empty=False,
        table_standby_replicas=1,  # there are no tables: this alone makes Faust ask its PartitionAssignor
        topic_disable_leader=True,
        topic_allow_declare=False,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        autodiscover=False,
        datadir=Path(tempfile.gettempdir())
        / f"{settings.topics.consumer_group}-data",  # nothing is kept there
        web_router_enabled=False,
        web_tables_enabled=False,
        web_port=settings.web_port,
        web_bind=settings.web.host,
        logging_config=None,
        Worker=ConfiguredWorker,
        PartitionAssignor=ConfiguredAssignor,
    )
    return app


def _transport(
    app: EventprocApp, ledger: Ledger, tap: PartitionTap, memory: WorkerMemory, settings: Settings
) -> Transport:
    return Transport(
        app.conf.broker_consumer,
        app,
        ledger=ledger,
        tap=tap,
        room=memory.fetched,
        fetch_max_wait_ms=settings.consumer.fetch_max_wait_milliseconds,
        isolation_level=settings.consumer.isolation_level,
    )


def _router_topics(settings: Settings, destinations: dict[DestinationId, Destination]) -> RouterTopics:
    return RouterTopics(
        by_destination={id_: destination.topic for id_, destination in destinations.items()},
        invalid=settings.topics.invalid,
        dead_letter=settings.topics.dead_letter,
        customers=settings.topics.customers,
    )


def _tracing(settings: Settings, journal: Journal) -> Any:
    """A ``Journal`` before the journal, and a ``Tracer``; None, and nothing imported, when traces are off."""
    if not settings.tracing.enabled:
        return None
    if (problem := missing_extra(settings.tracing)) is not None:
        raise ConfigurationError([problem])
    from eventproc.delivery.tracing import Tracing, make_provider  # noqa: PLC0415 - an extra

    return Tracing(make_provider(settings.tracing), journal)


def _engine_maker(  # noqa: PLR0917 - what all engines share
    dead_letters: DeadLetterWriter,
    tap: PartitionTap,
    make_sender: Callable[[Settings, Destination], Sender],
    holds: LaneHolds,
    journal: Journal,
    tracer: Tracer | None,
    memory: HeldBytes,
    acceptances: Acceptances | None,
) -> Callable[[Settings, Destination], Engine]:
    shared: dict[str, Any] = {
        "dead_letters": dead_letters,
        "flow": tap,
        "clock": LoopClock(),
        "memory": memory,
        "contents": DeliveredContents(),
    }
    shared |= {"holds": holds, "guard": OrderGuard(), "journal": journal, "tracer": tracer}

    def make(settings: Settings, destination: Destination) -> Engine:
        parts = EngineParts(make_sender(settings, destination), acceptances=acceptances, **shared)
        return Engine(destination, settings.delivery, parts)

    return make


def _make_sender(
    producer: RecordProducer, resolver: CachingResolver, settings: Settings, destination: Destination
) -> Sender:
    if settings.delivery.mode == "shadow":
        return ShadowSender(destination, producer, settings.topics.requests)
    return make_sender(destination.endpoint, settings.delivery, resolver)


def _add_agent(app: EventprocApp, ledger: Ledger, name: str, handlers: Mapping[str, Any]) -> AgentTopics:
    """A Faust agent that reads topics, each for its handler."""
    for topic, handler in handlers.items():
        ledger.register(topic, handler)
    topics = AgentTopics.read_by(name, handlers, app, schema=BatchSchema(), acks=False)
    app.agent(topics, name=name)(feed(ledger.handler_of, name))
    return topics


async def _ask_anchor(settings: Settings, at: datetime) -> list[str]:
    checks = await judge_signing_key(settings, home_domains(settings, ()), ANCHOR_SECONDS, None, at)
    return [check.what for check in checks if check.state is State.PROBLEM]


def _watches(
    app: EventprocApp, settings: Settings, router: Router, engines: dict[DestinationId, Engine]
) -> tuple[KafkaWatch, ProgressWatch]:
    kafka = KafkaWatch(app.answered_at, partial(ask_for_access, settings), time.monotonic, time.time)
    watched = partial(pulses, router, engines, app.readable_end)
    limit_seconds = settings.delivery.stuck_after_seconds
    return kafka, ProgressWatch(watched, lambda: app.rebalancing, kafka, limit_seconds)


def _hand_over_in_rebalances(app: EventprocApp, settings: Settings) -> None:
    """A rebalance and a stop do the same: finish what is in flight within a bound, commit, let go."""
    drain = settings.delivery.drain_timeout_seconds
    in_rebalance = min(drain, settings.consumer.session_timeout_seconds * 0.5)
    ledger = app.parts.ledger

    @app.on_partitions_assigned.connect(weak=False)
    async def _assigned(app_: Any, assigned: Any, **_: Any) -> None:  # noqa: ARG001 - a signal's signature
        settle()

    @app.on_partitions_revoked.connect(weak=False)
    async def _revoked(app_: Any, revoked: Any, **_: Any) -> None:  # noqa: ARG001 - a signal's signature
        if revoked:
            await ledger.drain(in_rebalance)
            await app.consumer.commit_now()
            ledger.release()

    @app.on_before_shutdown.connect(weak=False)
    async def _stopping(app_: Any, **_: Any) -> None:  # noqa: ARG001 - a signal's signature
        await ledger.drain(drain)
        if app._consumer is not None:  # noqa: SLF001 - the property would make one
            await app.consumer.commit_at_last(drain)
        warn_of_what_stays(app.parts.engines.values(), app.highwater())
        await asyncio.gather(*(engine.close() for engine in app.parts.engines.values()))
        await app.parts.resolver.aclose()
