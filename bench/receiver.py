"""A receiver that is not the bottleneck: it answers every POST after the latency it was told, and counts.

HTTP is read by hand, no more of it than our own sender writes (a Content-Length, keep-alive): 16,000 posts a
second on one core. Dropped: a web framework, which needs as much CPU per request as the worker, and Go's
net/http, which took the second core for itself and let the bare loop wait (7,000 to 12,000 a second).

Control, on the same port, always by GET::

    /-/count                        how many requests were answered
    /-/set?latency_ms=50            how long every answer takes from now on
    /-/set?status=503               what every answer is from now on
    /-/set?record=true              remember when which event arrived
    /-/arrivals                     lines of "event id, nanoseconds since the epoch"; forgets them

In a process of its own: ``python -m bench.receiver --port 8081``.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import cast
from urllib.parse import parse_qs, urlsplit

from tests.servers.ports import LOOPBACK

try:
    import uvloop
except ImportError:
    uvloop = None


class State:
    """What the control paths change and show."""

    def __init__(self) -> None:
        self.answered = 0
        self.latency_seconds = 0.0
        self.status = 200
        self.recording = False
        self.arrivals: list[tuple[str, int]] = []


class Connection(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no such base class

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            body_end = end + 4 + int(_header(head, b"content-length") or 0)
            if len(self._buffer) < body_end:
                return
            self._buffer = self._buffer[body_end:]
            self._request(head)

    def _request(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/-/"):
            self._reply(200, _control(self._state, path.decode()))
            return
        if self._state.recording:
            self._state.arrivals.append(((_header(head, b"x-event-id") or b"").decode(), time.time_ns()))
        if self._state.latency_seconds:
            asyncio.get_running_loop().call_later(self._state.latency_seconds, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._state.answered += 1
        self._reply(self._state.status, b"")

    def _reply(self, status: int, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
            )


def _header(head: bytes, name: bytes) -> bytes | None:
    at = head.lower().find(b"\r\n" + name + b":")
    if at < 0:
        return None
    begin = at + len(name) + 3
    end = head.find(b"\r\n", begin)
    return head[begin : len(head) if end < 0 else end].strip()


def _control(state: State, path: str) -> bytes:
    parts = urlsplit(path)
    if parts.path == "/-/count":
        return b"%d" % state.answered
    if parts.path == "/-/arrivals":
        lines = [f"{event} {at}\n" for event, at in state.arrivals]
        state.arrivals = []
        return "".join(lines).encode()
    wanted = {name: values[0] for name, values in parse_qs(parts.query).items()}
    state.latency_seconds = float(wanted.get("latency_ms", state.latency_seconds * 1000)) / 1000
    state.status = int(wanted.get("status", state.status))
    state.recording = wanted.get("record", str(state.recording).lower()) == "true"
    return b""


async def serve(port: int) -> None:
    """Serves until the process is ended."""
    state = State()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(state), LOOPBACK, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    if uvloop is not None:
        uvloop.install()
    asyncio.run(serve(parser.parse_args().port))
