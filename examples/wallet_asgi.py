"""A wallet that receives callbacks, as a plain ASGI application: no framework. Start from it.

::

    pip install uvicorn
    ANCHOR_SIGNING_KEY=G… CALLBACK_HOST=wallet.example.com uvicorn examples.wallet_asgi:app

It needs the package cryptography, and ``eventproc.receiver``. In Starlette and FastAPI the middle is the
same: ``verifier.verify(request.headers, await request.body())``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from eventproc.receiver import CallbackError, CallbackVerifier, SeenEvents

MAX_BODY_BYTES = 16 * 1024 * 1024

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Store = Callable[[str | None, object], None]
"""Event id and parsed body: keep it, in a database in earnest, before you return."""


class Wallet:
    """POST to any path is a callback."""

    def __init__(self, verifier: CallbackVerifier, store: Store) -> None:
        self._verifier = verifier
        self._store = store
        self._seen = SeenEvents()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        if scope["method"] != "POST":
            await _answer(send, 405)
        elif (raw_body := await _read(receive)) is None:
            await _answer(send, 413)
        else:
            await _answer(send, *self._take(scope["headers"], raw_body))

    def _take(self, headers: list[tuple[bytes, bytes]], raw_body: bytes) -> tuple[int, str]:
        try:
            callback = self._verifier.verify(headers, raw_body)
        except CallbackError as error:
            return error.http_status, str(error)
        if callback.duplicate_key not in self._seen:
            self._store(callback.event_id, json.loads(callback.payload_bytes))
            self._seen.add(callback.duplicate_key)
        return 204, ""


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """What uvicorn and its like are given; made at the first request, so that importing reads nothing."""
    global _wallet  # noqa: PLW0603 - an ASGI server wants a module's attribute
    if scope["type"] == "lifespan":
        raise NotImplementedError("no start-up needed")  # servers take that for "does not support lifespan"
    if _wallet is None:
        verifier = CallbackVerifier(os.environ["ANCHOR_SIGNING_KEY"], os.environ["CALLBACK_HOST"])
        _wallet = Wallet(verifier, print)
    await _wallet(scope, receive, send)


_wallet: Wallet | None = None


async def _read(receive: Receive) -> bytes | None:
    """The body as it came; None when it is too long."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _answer(send: Send, status: int, text: str = "") -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
