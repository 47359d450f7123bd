"""A wallet or a business server: verifies every request, keeps what it got, and misbehaves as told.

In the test's own event loop::

    async with Receiver(verify=bearer_jwt(secret), respond=first(2, status(503))) as receiver:
        ...
        (request,) = await receiver.wait_for(1)
        assert request.verified, request.problem

or, for load tests, as a process that logs a line of JSON per request::

    python -m tests.servers.receiver --port 8081 --log requests.jsonl --jwt-secret …
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TextIO

from aiohttp import web
from stellar_sdk import Keypair
from typing_extensions import Self

from tests.servers.ports import LOOPBACK, free_port
from tests.servers.replies import OK, Answer, Respond, always
from tests.servers.reply_writer import send
from tests.servers.request_record import RequestRecord
from tests.servers.verification import Verifier, anyone, api_key, bearer_jwt, stellar_signature

_ACCEPT = always(OK)


class Receiver:
    """An HTTP server on a port of its own.

    Args:
        verify: checks each request; see ``verification``. Its verdict is recorded and changes no reply.
        respond: what to reply; may be replaced at any time through the attribute.
        host: the name in the URL; it changes nothing about where the socket listens.
        listen: the address that the socket listens on.
        port: 0 picks a free one.
        tls: serves HTTPS.
        on_request: called with each record as it arrives.
        keep: False forgets the records, for long loads.
    """

    def __init__(
        self,
        *,
        verify: Verifier = anyone,
        respond: Respond = _ACCEPT,
        host: str = LOOPBACK,
        listen: str = LOOPBACK,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
        keep: bool = True,
    ) -> None:
        self.verify = verify
        self.respond = respond
        self.host = host
        self.port = port or free_port()
        self.requests: list[RequestRecord] = []
        self.answered: dict[int, int] = {}  # number of the request: status that was sent to its end
        self.count = 0
        self.concurrent = 0
        self.max_concurrent = 0
        self.body_bytes_sent = 0
        self._listen = listen
        self._tls = tls
        self._on_request = on_request
        self._keep = keep
        self._attempts: Counter[tuple[str, str | None]] = Counter()
        self._changed = asyncio.Event()
        self._runner: web.ServerRunner | None = None

    @property
    def netloc(self) -> str:
        """``host:port``: what a signature is made over."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        return f"{'https' if self._tls else 'http'}://{self.netloc}"

    @property
    def unverified(self) -> list[RequestRecord]:
        """The requests whose sender could not be verified."""
        return [record for record in self.requests if not record.verified]

    async def accept(self) -> None:
        """Listens; also again after ``refuse``, on the same port."""
        if self._runner is not None:
            return
        # A client that gives up ends its handler too, so that `concurrent` counts living requests only.
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(
            self._runner, self._listen, self.port, ssl_context=self._tls, reuse_address=True
        ).start()

    async def refuse(self) -> None:
        """Closes the listening socket and every connection: clients get 'connection refused'."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def wait_for(self, count: int, timeout_seconds: float = 10.0) -> list[RequestRecord]:
        """The requests so far, once there are ``count`` of them.

        Raises:
            TimeoutError: fewer arrived in time; the message lists them.
        """
        await self.wait_until(lambda: self.count >= count, timeout_seconds)
        return list(self.requests)

    async def wait_until(self, condition: Callable[[], bool], timeout_seconds: float = 10.0) -> None:
        """Waits for a condition that is looked at again after each request's arrival and end."""
        try:
            await asyncio.wait_for(self._wait_until(condition), timeout_seconds)
        except asyncio.TimeoutError:
            seen = [
                f"{r.number} {r.path} event {r.event_id} attempt {r.attempt}" for r in self.requests[-20:]
            ]
            raise TimeoutError(
                f"{self.url}: condition not met in {timeout_seconds} s; {self.count} requests, the last: {seen}"
            ) from None

    def event_ids(self, path: str | None = None) -> list[str | None]:
        """The event ids in order of arrival, of one path or of all."""
        return [record.event_id for record in self.requests if path in (None, record.path)]

    def clear(self) -> None:
        """Forgets what came so far."""
        self.requests.clear()
        self.answered.clear()
        self._attempts.clear()
        self.count = self.max_concurrent = self.body_bytes_sent = 0

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        with self._counted():
            record = await self._record(request)
            self._notify()
            response = await send(request, self.respond(record, record.number), self._count_body_bytes)
            self.answered[record.number] = response.status
            return response

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self.concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self.concurrent)
        try:
            yield
        finally:
            self.concurrent -= 1
            self._notify()

    async def _record(self, request: web.BaseRequest) -> RequestRecord:
        # Not request.read(): that refuses bodies over 1 MB.
        body = await request.content.read()
        problem = self.verify(request.headers, body)
        self.count += 1
        seen = RequestRecord(
            self.count, 1, request.method, request.path_qs, request.headers, body, time.monotonic(), problem
        )
        self._attempts[seen.path, seen.event_id] += 1
        attempt = self._attempts[seen.path, seen.event_id]
        record = RequestRecord(
            self.count, attempt, seen.method, seen.path, seen.headers, body, seen.arrived_at, problem
        )
        if self._keep:
            self.requests.append(record)
        if self._on_request is not None:
            self._on_request(record)
        return record

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _count_body_bytes(self, count: int) -> None:
        self.body_bytes_sent += count


def wallet(
    seed: str,
    *,
    respond: Respond = _ACCEPT,
    host: str = LOOPBACK,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    on_request: Callable[[RequestRecord], None] | None = None,
) -> Receiver:
    """A receiver that verifies the anchor's signatures, made for its own host and port.

    Args:
        seed: the anchor's signing seed (S…); only its public half is used.
        respond: this and the rest as for ``Receiver``.
    """
    receiver = Receiver(respond=respond, host=host, port=port, tls=tls, on_request=on_request)
    receiver.verify = stellar_signature(Keypair.from_secret(seed).public_key, {receiver.netloc})
    return receiver


# --- as a process ---------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT; prints ``ready <url>`` when it listens and the count at its end."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.servers.receiver", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--log", type=Path, help="a line of JSON per request goes here")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="before each answer")
    parser.add_argument("--status", type=int, default=200, help="of each answer")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--public-key", help="verify Stellar signatures of this key (G…)")
    who.add_argument("--jwt-secret", help="verify bearer tokens")
    who.add_argument("--api-key", help="verify X-Api-Key")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(options.log.open("a", buffering=1)) if options.log else None
        asyncio.run(_serve(options, log))


async def _serve(options: argparse.Namespace, log: TextIO | None) -> None:
    receiver = Receiver(
        port=options.port,
        respond=always(Answer(options.status, delay_seconds=options.delay_ms / 1000)),
        on_request=None if log is None else lambda record: _log_line(log, record),
        keep=False,
    )
    if options.public_key:
        receiver.verify = stellar_signature(options.public_key, {receiver.netloc})
    elif options.jwt_secret:
        receiver.verify = bearer_jwt(options.jwt_secret)
    elif options.api_key:
        receiver.verify = api_key(options.api_key)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with receiver:
        print(f"ready {receiver.url}", flush=True)
        await stop.wait()
    print(f"received {receiver.count}, at most {receiver.max_concurrent} at once", flush=True)


def _log_line(log: TextIO, record: RequestRecord) -> None:
    line = {
        "number": record.number,
        "arrived_at": record.arrived_at,
        "path": record.path,
        "event_id": record.event_id,
        "transaction_id": record.transaction_id,
        "attempt": record.attempt,
        "verified": record.verified,
        "problem": record.problem,
    }
    log.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
