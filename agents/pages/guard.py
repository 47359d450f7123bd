"""What stands before every page: who asks, whether that is allowed, and the headers of every answer.

A request that changes something needs, in this order: to come from our own pages (``Origin`` and
``Sec-Fetch-Site``, where the browser sends them), the admin token (a session, or ``Bearer``), and for a
session the form's own token, which no other site can know.

Before all of that, a page is served for the hosts that are known alone (``hosts.py``).

``Referrer-Policy`` is ``same-origin``: nothing goes to other sites, while ``no-referrer`` would make browsers
send ``Origin: null`` with our own forms, which could then not be told from a foreign one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import structlog
from aiohttp import web

from agents.pages import rendering
from agents.pages.hosts import is_known_host, is_open_to_any_host
from agents.pages.session import COOKIE, FAILURE_SECONDS, OPERATOR, Guesses, Operator, Sessions, is_form_token
from agents.pages.view import NO_TOKEN, refuse, wants_html
from eventproc.errors import EventprocError

log = structlog.stdlib.get_logger("eventproc.pages")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LOGIN: Final = "/login"
OPEN_PATHS: Final = ("/health/", "/static/")
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_TOKEN: Final = "form_token"  # noqa: S105 - the name of a field
_KEPT: Final = ("Allow", "Retry-After", "WWW-Authenticate")
FORM_SECONDS: Final = 10.0
"""A form that does not arrive keeps its connection for so long."""
_FORM: Final = "application/x-www-form-urlencoded"


class Guard:
    """aiohttp's middleware and signal; ``sessions`` is None where no admin token is configured."""

    def __init__(self, app: Any, sessions: Sessions | None, *, closed: bool) -> None:
        self._app = app
        self._sessions = sessions
        self._closed = closed
        self.guesses = Guesses()
        self._running: set[asyncio.Task[Any]] = set()

    def install(self, web_app: web.Application) -> None:
        """In front of everything that this server answers, Faust's own pages included."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - aiohttp's, or that of its connection
            self._running.add(task)
            try:
                with self._app.web.connections.answering(request.protocol):
                    return await self._answer(request, handler)
            finally:
                self._running.discard(task)

        web_app.middlewares.append(guarded)
        web_app.middlewares.append(web.normalize_path_middleware(merge_slashes=False))
        web_app.on_response_prepare.append(_add_headers)
        web_app.on_shutdown.append(self._let_go)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        OPERATOR.set(None)
        if not self._is_for_us(request):
            return _misdirected(request)
        try:
            OPERATOR.set(await self._identify(request))
            self._check_reading(request)
            if request.method not in READING:
                _check_path(request)
                await self._check_acting(request)
            return await handler(request)
        except web.HTTPException as answer:
            if answer.status < 400:  # a redirect is no error
                raise
            why = (answer.text or "").removeprefix(f"{answer.status}: ")
            kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            return refuse(self._app, request, answer.status, why, kept)
        except EventprocError as error:
            return refuse(self._app, request, 503, str(error))
        except Exception:
            log.exception("page.failed", path=rendering.excerpt(request.path))
            return refuse(self._app, request, 500, "A fault of ours; the worker's log has it.")

    def _is_for_us(self, request: web.Request) -> bool:
        if is_open_to_any_host(request.path):
            return True
        given = request.headers.getall("Host", [])
        local = None if request.transport is None else request.transport.get_extra_info("sockname")
        own = [self._app.conf.web_bind, *(local or ())[:1]]
        return is_known_host(given[0] if len(given) == 1 else None, self._app.parts.settings.web.hosts, own)

    async def _let_go(self, _web_app: web.Application) -> None:
        """The worker stops: aiohttp would wait a minute for a page that reads from Kafka."""
        for task in self._running:
            task.cancel()

    async def _identify(self, request: web.Request) -> Operator | None:
        """Who asks, by a token or a cookie; a wrong token is refused, a wrong or old cookie is none."""
        if self._sessions is None or request.path.startswith(OPEN_PATHS):
            return None
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            await self.check_token(request, given.strip())
            return Operator(form_token=None)
        return self._sessions.operator(request.cookies.get(COOKIE, ""))

    async def check_token(self, request: web.Request, given: str) -> Sessions:
        """The sessions, when this is the admin token; counts it as a guess when it is not.

        Raises:
            web.HTTPException: it is not; too many were not; or there is none.
        """
        sessions, address = self._sessions, request.remote or ""
        if sessions is None:
            raise web.HTTPForbidden(text=NO_TOKEN)
        if not self.guesses.may_try(address):
            headers = {"Retry-After": f"{FAILURE_SECONDS:.0f}"}
            raise web.HTTPTooManyRequests(text="Too many wrong tokens. Wait a minute.", headers=headers)
        if not sessions.is_token(given):
            await self.guesses.failed(address)
            log.warning("login.refused", address=address)
            raise web.HTTPUnauthorized(text="That is not the admin token.")
        return sessions

    def _check_reading(self, request: web.Request) -> None:
        is_open = request.path == LOGIN or request.path.startswith(OPEN_PATHS)
        if self._closed and OPERATOR.get() is None and not is_open:
            _ask_to_log_in(request, "Reading needs the admin token here.")

    async def _check_acting(self, request: web.Request) -> None:
        if not _is_from_here(request):
            raise web.HTTPForbidden(text="This request came from another site.")
        if request.content_type != _FORM:
            raise web.HTTPUnsupportedMediaType(text=f"Send a form: {_FORM}.")
        if self._sessions is None:
            raise web.HTTPForbidden(text=NO_TOKEN)
        form = await _form(request)
        operator = OPERATOR.get()
        if request.path == LOGIN:
            return
        if operator is None:
            _ask_to_log_in(request, "This needs the admin token.")
        elif operator.form_token is not None and not is_form_token(operator, str(form.get(FORM_TOKEN, ""))):
            raise web.HTTPForbidden(text="This form belongs to another session. Load the page again.")


def _misdirected(request: web.Request) -> web.Response:
    """Plain text, as the reader may be a site that has no business here."""
    host = rendering.excerpt(request.headers.get("Host", ""))
    why = (
        f"This worker does not serve its pages for the host {host!r}. "
        "If you reach them by that name, add it to web.hosts (WEB_HOSTS)."
    )
    return web.Response(status=421, text=f"{why}\n")


async def _form(request: web.Request) -> Mapping[str, Any]:
    """Its fields; aiohttp keeps them for the page."""
    try:
        return await asyncio.wait_for(request.post(), FORM_SECONDS)
    except asyncio.TimeoutError:
        raise web.HTTPRequestTimeout(text="The form did not arrive in time.") from None
    except (ValueError, LookupError):
        raise web.HTTPBadRequest(text="The form is not in UTF-8.") from None


def _ask_to_log_in(request: web.Request, why: str) -> None:
    if wants_html(request):
        back = str(request.rel_url) if request.method in READING else "/"
        raise web.HTTPSeeOther(f"/login?next={quote(back, safe='')}")
    raise web.HTTPUnauthorized(text=why, headers={"WWW-Authenticate": "Bearer"})


def _is_from_here(request: web.Request) -> bool:
    """Whether a browser says so; who sends neither header is no browser, and has no session to be abused."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2].lower() == request.host.lower()


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.pop("Server", None)


def is_https(request: web.Request) -> bool:
    """Whether the browser's side is encrypted, by us or by a proxy before us."""
    return "https" in {request.scheme, request.headers.get("X-Forwarded-Proto", "")}


def _check_path(request: web.Request) -> None:
    """Before a form is read: for a path that is not there aiohttp tries others by a copy of the request."""
    if OPERATOR.get() is not None and request.match_info.http_exception is not None:
        raise request.match_info.http_exception
