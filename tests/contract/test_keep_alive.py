"""Idle connections against a receiver that closes them after a time of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eventproc.destinations import Endpoint
from eventproc.http.keep_alive import LEAST_SECONDS
from eventproc.http.sender import Sender
from eventproc.outcomes import Response
from settings import load_settings
from tests.contract.senders import MakeSender
from tests.servers.ports import LOOPBACK
from tests.servers.request_bytes import read_request
from tests.servers.waiting import wait_until

DELIVERY = load_settings(env={"DELIVERY_ALLOW_PRIVATE_NETWORKS": "true"}).delivery
IDLE_SECONDS = 1.6
BETWEEN_SECONDS = 1.25
TIMEOUT_SECONDS = 10.0


class Receiver:
    """Closes a connection that was idle for ``IDLE_SECONDS``; knows who has closed which."""

    def __init__(self) -> None:
        self.closed_by: list[str] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        by = "receiver"
        try:
            while True:
                await asyncio.wait_for(read_request(reader), IDLE_SECONDS)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except asyncio.TimeoutError:
            pass
        except asyncio.IncompleteReadError:
            by = "sender"
        self.closed_by.append(by)
        writer.close()


@asynccontextmanager
async def receiving(make_sender: MakeSender) -> AsyncIterator[tuple[Receiver, Sender]]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, LOOPBACK, 0)
    async with server:
        sender = make_sender(
            Endpoint(f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/callback"), DELIVERY
        )
        try:
            yield receiver, sender
        finally:
            await sender.close()


async def test_a_receiver_is_taken_at_when_it_closed_an_idle_connection(make_sender: MakeSender) -> None:
    assert LEAST_SECONDS < BETWEEN_SECONDS < IDLE_SECONDS
    async with receiving(make_sender) as (receiver, sender):

        async def post() -> None:
            answer = await sender.send({}, b"{}")
            assert isinstance(answer, Response)
            assert answer.status == 204

        async def closed() -> bool:
            return len(receiver.closed_by) == receiver.connections

        for _ in range(3):
            await post()
        assert receiver.connections == 1, "an idle connection is used again"
        await wait_until(closed, TIMEOUT_SECONDS, "the receiver to close")
        await asyncio.sleep(0.05)
        await post()
        await asyncio.sleep(BETWEEN_SECONDS)
        await post()
        assert receiver.connections == 3, "the second was given up before the receiver would have closed it"
        await wait_until(closed, TIMEOUT_SECONDS, "both to be closed")
        assert receiver.closed_by[:2] == ["receiver", "sender"]
