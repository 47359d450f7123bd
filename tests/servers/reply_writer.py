"""Puts a reply on the wire, also the ones that HTTP does not allow."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable

from aiohttp import web
from typing_extensions import assert_never

from tests.servers.replies import Answer, Drip, Garbage, Hang, Hold, Huge, Reply, Reset

_CHUNK = b"x" * 65_536


async def send(
    request: web.BaseRequest, reply: Reply, on_body_bytes: Callable[[int], None]
) -> web.StreamResponse:
    """Sends the reply, or returns the response for aiohttp to send.

    Args:
        request: the request to reply to.
        reply: what to do.
        on_body_bytes: called with the size of each piece of a streamed body that the client took.
    """
    match reply:
        case Answer():
            return await _answer(reply)
        case Hold(until, then):
            await until.wait()
            return await _answer(then)
        case Hang():
            await asyncio.Event().wait()  # set by nobody
            return web.Response()
        case Reset(delay_seconds):
            await asyncio.sleep(delay_seconds)
            return _reset(request)
        case Garbage(data):
            return _write_raw(request, data)
        case Drip(body_bytes, interval_seconds, status):
            response = web.StreamResponse(status=status)
            return await _stream(
                request, response, (b"x" for _ in range(body_bytes)), interval_seconds, on_body_bytes
            )
        case Huge(body_bytes, status):
            response = web.StreamResponse(status=status)
            chunks = (_CHUNK for _ in range(body_bytes // len(_CHUNK)))
            return await _stream(request, response, chunks, 0.0, on_body_bytes)
        case _:
            assert_never(reply)


async def _answer(answer: Answer) -> web.Response:
    if answer.delay_seconds:
        await asyncio.sleep(answer.delay_seconds)
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def _stream(
    request: web.BaseRequest,
    response: web.StreamResponse,
    chunks: Iterable[bytes],
    interval_seconds: float,
    on_body_bytes: Callable[[int], None],
) -> web.StreamResponse:
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
        on_body_bytes(len(chunk))
        await asyncio.sleep(interval_seconds)
    await response.write_eof()
    return response


def _reset(request: web.BaseRequest) -> web.Response:
    if (transport := request.transport) is not None:
        # Lingering for no time makes the kernel send RST in place of FIN.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        transport.abort()
    return web.Response()


def _write_raw(request: web.BaseRequest, data: bytes) -> web.Response:
    if (transport := request.transport) is not None:
        transport.write(data)
        transport.close()
    return web.Response()
