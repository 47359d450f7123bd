"""Serves an ASGI application over real HTTP: what of the protocol a receiver of callbacks needs.

By aiohttp's server, which is there already; body chunks go to the application as they come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.servers.ports import LOOPBACK

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


@asynccontextmanager
async def serve_asgi(application: Application) -> AsyncIterator[str]:
    """The base URL while it is served."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response: web.StreamResponse | None = None

        async def receive() -> Message:
            chunk = await request.content.readany()
            return {"type": "http.request", "body": chunk, "more_body": not request.content.at_eof()}

        async def send(message: Message) -> None:
            nonlocal response
            if message["type"] == "http.response.start":
                headers = {name.decode(): value.decode() for name, value in message["headers"]}
                response = web.StreamResponse(status=message["status"], headers=headers)
                await response.prepare(request)
                return
            assert response is not None, "a body before its start"
            await response.write(message["body"])
            await response.write_eof()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": request.method,
            "path": request.path,
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
        }
        await application(scope, receive, send)
        assert response is not None, "no response"
        return response

    runner = web.ServerRunner(web.Server(handle), handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        (address,) = runner.addresses
        yield f"http://{LOOPBACK}:{address[1]}"
    finally:
        await runner.cleanup()
