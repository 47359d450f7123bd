"""What every ``Sender`` promises, tried on the fake and on the real ones."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from eventproc.destinations import Endpoint
from eventproc.http.sender import Sender
from eventproc.outcomes import FailureKind, NoResponse, Response
from settings import load_settings
from tests.contract.senders import SENDERS, MakeSender
from tests.fakes.sender import FakeSender
from tests.servers import replies
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.raw import RawServer
from tests.servers.receiver import Receiver

ENV = {"DELIVERY_REQUEST_TIMEOUT_SECONDS": "1", "DELIVERY_CONNECT_TIMEOUT_SECONDS": "1"}


@dataclass
class Side:
    """A sender and how to script what it meets: a status, its ``Retry-After``, a body."""

    sender: Sender
    script: Callable[[int, str | None, bytes], None]
    bodies: Callable[[], list[bytes]]


@pytest.fixture(params=["fake", *SENDERS])
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    if request.param == "fake":
        fake = FakeSender()

        def script(code: int, retry_after: str | None, body: bytes) -> None:
            fake.script = lambda _b, _n: Response(code, retry_after, body)

        yield Side(fake, script, lambda: fake.sent)
        await fake.close()
        return
    async with Receiver() as receiver:

        def script_real(code: int, retry_after: str | None, body: bytes) -> None:
            headers = {} if retry_after is None else {"Retry-After": retry_after}
            receiver.respond = replies.always(replies.Answer(code, headers, body))

        sender = real_sender(SENDERS[request.param], receiver.url)
        yield Side(sender, script_real, lambda: [r.body for r in receiver.requests])
        await sender.close()


def real_sender(make_sender: MakeSender, url: str, **env: str) -> Sender:
    return make_sender(Endpoint(url), load_settings(env=ENV | env).delivery)


@pytest.mark.parametrize("code", [200, 204, 302, 400, 429, 500, 503])
async def test_a_status_comes_back_as_it_is(side: Side, code: int) -> None:
    side.script(code, None, b"" if code == 204 else b"text")
    result = await side.sender.send({}, b"body")
    assert isinstance(result, Response)
    assert result.status == code
    assert side.bodies() == [b"body"]


async def test_retry_after_and_the_first_bytes_come_with_it(side: Side) -> None:
    side.script(503, "17", b"come back later")
    result = await side.sender.send({}, b"body")
    assert isinstance(result, Response)
    assert (result.status, result.retry_after, result.excerpt) == (503, "17", b"come back later")


async def test_what_was_never_sent_is_known(make_sender: MakeSender) -> None:
    refusing = real_sender(make_sender, f"http://{LOOPBACK}:{free_port()}/")
    with RawServer(list[bytes], reads_bodies=False) as server:
        closing = real_sender(make_sender, server.url)
        results = [await one.send({}, b"body") for one in (refusing, closing)]
    for one in (refusing, closing):
        await one.close()

    assert [isinstance(one, NoResponse) and one.was_sent for one in results] == [False, True]


async def test_nobody_listens_is_no_exception(make_sender: MakeSender) -> None:
    sender = real_sender(make_sender, f"http://{LOOPBACK}:{free_port()}/")
    result = await sender.send({}, b"body")
    assert isinstance(result, NoResponse)
    assert result.kind is FailureKind.CONNECT
    await sender.close()


@pytest.mark.parametrize(
    ("reply", "kinds"),
    [
        (replies.Hang(), {FailureKind.TIMEOUT}),
        (replies.Reset(), {FailureKind.CONNECT}),
        (replies.Garbage(), {FailureKind.PROTOCOL, FailureKind.CONNECT}),
    ],
)
async def test_a_misbehaving_receiver_is_no_exception(
    make_sender: MakeSender, reply: replies.Reply, kinds: set[FailureKind]
) -> None:
    async with Receiver(respond=replies.always(reply)) as receiver:
        sender = real_sender(make_sender, receiver.url)
        result = await sender.send({}, b"body")
        assert isinstance(result, NoResponse)
        assert result.kind in kinds
        await sender.close()


@pytest.mark.parametrize("reply", [replies.Drip(), replies.Huge()])
async def test_a_success_whose_body_never_ends_is_a_success_in_bounded_time(
    make_sender: MakeSender, reply: replies.Reply
) -> None:
    async with Receiver(respond=replies.always(reply)) as receiver:
        sender = real_sender(make_sender, receiver.url, DELIVERY_REQUEST_TIMEOUT_SECONDS="30")
        result = await asyncio.wait_for(sender.send({}, b"body"), 5)
        assert isinstance(result, Response)
        assert result.status == 200
        assert len(result.excerpt) <= 2048
        await sender.close()


async def test_a_redirect_is_not_followed(make_sender: MakeSender) -> None:
    async with Receiver() as other, Receiver(respond=replies.always(replies.redirect(other.url))) as receiver:
        sender = real_sender(make_sender, receiver.url)
        result = await sender.send({"Signature": "t=1, s=x"}, b"body")
        assert isinstance(result, Response)
        assert result.status == 302
        assert other.requests == []
        await sender.close()


async def test_no_cookie_comes_back(make_sender: MakeSender) -> None:
    answer = replies.Answer(headers={"Set-Cookie": "a=b; Path=/"})
    async with Receiver(respond=replies.always(answer)) as receiver:
        sender = real_sender(make_sender, receiver.url)
        await sender.send({}, b"1")
        await sender.send({}, b"2")
        assert [request.headers.get("Cookie") for request in receiver.requests] == [None, None]
        await sender.close()


async def test_the_url_goes_out_as_it_was_written(make_sender: MakeSender) -> None:
    async with Receiver() as receiver:
        sender = real_sender(make_sender, f"{receiver.url}/a%2Fb?x=%20y&z=1")
        await sender.send({}, b"body")
        assert receiver.requests[0].path == "/a%2Fb?x=%20y&z=1"
        await sender.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"POST /hook?token=%2Fk-7f1e55d0c4 HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 404 No\r\nContent-Length: 41\r\n\r\nCannot POST /hook?token=%2Fk-7f1e55d0c4...",
        b'HTTP/1.1 500 No\r\nContent-Length: 27\r\n\r\n{"token":"\\/k-7f1e55d0c4"} ',
        b"",
    ],
)
async def test_a_token_in_the_address_stands_in_no_error(make_sender: MakeSender, answer: bytes) -> None:
    """An error for an answer that is none quotes it, or names the whole address; receivers do, too."""
    with RawServer(lambda: (answer,)) as server:
        sender = real_sender(make_sender, f"{server.url}/hook?token=%2Fk-7f1e55d0c4")
        result = await sender.send({}, b"body")
        shown = result.excerpt.decode() if isinstance(result, Response) else result.detail
        assert shown or isinstance(result, Response)
        assert "7f1e55d0c4" not in shown
        await sender.close()


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0"])
async def test_link_local_is_never_dialled(make_sender: MakeSender, host: str) -> None:
    sender = real_sender(make_sender, f"http://{host}:{free_port()}/latest/meta-data")
    result = await sender.send({}, b"body")
    assert isinstance(result, NoResponse)
    assert result.kind is FailureKind.FORBIDDEN_ADDRESS
    await sender.close()


async def test_private_networks_are_refused_when_told_so(make_sender: MakeSender) -> None:
    async with Receiver() as receiver:
        for host in (LOOPBACK, "localhost"):
            sender = real_sender(
                make_sender, receiver.url.replace(LOOPBACK, host), DELIVERY_ALLOW_PRIVATE_NETWORKS="false"
            )
            result = await sender.send({}, b"body")
            assert isinstance(result, NoResponse)
            assert result.kind is FailureKind.FORBIDDEN_ADDRESS
            await sender.close()
        assert receiver.requests == []


@pytest.mark.parametrize("failure", ["refused", "garbled"])
async def test_failed_requests_keep_nothing_of_their_bodies(make_sender: MakeSender, failure: str) -> None:
    """A worker with 50 endpoints down and events of 0.9 MB held 320 MB of bodies in reference cycles."""
    with RawServer(lambda: [b"nonsense\r\n\r\n"]) as server:
        url = f"http://{LOOPBACK}:{free_port()}/" if failure == "refused" else server.url
        sender = real_sender(make_sender, url)
        body = b"x" * 1_000_000
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(5):
                assert isinstance(await sender.send({}, body), NoResponse)
            await asyncio.sleep(0)
            assert tracemalloc.get_traced_memory()[0] < len(body)
        finally:
            tracemalloc.stop()
            gc.enable()
            await sender.close()
