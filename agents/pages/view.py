"""A page is facts: plain values, shown as HTML to browsers and given as JSON to everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from aiohttp import web
from faust import web as faust_web

from agents.pages.rendering import render
from agents.pages.session import OPERATOR

View: TypeAlias = faust_web.View

NO_TOKEN: Final = "Actions are off: SECRET_WEB_ADMIN_TOKEN is not set."  # noqa: S105 - it says that there is none
REFRESH_SECONDS: Final = 10


class Page(View):
    """Base of every page of ours."""

    refresh_seconds: int | None = None
    """How often a browser loads the page anew; None: when it is asked to."""
    has_form = False
    """Whether an operator finds one there: loading anew would empty it under their hands."""

    def answer(
        self, request: web.Request, template: str, facts: Any, *, status: int = 200, **for_html: Any
    ) -> web.Response:
        """The facts, as the client wants them; ``for_html`` goes to the template beside them."""
        if wants_html(request):
            is_filling = self.has_form and OPERATOR.get() is not None
            chrome = _chrome(self.app, request, None if is_filling else self.refresh_seconds)
            return _html(render(template, chrome | for_html | {"facts": facts}), status)
        return json_response(facts, status)

    def see_other(self, request: web.Request, path: str, facts: Any) -> web.Response:
        """After a change: a browser loads ``path``, so that a reload does not repeat it; others get facts."""
        if not wants_html(request):
            return json_response(facts)
        return web.Response(status=303, headers={"Location": path})

    async def on_request_error(self, request: Any, exc: Any) -> Any:
        """Faust's errors: a method that the page does not have."""
        return refuse(self.app, request, int(exc.code), exc.detail)


def wants_html(request: web.Request) -> bool:
    """``?format=`` decides; else who names text/html (every browser) before JSON. ``*/*`` gets JSON."""
    if (asked := request.query.get("format")) in {"html", "json"}:
        return asked == "html"
    wanted = _accepted(request.headers.get("Accept", ""))
    html = wanted.get("text/html", 0.0)
    return html > 0 and html >= wanted.get("application/json", 0.0)


def json_response(facts: Any, status: int = 200) -> web.Response:
    """In ASCII: half a surrogate pair has no UTF-8, and must not end in an error."""
    return web.json_response(facts, status=status, dumps=json.dumps, headers={"Vary": "Accept"})


def refuse(
    app: Any, request: web.Request, status: int, why: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error as the client wants it."""
    facts = {"error": why, "status": status}
    if wants_html(request):
        response = _html(render("error.html", _chrome(app, request, None) | {"facts": facts}), status)
    else:
        response = json_response(facts, status)
    response.headers.update(headers or {})
    return response


def _html(text: str, status: int) -> web.Response:
    return web.Response(text=text, content_type="text/html", status=status, headers={"Vary": "Accept"})


def _chrome(app: Any, request: web.Request, refresh_seconds: int | None) -> dict[str, Any]:
    """What every page shows around its facts."""
    return {
        "worker": app.desk.worker_name(),
        "url": request.rel_url,
        "section": request.path.split("/")[1],
        "can_log_in": app.desk.sessions is not None,
        "operator": OPERATOR.get(),
        "refresh": None if request.query.get("refresh") == "0" else refresh_seconds,
        "can_refresh": refresh_seconds,
    }


def _accepted(header: str) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for part in header.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            found[kind] = float(weight)
        except ValueError:
            found[kind] = 0.0
    return found
