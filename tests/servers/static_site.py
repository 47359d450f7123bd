"""A web site of fixed answers on a loopback port, in a thread: for commands that run their own event loop."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.servers.ports import LOOPBACK


@contextmanager
def static_site(
    pages: Mapping[str, bytes | tuple[int, dict[str, str]]], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """The port, while these paths are served; a tuple is a status with headers, other paths are 404."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path, (404, {}))
            status, headers = (200, {}) if isinstance(page, bytes) else page
            body = page if isinstance(page, bytes) else b""
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that leaves is no news
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
