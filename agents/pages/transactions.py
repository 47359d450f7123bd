"""``/transactions/<id>``: the timeline of one transaction, quote or customer; any worker can be asked."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from agents.pages.desk import Desk
from agents.pages.view import Page
from eventproc.breaker import BreakerState
from eventproc.pauses import Pause
from eventproc.timeline import held_up

HOURS: Final = (1, 24, 72, 168)
WAIT_SECONDS: Final = 30.0


class Transactions(Page):
    """``/transactions/``: asks for an id; with ``?id=`` shows it, which carries ids that no path can."""

    async def get(self, request: web.Request, id: str = "") -> Any:  # noqa: A002 - the name in the path
        """Show the timeline of ``id``, over the last ``hours``."""
        lane = id or request.query.get("id", "").strip()
        hours = _hours(request.query.get("hours", ""))
        desk: Desk = self.app.desk
        if not lane:
            return self.answer(request, "transactions.html", {"usage": "/transactions/<id>?hours=24"})
        try:
            await asyncio.wait_for(desk.timelines.acquire(), WAIT_SECONDS)
        except asyncio.TimeoutError:
            raise web.HTTPServiceUnavailable(text="Others are reading. Try again in a moment.") from None
        try:
            timeline = await desk.read_timeline(lane, hours * 3600.0)
        finally:
            desk.timelines.release()
        facts = held_up(timeline, _holds(self.app.parts)).to_json()
        return self.answer(request, "transaction.html", facts, hours=hours, choices=HOURS)


def _holds(parts: Any) -> dict[str, Pause | BreakerState]:
    """What starts nothing now: pauses are known to every worker, a breaker to those that deliver there."""
    breakers = {id_: engine.breaker.state for id_, engine in parts.engines.items() if engine.partitions}
    return breakers | dict(parts.control.paused)


def _hours(asked: str) -> int:
    """One of the choices, else a day."""
    return int(asked) if asked in {str(hours) for hours in HOURS} else 24
