"""One destination, step by step, on real servers with each kind of fault."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest

from eventproc.auth import NoAuth
from eventproc.delivery.example_sender import Answer
from eventproc.destinations import Destination, Endpoint, TlsOptions, build_destinations
from eventproc.doctor.endpoint import Examined, examine_endpoint
from eventproc.doctor.examination import other_address
from eventproc.doctor.findings import Check, State
from eventproc.http.resolver import open_resolver
from eventproc.identifiers import DestinationId
from eventproc.outcomes import Delivered, Failed, FailureKind, Rejected
from settings import Settings, load_settings
from tests.servers import replies
from tests.servers.certificates import Authority
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.receiver import Receiver
from tests.servers.request_record import RequestRecord

SECONDS = 30.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def destination(url: str, tls: TlsOptions | None = None) -> Destination:
    return Destination(
        DestinationId("client.lobstr.sep24"),
        "t",
        Endpoint(url, tls or TlsOptions()),
        NoAuth(),
        lambda *_: b"{}",
    )


async def examined(
    url: str, tls: TlsOptions | None = None, answer: Answer | None = None, **env: str
) -> Examined:
    async def send(_: Destination) -> Answer:
        assert answer is not None
        return answer

    delivery = load_settings(env=env).delivery
    async with aclosing(open_resolver()) as resolver:
        return await examine_endpoint(
            destination(url, tls), delivery, SECONDS, None if answer is None else send, resolver
        )


def by_name(found: Examined) -> dict[str, Check]:
    assert all(
        check.way_out for check in found.checks if check.state is not State.OK and check.name != "network"
    )
    return {check.name: check for check in found.checks}


@asynccontextmanager
async def https(context: ssl.SSLContext, host: str = "localhost") -> AsyncIterator[Receiver]:
    async with Receiver(tls=context, host=host) as receiver:
        yield receiver


async def test_a_sound_endpoint_is_asked_by_options_alone(authority: Authority) -> None:
    async with https(authority.server()) as receiver:
        found = await examined(f"{receiver.url}/cb", TlsOptions(ca_path=authority.path))
        assert [(r.method, r.path) for r in receiver.requests] == [("OPTIONS", "/cb")]
    checks = by_name(found)
    assert {check.state for check in found.checks} == {State.OK}
    assert list(checks) == ["DNS", "TCP", "TLS", "answer"]
    assert "the certificate is good for 89 days" in checks["TLS"].what
    assert checks["answer"].what.startswith("HTTP 200 to OPTIONS in")
    assert found.skew_seconds is not None
    assert abs(found.skew_seconds) < 5


async def test_a_certificate_near_its_end_is_a_warning(authority: Authority) -> None:
    async with https(authority.server(days=6)) as receiver:
        check = by_name(await examined(receiver.url, TlsOptions(ca_path=authority.path)))["TLS"]
    assert check.state is State.WARNING
    assert "good for 5 days" in check.what


async def test_a_certificate_that_has_expired_is_told_with_since_when(authority: Authority) -> None:
    async with https(authority.server(days=-3)) as receiver:
        checks = by_name(await examined(receiver.url, TlsOptions(ca_path=authority.path)))
        assert receiver.requests == []
    assert checks["TLS"].state is State.PROBLEM
    assert checks["TLS"].what in {
        "the certificate has expired, 3 days ago",
        "the certificate has expired, 4 days ago",
    }
    assert "answer" not in checks


async def test_a_certificate_of_another_host_is_told_with_its_names(authority: Authority) -> None:
    async with https(authority.server(["wallet.example.com", "*.example.com"])) as receiver:
        check = by_name(await examined(receiver.url, TlsOptions(ca_path=authority.path)))["TLS"]
    assert check.state is State.PROBLEM
    assert check.what == "the certificate is not of localhost, but of wallet.example.com, *.example.com"


@pytest.mark.parametrize("self_signed", [True, False])
async def test_a_certificate_that_nobody_vouches_for_is_told_with_its_issuer(
    authority: Authority, self_signed: bool
) -> None:
    async with https(authority.server(self_signed=self_signed)) as receiver:
        check = by_name(await examined(receiver.url))["TLS"]
    assert check.state is State.PROBLEM
    assert "nobody that we believe vouches" in check.what
    assert ("CN=localhost" if self_signed else "CN=test authority") in check.what


async def test_a_certificate_that_is_not_verified_is_a_warning(authority: Authority) -> None:
    async with https(authority.server(self_signed=True)) as receiver:
        found = await examined(receiver.url, TlsOptions(verify=False))
    assert [check.state for check in found.checks if check.name == "TLS"] == [State.OK, State.WARNING]
    assert "not verified" in by_name(found)["TLS"].what


async def test_a_port_without_tls_is_told() -> None:
    async with Receiver(host="localhost") as receiver:
        check = by_name(await examined(receiver.url.replace("http:", "https:")))["TLS"]
    assert check.state is State.PROBLEM
    assert "is this port TLS at all?" in check.way_out


async def test_our_own_certificates_that_are_not_there_are_told(tmp_path: Path) -> None:
    check = by_name(await examined("https://localhost:1/", TlsOptions(ca_path=tmp_path / "nowhere.pem")))[
        "TLS"
    ]
    assert check.state is State.PROBLEM
    assert "our own certificates" in check.what


async def test_http_is_a_warning() -> None:
    async with Receiver() as receiver:
        found = await examined(receiver.url)
    assert [(check.name, check.state) for check in found.checks] == [
        ("TLS", State.WARNING),
        ("TCP", State.OK),
        ("answer", State.OK),
    ]


async def test_a_host_that_nobody_knows_is_told() -> None:
    checks = by_name(await examined("https://wallet.invalid/cb"))
    assert checks["DNS"].state is State.PROBLEM
    assert "wallet.invalid" in checks["DNS"].what
    assert list(checks) == ["DNS"]


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://[fe80::1]/", "http://0.0.0.0/"])
async def test_an_address_that_is_never_dialled_is_told(url: str) -> None:
    checks = by_name(await examined(url))
    assert checks["address"].state is State.PROBLEM
    assert "TCP" not in checks


async def test_a_private_address_is_told_where_it_is_not_allowed() -> None:
    async with Receiver() as receiver:
        checks = by_name(await examined(receiver.url, DELIVERY_ALLOW_PRIVATE_NETWORKS="false"))
        assert receiver.count == 0
    assert "allow_private_networks" in checks["address"].way_out


async def test_a_port_that_nobody_listens_on_is_told() -> None:
    check = by_name(await examined(f"http://{LOOPBACK}:{free_port()}/"))["TCP"]
    assert check.state is State.PROBLEM
    assert "refused" in check.what.lower()


async def test_a_server_that_never_answers_is_not_awaited_for_ever() -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        url = f"http://{LOOPBACK}:{silent.getsockname()[1]}/"
        delivery = load_settings(env={}).delivery
        async with aclosing(open_resolver()) as resolver:
            examining = examine_endpoint(destination(url), delivery, 0.3, None, resolver)
            found = await asyncio.wait_for(examining, 60)
    assert by_name(found)["answer"].what == "no answer in time"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (204, State.OK),
        (405, State.OK),
        (302, State.WARNING),
        (404, State.WARNING),
        (410, State.WARNING),
        (503, State.WARNING),
    ],
)
async def test_the_answer_to_options_is_judged_mildly(status: int, state: State) -> None:
    async with Receiver(respond=replies.always(replies.Answer(status))) as receiver:
        check = by_name(await examined(receiver.url))["answer"]
    assert check.state is state
    assert f"HTTP {status}" in check.what


@pytest.mark.parametrize("mode", ["root", "append"])
@pytest.mark.parametrize("missing", [404, 410])
@pytest.mark.parametrize("there", [200, 405])
@pytest.mark.parametrize("exists", [(), ("/event",), ("/callback/event",), ("/event", "/callback/event")])
async def test_both_addresses_of_the_business_server_are_asked(
    mode: str, missing: int, there: int, exists: tuple[str, ...]
) -> None:
    def respond(request: RequestRecord, _number: int) -> replies.Answer:
        return replies.Answer(there if request.path in exists else missing)

    async with Receiver(respond=respond) as receiver:
        settings = load_settings(
            env={
                "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
                "CALLBACK_API_BASE_URL": f"{receiver.url}/callback",
                "CALLBACK_API_EVENT_PATH_MODE": mode,
            }
        )
        paths = {"root": "/event", "append": "/callback/event"}
        (check,) = [check for check in await examine_endpoints(settings) if check.name == "address"]
        asked = {(request.method, request.path) for request in receiver.requests}
        url = receiver.url

    assert asked == {("OPTIONS", path) for path in paths.values()}
    other = "append" if mode == "root" else "root"
    in_use = there if paths[mode] in exists else missing
    elsewhere = there if paths[other] in exists else missing
    assert f"{url}{paths[mode]} answers HTTP {in_use}, {url}{paths[other]} HTTP {elsewhere}" in check.what
    if paths[mode] in exists:
        assert check.state is State.OK
    else:
        assert check.state is State.PROBLEM
        assert (f"set callback_api.event_path_mode: {other}" in check.way_out) == (paths[other] in exists)


async def test_a_post_decides_where_options_finds_nothing() -> None:
    async with Receiver(respond=replies.always(replies.Answer(404))) as receiver:
        settings = load_settings(
            env={
                "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
                "CALLBACK_API_BASE_URL": receiver.url,
            }
        )
        taken = await examine_endpoints(settings, Answer(Delivered(200), 0.01, 200))
        missing = await examine_endpoints(
            settings, Answer(Failed(FailureKind.STATUS, 404, None, b"", "HTTP 404"), 0.01, 404)
        )

    assert [check.name for check in taken if check.state is State.PROBLEM] == []
    (problem,) = [check for check in missing if check.state is State.PROBLEM]
    assert problem.name == "test event"
    assert "nothing is at this address" in problem.way_out


async def examine_endpoints(settings: Settings, answer: Answer | None = None) -> list[Check]:
    """The one destination of the settings, as `doctor` looks at it."""

    async def send(_: Destination) -> Answer:
        assert answer is not None
        return answer

    (one,) = build_destinations(settings).values()
    async with aclosing(open_resolver()) as resolver:
        found = await examine_endpoint(
            one,
            settings.delivery,
            SECONDS,
            None if answer is None else send,
            resolver,
            other_address(settings),
        )
    return found.checks


async def test_the_clock_of_the_endpoint_is_read() -> None:
    headers = {"Date": formatdate(time() + 100, usegmt=True)}
    async with Receiver(respond=replies.always(replies.Answer(200, headers))) as receiver:
        found = await examined(receiver.url)
    assert found.skew_seconds is not None
    assert 90 < found.skew_seconds < 102


async def test_a_date_that_is_none_is_left_out() -> None:
    async with Receiver(respond=replies.always(replies.Answer(200, {"Date": "soon"}))) as receiver:
        assert (await examined(receiver.url)).skew_seconds is None


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        (Answer(Delivered(200), 0.01, 200), State.OK, "HTTP 200 to an example event"),
        (
            Answer(Failed(FailureKind.STATUS, 401, None, b"", "HTTP 401"), 0.01, 401, b"bad signature"),
            State.PROBLEM,
            "HTTP 401 to an example event in 10 ms: bad signature",
        ),
        (Answer(Rejected(422, None, b""), 0.01, 422), State.WARNING, "HTTP 422"),
        (
            Answer(Failed(FailureKind.STATUS, 503, None, b"", "HTTP 503"), 0.01, 503),
            State.PROBLEM,
            "HTTP 503",
        ),
        (Answer(Failed(FailureKind.TIMEOUT, None, None, b"", "late"), 9.0), State.PROBLEM, "late"),
    ],
)
async def test_the_answer_to_an_example_event_is_judged_as_it_would_be_for_a_real_one(
    answer: Answer, state: State, said: str
) -> None:
    async with Receiver() as receiver:
        check = by_name(await examined(receiver.url, answer=answer))["test event"]
    assert check.state is state
    assert said in check.what


async def test_with_a_proxy_the_network_is_the_proxys() -> None:
    async with Receiver() as proxy:
        found = await examined("http://wallet.invalid/cb", DELIVERY_PROXY_URL=proxy.url)
        checks = by_name(found)
        assert [request.method for request in proxy.requests] == ["OPTIONS"]
    assert checks["network"].state is State.SKIPPED
    assert checks["answer"].state is State.OK
    assert "DNS" not in checks
