"""``/login``, ``/logout`` and the files that every page needs."""

from __future__ import annotations

from typing import Any

import structlog
from aiohttp import web

from agents.pages.guard import is_https
from agents.pages.rendering import static_files
from agents.pages.session import COOKIE, SESSION_SECONDS
from agents.pages.view import NO_TOKEN, Page, View

log = structlog.stdlib.get_logger("eventproc.pages")


class Login(Page):
    """Takes the admin token, gives a session."""

    async def get(self, request: web.Request) -> Any:
        """The form."""
        if self.app.desk.sessions is None:
            raise web.HTTPNotFound(text=NO_TOKEN)
        return self._form(request, "")

    async def post(self, request: web.Request) -> Any:
        """The token."""
        form = await request.post()
        back = _own_path(str(form.get("next", "")))
        try:
            sessions = await self.app.guard.check_token(request, str(form.get("token", "")).strip())
        except web.HTTPUnauthorized as refused:
            return self._form(request, refused.text or "", 401)
        log.info("login.accepted", address=request.remote)
        answer = self.see_other(request, back, {"logged_in": True})
        answer.set_cookie(
            COOKIE,
            sessions.open(),
            max_age=SESSION_SECONDS,
            path="/",
            secure=is_https(request),
            httponly=True,
            samesite="Strict",
        )
        return answer

    def _form(self, request: web.Request, problem: str, status: int = 200) -> Any:
        back = _own_path(request.query.get("next", ""))
        return self.answer(request, "login.html", {"problem": problem}, status=status, back=back)


class Logout(Page):
    """Lets go of the session."""

    async def post(self, request: web.Request) -> Any:
        """The cookie goes; nothing else knows of the session."""
        answer = self.see_other(request, "/", {"logged_in": False})
        answer.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
        return answer


class Static(View):
    """The style sheet and the icon; no folder is served."""

    async def get(self, request: web.Request, name: str) -> Any:  # noqa: ARG002 - Faust's signature
        """One file."""
        if (found := static_files().get(name)) is None:
            raise web.HTTPNotFound
        kind, content = found
        headers = {"Cache-Control": "public, max-age=86400"}
        return web.Response(body=content, content_type=kind, headers=headers)


def _own_path(path: str) -> str:
    """A path of ours to go back to; anything that a browser could take for another host is the first page."""
    is_own = path.startswith("/") and path.isprintable() and path.isascii()
    return path if is_own and not path.startswith(("//", "/\\")) and "\\" not in path else "/"
