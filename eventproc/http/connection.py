"""One connection to a receiver: writes a request, reads its response, and is idle in between.

::

    idle ── post ──> waiting for the head ──> reading the body ──> idle, where both sides are done
      │                 │                         │
      │                 └─ end, time, nonsense    └─ end, time, nonsense: an answer all the same
      │                    ──> Unanswered, closed    ──> Answer, closed
      └─ end, time, bytes that answer no request ──> closed

A response is answered as soon as it is whole; without the task, the timer and the stream for each request
that are most of what a POST costs elsewhere. It is idle again only when the request was written to its end
before the response was whole, and the response was read to its end. What comes while it is idle closes it,
so that it is never taken for the answer to the next request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, cast

from eventproc.http.crowding import Answered
from eventproc.http.deadline import Deadline
from eventproc.http.keep_alive import KeepAlive
from eventproc.http.response_reader import ResponseReader
from eventproc.outcomes import FailureKind

WRITTEN_AT_ONCE_BYTES: Final = 64 << 10
"""A larger request goes out in pieces, as the receiver reads: TLS of 8 MiB holds up the loop for 0.15 s."""

SUCCESS_BODY_SECONDS: Final = 1.0
"""How long the body of a 2xx is awaited, only to keep the connection; the event is delivered either way."""

SURPLUS_SECONDS: Final = 1.0
"""Bytes this soon after a response belong to it; later ones are a word before the receiver closes (408)."""


class Answer(NamedTuple):
    """A response: its status, the headers that are looked at (in lower case), the first bytes of its body."""

    status: int
    headers: dict[bytes, bytes]
    excerpt: bytes


class Unanswered(NamedTuple):
    """There is no response; ``received`` are the first bytes that came in its place.

    ``was_sent`` is False when there was no connection to send the request on.
    """

    kind: FailureKind
    problem: str
    received: bytes = b""
    was_sent: bool = True


Result: TypeAlias = Answer | Unanswered


@dataclass(frozen=True, slots=True)
class Owner:
    """What the connections of one sender share: who hears of them, and what was learned.

    Args:
        made: the connection stands.
        idle: the connection can be used for another request.
        lost: the connection has ended.
        keep_alive: how long it may be idle.
        excerpt_bytes: how much of a response's body is kept.
    """

    made: Callable[[Connection], None]
    idle: Callable[[Connection], None]
    lost: Callable[[Connection], None]
    keep_alive: KeepAlive
    excerpt_bytes: int


class Connection(asyncio.Protocol):
    """Made by ``loop.create_connection``; one request at a time. ``begun_at`` is when dialling began."""

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, begun_at: float = 0.0) -> None:
        self._loop = loop
        self._begun_at = begun_at
        self._owner = owner
        self._reader = ResponseReader(owner.excerpt_bytes)
        self._deadline = Deadline(loop, self._expired)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Result] | None = None
        self._unwritten: memoryview | None = None
        self._writing_is_paused = False
        self._body_is_bounded = False
        self._closed_by_us = False
        self._requests = 0
        self._idle_since = 0.0
        self._posted_at = 0.0
        self.last_answered: Answered | None = None
        """None until the first answer."""
        self._refusal: Unanswered | None = None  # why no request can be sent

    # -- what the pool and the sender call -----------------------------------------------------------

    def post(self, head: bytes, body: bytes, deadline: float) -> asyncio.Future[Result]:
        """Write a whole request; only while idle.

        Args:
            head: up to and with the empty line.
            body: not copied where it is large.
            deadline: time of the loop's clock by which the response has to be there.

        Returns:
            what came of it; raises nothing but a cancellation, after which ``abort`` has to follow.
        """
        waiter: asyncio.Future[Result] = self._loop.create_future()
        transport = self._transport
        if self._refusal is not None or transport is None or transport.is_closing():
            waiter.set_result(self._refusal or _closed_at_once())
            self.abort()
            return waiter
        self._waiter = waiter
        self._requests += 1
        self._posted_at = self._loop.time()
        self._body_is_bounded = False
        self._reader.begin()
        self._deadline.set(deadline)
        if len(head) + len(body) <= WRITTEN_AT_ONCE_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            self._unwritten = memoryview(body)
            self._write_piece()
        return waiter

    @property
    def waits_since(self) -> float | None:
        """Since when it was being opened, as long as its first request waits; on the loop's clock."""
        return self._begun_at if self._waiter is not None and self.last_answered is None else None

    def can_be_used(self, now: float) -> bool:
        """Whether another request may follow at this time of the loop's clock."""
        transport = self._transport
        return (
            transport is not None
            and not transport.is_closing()
            and self._waiter is None
            and now - self._idle_since < self._owner.keep_alive.seconds
        )

    def close(self) -> None:
        """End it in good order."""
        self._closed_by_us = True
        self._deadline.cancel()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once, and what is not written with it: a receiver might never read that."""
        self._closed_by_us = True
        self._deadline.cancel()
        if self._transport is not None:
            self._transport.abort()

    # -- what the transport calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be used; until the first request it is idle."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no such base class
        self._transport.set_write_buffer_limits(WRITTEN_AT_ONCE_BYTES)
        self._idle_since = self._loop.time()
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        """Some of a response, or bytes that answer no request."""
        reader = self._reader
        if self._waiter is None:
            self._refuse_unasked(data)
            return
        reader.feed(data)
        if reader.is_whole or reader.problem:
            if reader.problem and self._requests > 1:
                self._owner.keep_alive.sent_surplus()  # it may belong to the response before
            self._finish(FailureKind.PROTOCOL)
        elif reader.status and not self._body_is_bounded and (reader.status < 300 or reader.is_excerpt_full):
            self._body_is_bounded = True
            self._deadline.set(self._loop.time() + SUCCESS_BODY_SECONDS)

    def eof_received(self) -> None:
        """The receiver sends nothing more; the transport closes itself."""
        if self._waiter is not None:
            self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, by whomever."""
        self._transport = None
        self._deadline.cancel()
        if self._waiter is not None:
            self._ended(exc)
        elif not self._closed_by_us and self._requests:
            self._owner.keep_alive.closed_by_receiver(self._loop.time() - self._idle_since)
        self._unwritten = None
        self._reader.close()
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """The receiver does not read as fast as is written."""
        self._writing_is_paused = True

    def resume_writing(self) -> None:
        """The receiver has read."""
        self._writing_is_paused = False
        self._write_piece()

    # ------------------------------------------------------------------------------------------------

    def _write_piece(self) -> None:
        transport, unwritten = self._transport, self._unwritten
        if unwritten is None or transport is None or transport.is_closing():
            return
        rest = unwritten[WRITTEN_AT_ONCE_BYTES:]
        self._unwritten = rest or None
        transport.write(unwritten[:WRITTEN_AT_ONCE_BYTES])
        if self._unwritten is not None and not self._writing_is_paused:
            self._loop.call_soon(self._write_piece)  # what others wait for comes between two pieces

    def _finish(self, kind: FailureKind) -> None:
        """Answer the request: with the response if it has a status, else with ``kind`` and the problem."""
        waiter, reader = self._waiter, self._reader
        assert waiter is not None  # noqa: S101 - callers have looked
        self._waiter = None
        if waiter.done():  # cancelled, and its sender, who has not awoken yet, will end the connection
            self.abort()
            return
        result: Result
        if reader.status:
            self.last_answered = Answered(self._posted_at, self._loop.time() - self._posted_at)
            result = Answer(reader.status, reader.headers, reader.excerpt)
        else:
            result = Unanswered(kind, reader.problem, reader.received)
        waiter.set_result(result)
        if reader.is_reusable and self._is_written():
            self._rest()
        elif reader.is_whole and self._is_written():
            self.close()
        else:
            self.abort()

    def _is_written(self) -> bool:
        transport = self._transport
        return (
            self._unwritten is None
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
            and not self._writing_is_paused
        )

    def _rest(self) -> None:
        keep_alive = self._owner.keep_alive
        if self._requests == 1:
            keep_alive.announced(self._reader.headers.get(b"keep-alive", b""))
        seconds = keep_alive.seconds
        if not seconds:
            self.close()
            return
        self._idle_since = self._loop.time()
        self._deadline.set(self._idle_since + seconds)
        self._owner.idle(self)

    def _ended(self, error: Exception | None) -> None:
        reader = self._reader
        reader.end()
        if reader.status:
            self._finish(FailureKind.CONNECT)
        elif isinstance(error, ssl.SSLError):
            reader.problem = f"TLS ended: {error}"
            self._finish(FailureKind.TLS)
        elif reader.received:
            self._finish(FailureKind.PROTOCOL)
        else:
            why = "" if error is None else f": {type(error).__name__}: {error}"
            reader.problem = f"the receiver closed the connection without an answer{why}"
            self._finish(FailureKind.CONNECT)

    def _expired(self) -> None:
        reader = self._reader
        if self._waiter is None:
            self.close()  # idle for long enough
        elif reader.status:
            reader.stop()
            self._finish(FailureKind.TIMEOUT)
        else:
            reader.problem = "no answer in time"
            self._finish(FailureKind.TIMEOUT)

    def _refuse_unasked(self, data: bytes) -> None:
        if self._closed_by_us:
            return
        if self._requests and self._loop.time() - self._idle_since < SURPLUS_SECONDS:
            self._owner.keep_alive.sent_surplus()
        elif not self._requests:
            problem = "the receiver spoke before the request"
            self._refusal = Unanswered(FailureKind.PROTOCOL, problem, data[:200])
        self.abort()


def _closed_at_once() -> Unanswered:
    return Unanswered(FailureKind.CONNECT, "the receiver closed the connection before the request")
