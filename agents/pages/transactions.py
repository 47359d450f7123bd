"""``/transactions/<id>``: the timeline of one transaction, quote or customer; any worker can be asked."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from agents.pages.desk import Desk
from agents.pages.view import Page

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
        return self.answer(request, "transaction.html", timeline.to_json(), hours=hours, choices=HOURS)


def _hours(asked: str) -> int:
    """One of the choices, else a day."""
    return int(asked) if asked in {str(hours) for hours in HOURS} else 24
