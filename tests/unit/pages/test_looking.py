"""What the pages tell of an engine, the router and a transaction."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agents.pages.numbers import Condition, condition_of, quantile
from agents.pages.rendering import address
from eventproc.delivery.engine import Engine
from eventproc.delivery.stats import Histogram
from eventproc.errors import BrokerUnavailableError
from eventproc.journal_entries import Attempt, DeadLettered, Routed
from eventproc.ownership import ClientMatch
from eventproc.pauses import Pause
from eventproc.records import Source
from tests.fakes.clock import settle
from tests.fakes.records import record
from tests.fakes.sender import REFUSED, status
from tests.unit.pages.site import Site, a_site

ACME = "client.acme.sep24"


def accept(engine: Engine, count: int, lane: str = "t") -> None:
    for offset in range(count):
        engine.accept(record(offset, f"{lane}{offset}"))


async def failing(site: Site, name: str, count: int, reply: Any = REFUSED) -> Engine:
    engine = site.engine(name)
    site.senders[name].script = lambda _body, _n: reply
    accept(engine, count)
    await settle()
    return engine


async def test_a_destination_is_in_the_condition_that_an_operator_would_name() -> None:
    async with a_site() as site:
        up, down, paused = site.engine("up"), await failing(site, "down", 6), site.engine("paused")
        await failing(site, "retrying", 1)
        idle, elsewhere = site.engine("idle"), site.engine("elsewhere")
        accept(up, 3)
        await settle()
        paused.pause()
        elsewhere.release()
        draining = site.engine("draining")
        site.senders["draining"].hold = asyncio.Event()
        accept(draining, 2)
        draining.is_removed = True
        found = {one["id"]: one["condition"] for one in await site.json("/destinations/")}
        names = ("up", "retrying", "paused", "draining", "idle", "elsewhere")
        assert found == {name: name for name in names} | {"down": "breaker_open"}
        assert condition_of(down, 0, site.history) is Condition.BREAKER_OPEN
        assert condition_of(idle, 3, site.history) is Condition.UP, "there is something to read"
        assert "in the configuration no longer" in await site.html("/destinations/draining")
        counts = (await site.json("/"))["destinations"]
        assert counts == dict.fromkeys((condition.value for condition in Condition), 1)
        assert "breaker open" in await site.html("/")
        site.senders["draining"].hold.set()
        await settle()
        assert condition_of(draining, 0, site.history) is Condition.UP, "it was a moment ago"


async def test_the_first_page_names_what_needs_somebody_oldest_first() -> None:
    async with a_site() as site:
        for number in range(12):
            await failing(site, f"down-{number:02}", 6)
        await site.clock.advance(100)
        facts = await site.json("/")
        assert facts["needs_attention_count"] == 12
        assert [one["id"] for one in facts["needs_attention"]] == [
            f"down-{number:02}" for number in range(10)
        ]
        assert facts["oldest_undelivered"]["seconds"] == pytest.approx(100)
        text = await site.html("/")
        assert "10 of 12" in text
        assert "1 min 40 s" in text


async def test_the_first_page_sums_up_the_last_minute_and_the_router() -> None:
    async with a_site() as site:
        for name in ("a", "b"):
            accept(site.engine(name), 3)
        await failing(site, "c", 1)
        await settle()
        stats = site.app.parts.router.stats
        stats.events, stats.invalid, stats.unbuildable = 7, 3, 1
        stats.matches[ClientMatch.NO_CLIENT] = 2
        stats.matches[ClientMatch.UNKNOWN_CUSTOMER] = 1
        facts = await site.json("/")
        assert facts["last_minute"]["delivered_per_second"] > facts["last_minute"]["failed_per_second"] > 0
        router = facts["router"]
        assert (router["events"], router["invalid"], router["unbuildable"], router["unroutable"]) == (
            7,
            3,
            1,
            3,
        )
        worker = facts["worker"]
        assert worker["destination_partitions"] == 3
        assert worker["not_ready"]
        assert "this worker’s share" in await site.html("/")


async def test_one_destination_tells_what_became_of_its_events() -> None:
    async with a_site() as site:
        engine = site.engine(ACME, "https://user.example/cb?key=secret#x")
        site.senders[ACME].script = lambda _body, n: status(503) if n == 2 else status(200)
        accept(engine, 3)
        await settle()
        facts = await site.json(f"/destinations/{ACME}")
        assert facts["deliveries"] == 2
        assert facts["failed"] == {"status": 1}
        assert facts["endpoint"] == "https://user.example/cb"
        assert facts["latency"]["attempt"]["count"] == 3
        assert facts["latency"]["delivery"]["count"] == 2
        assert facts["last_hour"]["delivered"][-1] == 2
        assert facts["last_hour"]["failed"][-1] == 1
        assert facts["rates"]["1_min"]["delivered_per_second"] > 0
        (error,) = facts["last_errors"]
        assert (error["status"], error["event_id"], error["response"]) == (503, "e1", "body of 503")
        assert error["transaction"] == "t1"
        text = await site.html(f"/destinations/{ACME}")
        assert "body of 503" in text
        assert 'href="/transactions/t1"' in text
        assert "<svg" in text
        assert "secret" not in text


async def test_a_pause_is_shown_with_who_and_why() -> None:
    async with a_site() as site:
        engine = site.engine(ACME)
        site.app.parts.control._book._paused[engine.destination.id] = Pause(
            "night shift", "INC-7", "2026-11-24T10:00:00Z"
        )
        engine.pause()
        await site.log_in()
        text = await site.html(f"/destinations/{ACME}")
        for word in ("night shift", "INC-7", "2026-11-24 10:00:00", "Resume on every worker"):
            assert word in text
        assert "Pause on every worker" not in text
        (one,) = await site.json("/destinations/")
        assert one["pause"] == {"by": "night shift", "reason": "INC-7", "at": "2026-11-24T10:00:00Z"}
        assert "night shift: INC-7" in await site.html("/destinations/")


async def test_a_thousand_destinations_are_searched_sorted_and_cut_into_pages() -> None:
    async with a_site() as site:
        for number in range(1000):
            accept(site.engine(f"client.w{number:04}.sep24"), number % 3)
        await settle()
        everything = await site.json("/destinations/")
        assert len(everything) == 1000, "a program gets all"
        text = await site.html("/destinations/?sort=name&page=3")
        assert text.count("<tr>") == 101
        assert "201–300 of 1,000 destinations" in text
        assert "client.w0200.sep24" in text
        assert "page=2" in text
        assert "page=4" in text
        found = await site.json("/destinations/?q=W01&sort=delivered")
        assert len(found) == 100
        assert [one["deliveries"] for one in found] == sorted(
            (one["deliveries"] for one in found), reverse=True
        )
        idle = await site.json("/destinations/?state=idle")
        assert {one["condition"] for one in idle} == {"idle"}
        assert len(idle) == 334
        assert "No destination fits" in await site.html("/destinations/?state=breaker_open")


@pytest.mark.parametrize(
    "sort", ["condition", "lag", "oldest", "waiting", "delivered", "dead", "name", "nonsense", ""]
)
async def test_every_order_has_the_worst_first_and_equals_by_name(sort: str) -> None:
    async with a_site() as site:
        accept(site.engine("b-up"), 2)
        await failing(site, "c-down", 6)
        site.engine("a-idle")
        await site.clock.advance(0.01)
        found = [one["id"] for one in await site.json(f"/destinations/?sort={sort}")]
        first = {"delivered": "b-up", "name": "a-idle", "dead": "a-idle", "lag": "a-idle"}.get(sort, "c-down")
        assert found[0] == first


@pytest.mark.parametrize(
    "name",
    ["callback-api", "client.a/b.sep24", "client.é %2F?#.sep24", 'client."><b>.sep24', "client.a+b.sep6"],
)
async def test_any_name_has_its_page(name: str) -> None:
    async with a_site() as site:
        site.engine(name)
        path = address("/destinations/", name)
        assert path is not None
        assert f'href="{path}"' in await site.html("/destinations/")
        assert (await site.json(path))["id"] == name
        assert (await site.get(f"{path}x")).status == 404


def test_quantiles_are_prometheus_s() -> None:
    histogram = Histogram()
    assert quantile(histogram, 0.5) is None
    for _ in range(10):
        histogram.observe(0.03)
    assert quantile(histogram, 0.5) == pytest.approx(0.0375)
    assert quantile(histogram, 1.0) == pytest.approx(0.05)
    for _ in range(90):
        histogram.observe(10_000)
    assert quantile(histogram, 0.05) == pytest.approx(0.0375)
    assert quantile(histogram, 0.99) == 3600, "beyond the last bound"


def journal(lane: str, event_id: str = "e1", detail: str = "HTTP 503", destination: str = ACME) -> list[Any]:
    source = Source("TRANSACTION", 0, 7, 1_795_500_000_000)
    at = 1_795_500_000.5
    return [
        Routed(lane, event_id, source, at, "transaction_status_changed", "24", "name", (destination,), ("evil<b>",), None),
        Attempt(lane, event_id, source, at, destination, 1, 0.25, "failed", "status", 503, detail, at + 3, None),
        Attempt(lane, event_id, source, at + 3, destination, 2, 0.1, "rejected", None, 422, detail, None, None),
        DeadLettered(lane, event_id, source, at + 4, destination, "rejected", detail, 2, 422),
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/transactions/t%2F1", "/transactions/?id=t%2F1"])
async def test_a_timeline_has_every_attempt(path: str) -> None:
    async with a_site() as site:
        site.timelines["t/1"] = journal("t/1")
        facts = await site.json(path)
        (event,) = facts["events"]
        assert [attempt["status"] for attempt in event["destinations"][0]["attempts"]] == [503, 422]
        text = await site.html(path)
        for word in (
            "Transaction status changed",
            "250 ms",
            "HTTP 503",
            "dead lettered",
            "failed",
            "rejected",
            "SEP-24",
        ):
            assert word.lower() in text.lower(), word


async def test_a_timeline_says_that_an_event_waits_for_a_pause_or_a_breaker() -> None:
    async with a_site() as site:
        site.timelines["t1"] = journal("t1")[:1]
        assert "under way" in await site.html("/transactions/t1")
        await failing(site, ACME, 6)
        text = await site.html("/transactions/t1")
        assert "held up" in text
        assert "when the breaker lets it: it is open" in text
        assert "under way" not in text
        site.app.parts.control._book._paused[ACME] = Pause("ann", "<i>INC-7", "2026-11-24T10:00:00Z")
        text = await site.html("/transactions/t1")
        assert "paused by ann, " in text
        assert "&lt;i&gt;INC-7" in text
        (event,) = (await site.json("/transactions/t1"))["events"]
        assert event["destinations"][0]["held_by"]["what"] == "pause"


async def test_a_transaction_that_nobody_knows_is_an_empty_page_and_no_error() -> None:
    async with a_site() as site:
        assert "Nothing of it was found in the last 72 h" in await site.html("/transactions/none?hours=72")
        assert "last 24 h" in await site.html("/transactions/none?hours=-1")
        assert (await site.json("/transactions/none"))["events"] == []
        assert "Timeline of a transaction" in await site.html("/transactions/")


async def test_kafka_away_is_said_so() -> None:
    async with a_site() as site:

        async def away(_lane: str, _seconds: float) -> Any:
            raise BrokerUnavailableError("Kafka at k:9092: no answer in time.")

        site.app.desk.read_timeline = away
        site.letters.failure = BrokerUnavailableError("Kafka at k:9092: no answer in time.")
        for path in ("/transactions/t", "/dead-letters/", "/dead-letters/a/b/0/1"):
            answer = await site.get(path)
            assert answer.status == 503
            assert "no answer in time" in await answer.text()
            assert json.loads(await (await site.client.get(path)).text())["status"] == 503
