"""A request as it comes over the wire, for servers that see every byte or close when they like."""

from __future__ import annotations

import asyncio


def content_length(head: bytes) -> int:
    """What a request's head says of its body."""
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Head and body of the next request.

    Raises:
        asyncio.IncompleteReadError: the peer has closed.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(content_length(head))
