"""A receiver on ``http.server``: threads with HTTP/1.1, or ``single``, which has both defaults, HTTPServer with 1.0."""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

from tests.receivers.apps.taking import LIMIT, take


class Callbacks(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0" if sys.argv[1] == "single" else "HTTP/1.1"

    def do_POST(self) -> None:
        """One callback; a body that is too long is not read, and ends the connection."""
        length = int(self.headers["Content-Length"])
        if length > LIMIT:
            self.send_error(413)
            return
        status = take(self.path, self.headers, self.headers["X-Event-Id"], self.rfile.read(length))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if self.path.startswith("/close"):
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


if __name__ == "__main__":
    server = HTTPServer if sys.argv[1] == "single" else ThreadingHTTPServer
    server(("127.0.0.1", int(os.environ["PORT"])), Callbacks).serve_forever()
