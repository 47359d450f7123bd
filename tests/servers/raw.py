"""A server that answers with any bytes at all, endless ones too, from a thread of its own.

In the test's own event loop it would slow down what it tries.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from typing_extensions import Self

from tests.servers.ports import LOOPBACK
from tests.servers.request_bytes import content_length

_SECONDS = 60.0
_ACCEPT_SECONDS = 0.1


class RawServer:
    """Reads each request to its end and sends what ``answer()`` yields, until the peer has enough.

    Args:
        answer: called for each request: pieces of bytes; may be endless.
        pause_seconds: before each piece but the first.
        tls: serves TLS.
        reads_bodies: else each connection has one answer, to a request's head, and nothing more is read.
    """

    def __init__(
        self,
        answer: Callable[[], Iterable[bytes]],
        *,
        pause_seconds: float = 0.0,
        tls: ssl.SSLContext | None = None,
        reads_bodies: bool = True,
    ) -> None:
        self.connections = 0
        self.requests = 0
        self.bytes_sent = 0
        self.handshake_problems: list[str] = []  # of TLS, as OpenSSL says
        self._answer = answer
        self._pause_seconds = pause_seconds
        self._tls = tls
        self._reads_bodies = reads_bodies
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.settimeout(_ACCEPT_SECONDS)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The base URL."""
        port = self._listener.getsockname()[1]
        return f"http{'s' if self._tls else ''}://{LOOPBACK}:{port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with contextlib.suppress(OSError), connection:  # the peer has enough
            stream = connection if self._tls is None else self._shake_hands(connection, self._tls)
            if stream is None:
                return
            with stream:
                while self._read_request(stream):
                    self.requests += 1
                    self._send(stream)
                    if not self._reads_bodies:
                        self._stopped.wait(_SECONDS)

    def _shake_hands(self, connection: socket.socket, tls: ssl.SSLContext) -> socket.socket | None:
        stream = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        try:
            stream.do_handshake()
        except ssl.SSLError as error:
            self.handshake_problems.append(str(error))
            with socket.socket(fileno=stream.detach()) as plain:
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(65_536):  # else the kernel resets, and the peer never sees our alert
                    pass
            return None
        return stream

    def _read_request(self, stream: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            got = stream.recv(65_536)
            if not got:
                return False
            data += got
        head, _, body = data.partition(b"\r\n\r\n")
        length = content_length(head) if self._reads_bodies else 0
        while len(body) < length:
            got = stream.recv(65_536)
            if not got:
                return False
            body += got
        return True

    def _send(self, stream: socket.socket) -> None:
        deadline = time.monotonic() + _SECONDS
        for number, piece in enumerate(self._answer()):
            if number and self._pause_seconds and self._stopped.wait(self._pause_seconds):
                return
            if self._stopped.is_set() or time.monotonic() > deadline:
                return
            stream.sendall(piece)
            self.bytes_sent += len(piece)
