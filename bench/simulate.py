"""``python -m bench.simulate``: the numbers of ``docs/scale.md``; no Kafka and no worker, seconds of CPU."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import click

from bench.document import SCALE_FILE
from bench.rebalance import ASSIGNORS, Group, Pause, measure_assignment, rebalance
from bench.simulation import Layout, Outcome, Scenario, simulate

ILL = ((0.0, 0.0), (0.05, 0.0), (0.2, 0.0), (0.0, 0.2))
"""Shares of the destinations that are down, and that are slow."""

GROUPS = {
    "100 wallets, 3 workers": Group(101, 8, 3),
    "1,000 wallets, 4 workers": Group(1001, 2, 4),
    "2,500 wallets, 4 workers": Group(2501, 4, 4),
    "10,000 wallets, 20 workers": Group(10_001, 1, 20),
    "100,000 wallets, 107 workers": Group(100_001, 1, 107),
    "the same as 50 groups of 2,000 wallets, 3 workers each": Group(2001, 1, 3),
    "shared: 1 topic of 2,048 partitions, 107 workers": Group(1, 2048, 107),
}

MEASURED_GROUPS = (
    Group(1000, 2, 4),
    Group(2500, 2, 4),
    Group(5000, 8, 8),
    Group(10_000, 1, 20),
    Group(1, 2048, 107),
)


@click.command()
@click.option("--write-docs", is_flag=True, help="Write the tables to docs/scale.md, too.")
@click.option(
    "--assignor", is_flag=True, help="Instead: measure assignors on this machine, ours and those before it."
)
def main(*, write_docs: bool, assignor: bool) -> None:
    """Simulate many destinations on few partitions, and the pauses of large groups."""
    if assignor:
        for group, name in product(MEASURED_GROUPS, ASSIGNORS):
            found = measure_assignment(group, name)
            click.echo(
                f"{group.topics:,} topics of {group.partitions:,}, {group.workers} workers, {name}: "
                f"the leader {found.leader_seconds:.2f} s, a member {found.member_seconds:.3f} s, "
                f"the record {found.record_bytes / 1e6:.2f} MB"
            )
        return
    tables = {"isolation": isolation(), "rebalance": rebalances()}
    for text in tables.values():
        click.echo(text)
    if write_docs:
        SCALE_FILE.write_text(with_tables(SCALE_FILE.read_text("utf-8"), tables), "utf-8")


def with_tables(text: str, tables: dict[str, str]) -> str:
    """The document with these tables in place of those between their marks."""
    for name, table in tables.items():
        begin, end = f"<!-- simulated: {name} -->\n", "<!-- end -->\n"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"the document needs the mark {begin!r}")
        text = pattern.sub(lambda _, new=begin + "\n" + table + "\n" + end: new, text)  # type: ignore[misc]
    return text


def isolation() -> str:
    """What the healthy destinations see while others are down or slow."""
    heading = ("down", "slow", "layout", "p50 ms", "p99 ms", "stands still after s", "parked", "most in hand")
    return _table(heading, (_isolation_row(*ill, layout) for ill in ILL for layout in Layout))


def _isolation_row(down: float, slow: float, layout: Layout) -> tuple[str, ...]:
    found: Outcome = simulate(Scenario(layout, down, slow))
    assert not found.out_of_order
    still = "never" if found.stalled_after is None else f"{found.stalled_after:.0f}"
    return (
        f"{down:.0%}",
        f"{slow:.0%}",
        layout.value,
        f"{found.percentile_ms(50):,.0f}",
        f"{found.percentile_ms(99):,.0f}",
        still,
        f"{found.parked:,}",
        f"{found.most_in_hand:,}",
    )


def rebalances() -> str:
    """The pause of one rebalance, in its parts."""
    heading = (
        "group",
        "partitions",
        "notice s",
        "assign s",
        "resume s",
        "pause s",
        "group's record MB",
        "workers a topic",
    )
    return _table(heading, (_rebalance_row(name, group) for name, group in GROUPS.items()))


def _rebalance_row(name: str, group: Group) -> tuple[str, ...]:
    pause: Pause = rebalance(group)
    parts = (pause.noticed, pause.assigned, pause.resumed, pause.seconds)
    return (
        name,
        f"{group.topics * group.partitions:,}",
        *(f"{seconds:,.1f}" for seconds in parts),
        f"{pause.record_bytes / 1e6:,.2f}",
        str(pause.readers),
    )


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(heading)} |"
        yield f"| {' | '.join('---' for _ in heading)} |"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    main()
