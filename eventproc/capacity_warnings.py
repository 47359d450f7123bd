"""What in a plan is near a limit, or not as one would expect it: a sentence each, with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eventproc.capacity import (
    GROUP_RECORD_BYTES,
    MOST_IN_FLIGHT,
    REPLICAS_PER_BROKER,
    REPLICAS_PER_CLUSTER,
    WORKER_MEMORY_MB,
    Plan,
)
from eventproc.delivery.fetch_pace import CHEAP_PARTITIONS

NEAR: Final = 0.7
"""Of a limit that is Kafka's: beyond this share it is named."""
BUSY: Final = 0.7
BATCHED: Final = 1.5
MANY_CONNECTIONS: Final = 1000


def warnings_of(plan: Plan) -> Iterator[str]:
    """In the order of their weight."""
    yield from _kafka(plan)
    yield from _routing(plan)
    yield from _receivers(plan)
    yield from _partitions(plan)
    yield from _latency(plan)
    yield from _memory(plan)


def _kafka(plan: Plan) -> Iterator[str]:
    kafka = plan.kafka
    if kafka.workers_per_topic == 1 and kafka.group_record_bytes > NEAR * GROUP_RECORD_BYTES:
        yield (
            f"The group's record is about {kafka.group_record_bytes / 1e6:,.1f} MB, and Kafka takes "
            f"{GROUP_RECORD_BYTES / 1e6:.2f} MB by default: above that no worker gets partitions. Set "
            "max.message.bytes of __consumer_offsets to twice that before the start, and "
            "consumer.group_record_max_bytes to the same."
        )
    elif kafka.workers_per_topic < min(plan.topic_partitions, plan.workers):
        yield (
            f"Of {plan.workers} workers {kafka.workers_per_topic} share a wallet's events, that the group's "
            "record stays below what Kafka takes by default. consumer.group_record_max_bytes says more."
        )
    if kafka.replicas > NEAR * REPLICAS_PER_CLUSTER:
        yield (
            f"{kafka.replicas:,} replicas: a cluster is said to bear {REPLICAS_PER_CLUSTER:,}. "
            "See docs/scale.md."
        )
    elif kafka.brokers > plan.load.replication:
        yield (
            f"{kafka.replicas:,} replicas need {kafka.brokers} brokers at {REPLICAS_PER_BROKER:,} each, "
            "which is the general recommendation."
        )
    yield (
        f"topics.retention_hours is empty by default: without it, disk grows by "
        f"{kafka.disk_gb_per_day:,.0f} GB a day, for ever."
    )


def _routing(plan: Plan) -> Iterator[str]:
    if plan.source_partitions > 1:
        yield (
            f"Routing takes {plan.cores.routing:.1f} cores, so TRANSACTION needs {plan.source_partitions} "
            "partitions: then the anchor's order of a transaction's events is lost before we see them."
        )
    elif plan.workers_with_split_source < plan.workers:
        yield (
            f"One worker routes everything and is the busiest: with a partition of TRANSACTION for each, "
            f"{plan.workers_with_split_source} workers would do, at the price of the anchor's order."
        )
    if plan.cores.busiest > BUSY:
        yield (
            f"The busiest worker is at {plan.cores.busiest:.0%} of its core: after an outage it catches up "
            "last, and a restart beside it shows."
        )


def _receivers(plan: Plan) -> Iterator[str]:
    if plan.wanted_in_flight > MOST_IN_FLIGHT:
        yield (
            f"{plan.wanted_in_flight:,} in flight on a worker are more than delivery.max_in_flight allows "
            f"({MOST_IN_FLIGHT:,}): more workers and topics.partitions, or a faster receiver."
        )
    connections = (plan.in_flight_business + plan.in_flight_wallets) / plan.workers
    if connections > MANY_CONNECTIONS:
        yield f"About {connections:,.0f} connections on each worker: mind its limit of open files."


def _partitions(plan: Plan) -> Iterator[str]:
    if plan.topic_partitions > plan.partitions_for_largest_wallet and plan.load.wallets > CHEAP_PARTITIONS:
        yield (
            f"topics.partitions is one number for all topics: the business server needs "
            f"{plan.topic_partitions}, the largest wallet {plan.partitions_for_largest_wallet}."
        )


def _latency(plan: Plan) -> Iterator[str]:
    latency = plan.latency
    if latency.partitions_per_worker > CHEAP_PARTITIONS:
        yield (
            f"{latency.partitions_per_worker:,} partitions on a worker: fetches are {latency.pace.apart} ms "
            "apart, at each of two hops. More workers have fewer each."
        )
    if plan.kafka.records_per_batch_wallet < BATCHED and plan.load.wallets > CHEAP_PARTITIONS:
        yield (
            "Wallets' records come one by one, not in batches: reckon with more CPU for each than measured "
            "where one destination has them all."
        )


def _memory(plan: Plan) -> Iterator[str]:
    memory = plan.memory
    if memory.all_down > WORKER_MEMORY_MB:
        yield (
            f"With every destination down a worker takes {memory.all_down:,.0f} MB; the chart gives it "
            f"{WORKER_MEMORY_MB:,}. More workers, or raise its limit."
        )
