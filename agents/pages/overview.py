"""``/``: one look at this worker: what it delivers, what waits, and what needs somebody."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from aiohttp import web

from agents.pages.desk import version
from agents.pages.health import not_ready
from agents.pages.numbers import Condition, describe
from agents.pages.view import REFRESH_SECONDS, Page
from eventproc.delivery.kafka_watch import Outage
from eventproc.delivery.watchdog import lag
from eventproc.ownership import ClientMatch
from eventproc.times import from_ms, iso

NEEDY: Final = (Condition.BREAKER_OPEN, Condition.RETRYING, Condition.PAUSED)
NEEDY_SHOWN: Final = 10
UNROUTABLE: Final = (
    *(ClientMatch.NO_CLIENT, ClientMatch.AMBIGUOUS, ClientMatch.CONTRADICTION),
    *(ClientMatch.UNKNOWN_CLIENT, ClientMatch.UNKNOWN_CUSTOMER),
)


class Overview(Page):
    """The first page."""

    refresh_seconds = REFRESH_SECONDS

    async def get(self, request: web.Request) -> Any:
        """Show it."""
        app, parts = self.app, self.app.parts
        now, highwater = app.desk.wall(), app.highwater()
        engines = [describe(engine, highwater, parts.history, now) for engine in parts.engines.values()]
        needy = [one for one in engines if Condition(one["condition"]) in NEEDY]
        needy.sort(key=lambda one: (-(one["oldest_waiting_seconds"] or 0.0), one["id"]))
        counts = Counter(one["condition"] for one in engines)
        facts = {
            "mode": parts.settings.delivery.mode,
            "worker": _worker(app, now),
            "last_minute": _last_minute(parts),
            "oldest_undelivered": _oldest(engines),
            "destinations": {condition.value: counts[condition.value] for condition in Condition},
            "needs_attention": needy[:NEEDY_SHOWN],
            "needs_attention_count": len(needy),
            "router": _router(parts, highwater),
        }
        return self.answer(request, "overview.html", facts)


def _worker(app: Any, now: float) -> dict[str, Any]:
    desk, parts = app.desk, app.parts
    topics = [engine.partitions for engine in parts.engines.values() if engine.partitions]
    return {
        "name": desk.worker_name(),
        "version": version(),
        "started_at": iso(from_ms(int(desk.started_at * 1000))),
        "uptime_seconds": max(0.0, round(now - desk.started_at, 1)),
        "rebalancing": app.rebalancing,
        "not_ready": not_ready(app),
        "kafka_outage": _outage(parts.kafka.outage),
        "source_partitions": sorted(partition for _, partition in parts.router.partitions),
        "destination_topics": len(topics),
        "destination_partitions": sum(len(partitions) for partitions in topics),
    }


def _outage(outage: Outage | None) -> dict[str, str] | None:
    return (
        None if outage is None else {"since": iso(from_ms(int(outage.since * 1000))), "cause": outage.cause}
    )


def _last_minute(parts: Any) -> dict[str, Any]:
    rates = [parts.history.rates(engine, 1) for engine in parts.engines.values()]
    return {
        "delivered_per_second": round(sum(rate.delivered for rate in rates), 4),
        "failed_per_second": round(sum(rate.failed for rate in rates), 4),
    }


def _oldest(engines: list[dict[str, Any]]) -> dict[str, Any] | None:
    waiting = [one for one in engines if one["oldest_waiting_ms"] is not None]
    if not waiting:
        return None
    oldest = min(waiting, key=lambda one: one["oldest_waiting_ms"])
    return {"destination": oldest["id"], "seconds": oldest["oldest_waiting_seconds"]}


def _router(parts: Any, highwater: Any) -> dict[str, Any]:
    router = parts.router
    matches = router.stats.matches
    return {
        "lag": lag(router.partitions, highwater),
        "outstanding": router.outstanding,
        "holding_back": router.is_holding_back,
        "events": router.stats.events,
        "invalid": router.stats.invalid,
        "unroutable": sum(matches[one] for one in UNROUTABLE),
        "unbuildable": router.stats.unbuildable,
        "matches": {match.value: number for match, number in matches.items()},
    }
