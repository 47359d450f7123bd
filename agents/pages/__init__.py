"""Pages of the worker: health for the supervisor, numbers for programs, and a desk for the operator.

Server-rendered, without a script: what a page shows is what its JSON says. ``PAGES`` is the whole list; of
Faust's own pages ``/stats/`` is kept, and everything else is taken away, whatever its settings say.
"""

from __future__ import annotations

from typing import Any, Final

from agents.pages.dead_letters import DeadLetter, DeadLetters, Redrive
from agents.pages.desk import open_desk
from agents.pages.destinations import Destinations, OneDestination, PauseDestination
from agents.pages.guard import Guard
from agents.pages.health import Live, Metrics, Ready
from agents.pages.login import Login, Logout, Static
from agents.pages.overview import Overview
from agents.pages.transactions import Transactions

__all__ = ["PAGES", "add_pages"]

PAGES: Final[dict[str, type]] = {
    "/": Overview,
    "/health/live": Live,
    "/health/ready": Ready,
    "/metrics": Metrics,
    "/destinations/": Destinations,
    "/destinations/{id:[^/]+}": OneDestination,
    "/destinations/{id:[^/]+}/{what:pause|resume}": PauseDestination,
    "/transactions/": Transactions,
    "/transactions/{id:[^/]+}": Transactions,
    "/dead-letters/": DeadLetters,
    "/dead-letters/redrive": Redrive,
    "/dead-letters/{destination:[^/]+}/{topic:[^/]+}/{partition:[^/]+}/{offset:[^/]+}": DeadLetter,
    "/login": Login,
    "/logout": Logout,
    "/static/{name}": Static,
}
"""Path to page. Names may hold braces, which aiohttp's own pattern leaves out."""

FAUST_PAGES: Final = {"/stats": "faust.web.apps.stats:blueprint"}
"""``/stats/`` and ``/stats/assignment/``: counters of Faust's sensors, and this worker's partitions."""


def add_pages(app: Any) -> None:
    """Declare every page, with the guard in front of all of them."""
    settings = app.parts.settings
    app.desk = open_desk(app, settings)
    app.guard = Guard(app, app.desk.sessions, closed=settings.web.require_token_for_reading)
    app.guard.install(app.web.web_app)
    app.web.blueprints = type(app.web.blueprints)(list(FAUST_PAGES.items()))
    for path, page in PAGES.items():
        app.page(path, name=path)(page)
