"""Faust's web server (0.15.3), overridden.

``WebServer``
    Faust gives aiohttp's runner neither a keep-alive time (aiohttp's default is an hour) nor a bound on
    connections, and has no setting for either. ``start_server`` and ``stop_server`` are its public methods;
    here they listen by themselves, so that ``PageConnections`` sees each connection. Proof:
    tests/integration/test_page_connections.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from faust.web.drivers.aiohttp import Web

from eventproc.delivery.page_connections import BACKLOG, IDLE_SECONDS, PageConnections


class WebServer(Web):
    """Faust's, with its connections bounded in number and idle time."""

    def __init__(self, app: Any, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self.connections = PageConnections()
        self._own_runner = web.AppRunner(self.web_app, access_log=None, keepalive_timeout=IDLE_SECONDS)
        self._listener: asyncio.Server | None = None

    async def start_server(self) -> None:
        """Listen on the pages' port."""
        await self._own_runner.setup()
        server = self._own_runner.server
        assert server is not None  # noqa: S101 - set by ``setup``
        conf = self.app.conf
        self._listener = await asyncio.get_running_loop().create_server(
            self.connections.factory(server),
            conf.web_bind,
            conf.web_port,
            ssl=conf.web_ssl_context,
            backlog=BACKLOG,
        )

    async def stop_server(self) -> None:
        """Listen no longer, and end what is being answered."""
        if self._listener is not None:
            self._listener.close()
        await self._own_runner.cleanup()
        await super().stop_server()
