"""``eventproc plan``: how many workers, partitions and brokers a load needs, from measured costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from eventproc.capacity import (
    DEFAULT_IN_FLIGHT,
    DEFAULT_WAITING,
    IN_FLIGHT_SPARE,
    TARGET_UTILISATION,
    Load,
    Plan,
    plan_capacity,
)
from eventproc.capacity_warnings import warnings_of
from eventproc.cli.context import ExitCode, fail
from eventproc.cli.kafka_command import print_json
from eventproc.measured_costs import FILE_NAME, Costs, CostsError, costs_of_result, read_costs

EPILOG: Final = """\b
Exit codes:
  0  planned
  2  wrong usage, or no plan that bears the load"""

_POSITIVE: Final = click.FloatRange(min=0, min_open=True)
_SHARE: Final = click.FloatRange(0, 1)


def packaged_costs() -> Costs:
    """Those that came with the program."""
    return read_costs(files("eventproc").joinpath(FILE_NAME).read_text("utf-8"))


def plan_command(packaged: Callable[[], Costs]) -> click.Command:
    """The command; the costs are given, for the benchmark and tests bring their own."""

    @click.command(epilog=EPILOG)
    @click.option(
        "--events-per-second", type=_POSITIVE, required=True, help="What the anchor publishes at most."
    )
    @click.option(
        "--latency-ms",
        type=click.FloatRange(min=0),
        required=True,
        help="What a receiver takes for an answer.",
    )
    @click.option(
        "--destinations",
        type=click.IntRange(min=0),
        default=1,
        show_default=True,
        help="Endpoints of wallets: each SEP of a client counts.",
    )
    @click.option(
        "--business-server/--no-business-server", default=True, show_default=True, help="It gets every event."
    )
    @click.option(
        "--wallet-share",
        type=_SHARE,
        default=1.0,
        show_default=True,
        help="Of the events, how many go to a wallet.",
    )
    @click.option(
        "--largest-wallet",
        type=_SHARE,
        default=0.0,
        show_default="all the same",
        help="Of the wallets' events, how many one endpoint gets.",
    )
    @click.option("--event-bytes", type=click.IntRange(min=1), default=1350, show_default=True)
    @click.option(
        "--outage-hours",
        type=_POSITIVE,
        default=24.0,
        show_default=True,
        help="The longest that Kafka must hold.",
    )
    @click.option("--replication", type=click.IntRange(1, 10), default=3, show_default=True)
    @click.option(
        "--from",
        "result_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="RESULT.json",
        help="Costs by a result of the benchmark on your machine. Default: those of docs/performance.md.",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
    def plan(  # noqa: PLR0917 - click passes them by name
        events_per_second: float,
        latency_ms: float,
        destinations: int,
        business_server: bool,
        wallet_share: float,
        largest_wallet: float,
        event_bytes: int,
        outage_hours: float,
        replication: int,
        result_file: Path | None,
        as_json: bool,
    ) -> None:
        """Reckon what a load needs: workers, settings, Kafka, memory, and which limit comes first.

        It asks nothing and changes nothing: arithmetic on costs that were measured.
        """
        load = Load(
            events_per_second=events_per_second,
            latency_ms=latency_ms,
            wallets=destinations if wallet_share else 0,
            business_server=business_server,
            wallet_share=wallet_share,
            largest_wallet_share=largest_wallet,
            event_bytes=event_bytes,
            outage_hours=outage_hours,
            replication=replication,
        )
        if not load.destinations:
            fail("Nobody receives anything: give --destinations, or --business-server.", ExitCode.USAGE)
        try:
            costs = packaged()
            if result_file is not None:
                costs = costs_of_result(result_file.read_text("utf-8"), costs)
            made = plan_capacity(load, costs)
        except (CostsError, OSError, ValueError) as error:
            fail(str(error), ExitCode.USAGE)
        if as_json:
            print_json(_as_object(made, costs))
        else:
            _print(made, costs)

    return plan


def _as_object(plan: Plan, costs: Costs) -> dict[str, object]:
    return {
        "settings": dict(_settings(plan)),
        **asdict(plan),
        "warnings": list(warnings_of(plan)),
        "costs": asdict(costs),
    }


def _settings(plan: Plan) -> Iterator[tuple[str, int]]:
    yield "delivery.max_in_flight", plan.max_in_flight
    yield "delivery.max_waiting", plan.max_waiting
    yield "topics.partitions", plan.topic_partitions
    yield "topics.replication_factor", plan.load.replication


def _print(plan: Plan, costs: Costs) -> None:
    click.echo(f"workers: {plan.workers}\n")
    click.echo("settings to write")
    defaults = {"delivery.max_in_flight": DEFAULT_IN_FLIGHT, "delivery.max_waiting": DEFAULT_WAITING}
    for name, value in _settings(plan):
        click.echo(f"  {name}: {value}{'  # the default' if defaults.get(name) == value else ''}")
    click.echo(f"  and TRANSACTION, which is the anchor's: {_partitions(plan.source_partitions)}\n")
    _print_table("how it comes about", list(_reckoning(plan, costs)))
    _print_table(
        "what gives out first",
        [(limit.what, _times(limit.headroom), f"at {limit.where}") for limit in plan.limits],
    )
    for sentence in warnings_of(plan):
        click.echo(f"note: {sentence}")
    click.echo(f"costs: {costs.benchmark.measured}")


def _partitions(count: int) -> str:
    return f"{count:,} partition{'s'[: count != 1]}"


def _print_table(title: str, rows: list[tuple[str, str, str]]) -> None:
    click.echo(title)
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for what, value, why in rows:
        click.echo(f"  {what:<{widths[0]}}  {value:>{widths[1]}}  {why}".rstrip())
    click.echo()


def _reckoning(plan: Plan, costs: Costs) -> Iterator[tuple[str, str, str]]:
    yield from _reckoned_cores(plan, costs)
    yield from _reckoned_load(plan)
    yield from _reckoned_memory(plan)
    yield from _reckoned_kafka(plan)


def _reckoned_cores(plan: Plan, costs: Costs) -> Iterator[tuple[str, str, str]]:
    load, cores, measured = plan.load, plan.cores, costs.benchmark
    rate = f"{load.events_per_second:,.0f}"
    copies = load.copies_per_second / load.events_per_second
    yield (
        "routing",
        f"{cores.routing:.2f} cores",
        f"{rate} x ({measured.route_us_per_event:.0f} + {copies:.2g} x {measured.route_us_per_copy:.0f}) µs",
    )
    if load.business_server:
        why = f"{rate} x {measured.delivery_us_jwt:.0f} µs, with JWT"
        yield "business server", f"{cores.business_server:.2f} cores", why
    if load.wallets:
        why = f"{load.wallet_events_per_second:,.0f} x {measured.delivery_us_signature:.0f} µs, signed"
        yield "wallets", f"{cores.wallets:.2f} cores", why
    if cores.fetching:
        why = f"{plan.latency.partitions_per_worker:,} partitions in each fetch"
        yield "fetching", f"{cores.fetching:.2f} cores", why
    why = f"{cores.total:.2f} cores at {TARGET_UTILISATION:.0%} each: {cores.average:.0%} on average"
    yield "workers", f"{plan.workers}", f"{why}; the busiest, which also routes, {cores.busiest:.0%}"


def _reckoned_load(plan: Plan) -> Iterator[tuple[str, str, str]]:
    latency_s = plan.load.latency_ms / 1000
    if plan.load.business_server:
        why = f"rate x {latency_s:g} s; x {IN_FLIGHT_SPARE:g} to spare, over the workers"
        yield "in flight, business server", f"{plan.in_flight_business:,.0f}", why
    if plan.load.wallets:
        why = f"all together; the largest has {plan.load.largest_wallet_per_second * latency_s:,.1f}"
        yield "in flight, wallets", f"{plan.in_flight_wallets:,.0f}", why
    latency = plan.latency
    yield (
        "partitions of a worker",
        f"{latency.partitions_per_worker:,}",
        f"fetches are at least {latency.pace.apart} ms apart",
    )
    yield (
        "publish to receiver",
        f"{latency.typical_ms:,.0f} ms",
        f"typically, with CPU to spare; up to {latency.most_ms:,.0f}, and a lone event less",
    )


def _reckoned_memory(plan: Plan) -> Iterator[tuple[str, str, str]]:
    memory = plan.memory
    why = (
        f"and {memory.each_down:,.1f} for each destination that is down; all of them: {memory.all_down:,.0f}"
    )
    yield "memory of a worker", f"{memory.idle:,.0f} MB", why


def _reckoned_kafka(plan: Plan) -> Iterator[tuple[str, str, str]]:
    kafka, load = plan.kafka, plan.load
    yield (
        "Kafka, written",
        f"{kafka.source_mb_per_second + kafka.written_mb_per_second:,.1f} MB/s",
        f"{kafka.source_mb_per_second:,.1f} the anchor's; with copies {kafka.replicated_mb_per_second:,.1f}",
    )
    yield "Kafka, read", f"{kafka.read_mb_per_second:,.1f} MB/s", "by us, each once"
    why = f"{load.outage_hours:g} h of all that, {load.replication} times; keep a third free"
    yield "Kafka, disk", f"{kafka.disk_gb:,.0f} GB", why
    why = f"{kafka.replicas:,} replicas on {kafka.brokers:,} brokers"
    yield "Kafka, partitions", f"{kafka.partitions:,}", why
    yield "Kafka, the group's record", _size(kafka.group_record_bytes), "all members with all their topics"
    yield (
        "records a batch",
        f"{max(kafka.records_per_batch_business, kafka.records_per_batch_wallet):,.1f}",
        f"for one partition while a write is under way; to a wallet's {kafka.records_per_batch_wallet:,.1f}",
    )


def _times(headroom: float) -> str:
    if headroom < 0.1:
        return f"{headroom:.1g} times"
    return f"{headroom:,.1f} times" if headroom < 10 else f"{headroom:,.0f} times"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"


plan = plan_command(packaged_costs)
