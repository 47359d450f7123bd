"""Reads one response after another from the bytes of a connection; sees no socket and no clock.

llhttp (by httptools, which uvicorn uses too) reads what keeps to the grammar; ``response_head`` reads heads
that llhttp refuses. A complete head is an answer, whatever follows it: a fault in the body or behind it
ends the response and the use of the connection, and changes no status.

::

    begin ─> head ──────> body ──> whole ──> begin, where reusable
              │ │ fault,    │ fault, end, too long ──> whole, not reusable
              │ └─> refused ┴─ read_head ──> body
              └─> problem: end, too long, not HTTP

What comes from one ``begin`` to the next is bounded, because llhttp bounds nothing: interim responses
without end, a header of gigabytes, a chunk's extension.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from eventproc.http.response_head import KEPT_HEADERS, NotHttp, read_head

RESPONSE_BYTES: Final = 128 << 10
"""Limit for one response, including status line, headers, framing and interim responses."""

SHOWN_BYTES: Final = 200
"""What is kept of bytes that are no answer, to show them."""

_LOOKED_AT: Final = KEPT_HEADERS | {b"content-length", b"transfer-encoding"}
_WITHOUT_BODY: Final = frozenset({204, 304})


class ResponseReader:
    """The response that is being read, and what is known of it so far.

    Args:
        excerpt_bytes: how much of a body is kept.
    """

    def __init__(self, excerpt_bytes: int) -> None:
        self._excerpt_bytes = excerpt_bytes
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._is_refused = False
        self.begin()

    def begin(self) -> None:
        """Expect the next response."""
        self._raw: bytes | bytearray = b""
        self._received_bytes = 0
        self.status = 0  # until the final head is complete
        self.headers: dict[bytes, bytes] = {}
        self.excerpt = b""
        self.problem = ""  # why there is no status and never will be
        self.is_whole = False
        self.is_reusable = False

    @property
    def received(self) -> bytes:
        """The first bytes, as long as there is no head."""
        return bytes(self._raw[:SHOWN_BYTES])

    @property
    def is_excerpt_full(self) -> bool:
        """Whether no more of the body is kept."""
        return len(self.excerpt) >= self._excerpt_bytes

    def feed(self, data: bytes) -> None:
        """Read what has come; afterwards ``is_whole``, ``problem`` or neither."""
        room = RESPONSE_BYTES - self._received_bytes
        self._received_bytes += len(data)
        within = data if len(data) <= room else data[:room]
        if not self.status:
            self._keep(within)
        if self._is_refused and not self.status:
            self._read_refused()
        else:
            self._parse(within)
        if len(data) >= room and not self.is_whole and not self.problem:
            self._stop(f"the response has no complete head within {RESPONSE_BYTES >> 10} KiB")

    def end(self) -> None:
        """The connection has ended: so has the body, and a head that is not complete is none."""
        if not self.is_whole and not self.problem:
            self._stop("the connection ended within the response's head")

    def stop(self) -> None:
        """Wait for no more of the body; only with a status."""
        self.is_whole = True
        self.is_reusable = False

    def close(self) -> None:
        """Let go of the parser, which refers back to this."""
        self._parser = None

    # -- what the parser calls ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Another message behind a whole one: the parser is to stop."""
        if self.is_whole:
            raise _SurplusError

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; also trailers, which change nothing."""
        if not self.status and (kept := name.lower()) in _LOOKED_AT:
            self.headers.setdefault(kept, value)

    def on_headers_complete(self) -> None:
        """The end of a head, perhaps of an interim one."""
        parser = self._parser
        assert parser is not None  # noqa: S101 - it is what calls
        status = parser.get_status_code()
        if status >= 200:
            self.status = status
            self.is_reusable = (
                not self._is_refused
                and parser.should_keep_alive()
                and not (status in _WITHOUT_BODY and self._announces_body())
            )
            self._raw = b""
        elif status < 100:
            self.problem = f"the response's status is {status:03}"
        else:
            self.headers.clear()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        if (room := self._excerpt_bytes - len(self.excerpt)) > 0:
            self.excerpt += body if len(body) <= room else body[:room]

    def on_message_complete(self) -> None:
        """The end of a response, or of an interim one."""
        if self.status:
            self.is_whole = True

    # ----------------------------------------------------------------------------------------------

    def _announces_body(self) -> bool:
        """A 204 that does has the body behind it, perhaps in the next packet."""
        length = self.headers.get(b"content-length", b"")
        return bool(length.strip(b"0")) or b"transfer-encoding" in self.headers

    def _keep(self, data: bytes) -> None:
        if not self._raw:
            self._raw = data
            return
        if isinstance(self._raw, bytes):
            self._raw = bytearray(self._raw)
        self._raw += data

    def _parse(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            return
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self.problem = "the receiver switched protocols (101)"
        except HttpParserCallbackError as error:
            if not isinstance(error.__context__, _SurplusError):
                raise
            self.is_reusable = False
        except HttpParserError:
            self.is_reusable = False
            if self.status:
                self.is_whole = True
            elif not self.problem:
                self._is_refused = True
                self._read_refused()

    def _read_refused(self) -> None:
        head = read_head(bytes(self._raw))
        if head is None:
            return
        if isinstance(head, NotHttp):
            self.problem = "the answer is not HTTP"
        elif head.status < 200:
            self.problem = "the receiver switched protocols (101)"
        else:
            self._parser = HttpResponseParser(self)
            self._parse(head.clean + head.rest)

    def _stop(self, problem: str) -> None:
        if self.status:
            self.stop()
        else:
            self.problem = problem


class _SurplusError(Exception):
    """There is more behind a whole response."""
