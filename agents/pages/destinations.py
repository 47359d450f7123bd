"""``/destinations/``, ``/destinations/<id>``, and pausing and resuming one on every worker."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from agents.pages import numbers
from agents.pages.numbers import Condition, describe
from agents.pages.paging import cut
from agents.pages.rendering import address
from agents.pages.sparkline import sparkline
from agents.pages.view import REFRESH_SECONDS, Page
from eventproc.delivery.engine import Engine
from eventproc.identifiers import DestinationId
from eventproc.times import from_ms, iso

log = structlog.stdlib.get_logger("eventproc.pages")

SORTS: Final = {
    "condition": lambda one: (Condition(one["condition"]).rank, -one["lag"]),
    "lag": lambda one: -one["lag"],
    "oldest": lambda one: -(one["oldest_waiting_seconds"] or 0.0),
    "waiting": lambda one: -one["waiting"],
    "delivered": lambda one: -one["deliveries"],
    "dead": lambda one: -one["dead_lettered"],
    "name": lambda one: one["id"],
}
"""By the name in the query; equal ones by their id."""

NOTE_CHARACTERS: Final = 200


class Destinations(Page):
    """All of them. As JSON all that fit the filter; as HTML a page of them."""

    async def get(self, request: web.Request) -> Any:
        """Filtered by ``state`` and by ``q``, which is part of an id; ordered by ``sort``."""
        app, parts, query = self.app, self.app.parts, request.query
        now, highwater = app.desk.wall(), app.highwater()
        state, part = query.get("state", ""), query.get("q", "").strip()
        sort = query.get("sort", "")
        found = [
            describe(engine, highwater, parts.history, now) | {"pause": _pause(parts, engine)}
            for id_, engine in parts.engines.items()
            if part.lower() in id_.lower()
        ]
        found = [one for one in found if not state or one["condition"] == state]
        found.sort(key=lambda one: one["id"])
        found.sort(key=SORTS.get(sort, SORTS["condition"]))
        page = cut(found, query.get("page"))
        return self.answer(
            request,
            "destinations.html",
            found,
            page=page,
            total=len(parts.engines),
            asked={"state": state, "part": part, "sort": sort if sort in SORTS else "condition"},
            conditions=[condition.value for condition in Condition],
        )


class OneDestination(Page):
    """Everything that this worker knows of one destination."""

    refresh_seconds = REFRESH_SECONDS
    has_form = True

    async def get(self, request: web.Request, id: str) -> Any:  # noqa: A002 - the name in the path
        """Show it."""
        app, parts = self.app, self.app.parts
        engine = _engine(app, id)
        hour = parts.history.last_hour(engine)
        facts = describe(engine, app.highwater(), parts.history, app.desk.wall()) | {
            "endpoint": _without_query(engine.destination.endpoint.url),
            "breaker_openings": engine.stats.breaker_openings,
            "holding_back": engine.is_holding_back,
            "pause": _pause(parts, engine),
            "rates": numbers.rates(engine, parts.history),
            "latency": {
                "attempt": numbers.latency(engine.stats.attempt_latency),
                "delivery": numbers.latency(engine.stats.delivery_latency),
            },
            "last_hour": hour._asdict(),
            "last_errors": _errors(engine),
        }
        asked = request.query.get("asked")
        return self.answer(
            request,
            "destination.html",
            facts,
            sparkline=sparkline(hour),
            asked=asked if asked in {"pause", "resume"} else None,
        )


class PauseDestination(Page):
    """``POST /destinations/<id>/pause`` and ``/resume``; all workers obey."""

    async def post(self, request: web.Request, id: str, what: str) -> Any:  # noqa: A002 - the name in the path
        """Write it to the control topic, then show the destination."""
        engine, form = _engine(self.app, id), await request.post()
        reason = _note(form.get("reason"))
        if what == "pause" and not reason:
            raise web.HTTPBadRequest(
                text="A pause needs a reason: whoever finds it asks why. Nothing was done."
            )
        by = _note(form.get("by")) or f"the pages of {self.app.desk.worker_name()}"
        destination = engine.destination.id
        await self.app.desk.set_paused(destination, what == "pause", by, reason)
        log.info("destination.asked", destination=destination, what=what, by=by, address=request.remote)
        path = address("/destinations/", destination)
        return self.see_other(request, f"{path}?asked={what}" if path else "/destinations/", {"asked": what})


def _engine(app: Any, id_: str) -> Engine:
    engine: Engine | None = app.parts.engines.get(DestinationId(id_))
    if engine is None:
        raise web.HTTPNotFound(text="There is no destination of this name in the configuration.")
    return engine


def _pause(parts: Any, engine: Engine) -> dict[str, str] | None:
    """Who paused it, why and when."""
    pause = parts.control.paused.get(engine.destination.id)
    return None if pause is None else asdict(pause)


def _errors(engine: Engine) -> list[dict[str, Any]]:
    """The newest first."""
    return [
        {
            "at": iso(from_ms(int(error.at * 1000))),
            "event_id": error.event_id,
            "transaction": error.transaction,
            "status": error.status,
            "detail": error.detail,
            "count": error.count,
            "response": error.excerpt.decode("utf-8", "replace"),
        }
        for error in reversed(engine.stats.last_errors)
    ]


def _note(text: Any) -> str:
    return str(text or "").strip()[:NOTE_CHARACTERS]


def _without_query(url: str) -> str:
    """Where it is; a query may hold a key."""
    return urlsplit(url)._replace(query="", fragment="").geturl()
